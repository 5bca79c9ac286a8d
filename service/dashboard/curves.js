// Epoch curves of one chosen trial, in the view the reader chooses.

import { get } from "./api.js";
import { Chart, figure, lineLegend, shareAxis, xAxis } from "./charts.js";
import { byId, h, setText, throttle } from "./dom.js";
import { accuracyWords, labelWords, percent, trialName } from "./format.js";
import { VIEWS } from "./views.js";

const REFRESH_MS = 1000;

export class CurvesPanel {
  constructor({ model, choose, chosen }) {
    this.model = model;
    this.choose = choose;
    this.picked = chosen;
    this.parts = ["trials", "schedules", "epochs"];
    this.select = byId("trial-select");
    this.select.addEventListener("change", () => choose(this.select.value));
    this.view = byId("trial-view");
    this.view.append(...Object.entries(VIEWS).map(([value, { title }]) => h("option", { value }, title)));
    this.view.addEventListener("change", () => this.show());
    this.log = byId("trial-log");
    this.legend = h("div");
    this.figure = figure(byId("curves"), this.legend);
    this.lines = [];
    this.chart = new Chart(this.figure.plot, {
      axes: [xAxis("epoch t"), shareAxis("")],
      scales: { x: { time: false }, y: { range: (_, low, high) => VIEWS[this.view.value].range(low ?? 0, high ?? 1) } },
      series: [],
      hover: (u) => this.hover(u),
    });
    this.refresh = throttle(() => this.load(), REFRESH_MS);
    this.show();
  }

  render() {
    const trials = this.model.ordered().filter((trial) => trial.state !== "pending");
    this.renderSelect(trials);
    this.chooseFirst(trials);
    const trial = this.model.trials.get(this.picked()?.id);
    if (trial === undefined) this.figure.say("No trial has started yet.");
    else if (this.shown !== signature(trial)) this.refresh();
  }

  /** Until the reader chooses: the recommended trial, or the first that has started. */
  chooseFirst(trials) {
    if (this.picked()?.by_reader || trials.length === 0) return;
    const first = trials.find((trial) => this.model.isRecommended(trial)) ?? trials[0];
    if (first.id !== this.picked()?.id) this.choose(first.id, false);
  }

  renderSelect(trials) {
    const key = trials.map((trial) => trial.id + this.model.isRecommended(trial)).join();
    if (key === this.key) return;
    this.key = key;
    const rounds = Map.groupBy(trials, (trial) => trial.round);
    this.select.replaceChildren(...[...rounds].map(([round, members]) => h("optgroup", { label: `round ${round}` },
      ...members.map((trial) => h("option", { value: trial.id }, this.optionWords(trial))))));
    this.select.value = this.picked()?.id ?? "";
  }

  optionWords(trial) {
    const words = trial.label === "search" ? "" : `: ${labelWords(trial)}`;
    return `${trialName(trial)}${words}${this.model.isRecommended(trial) ? " (recommended)" : ""}`;
  }

  chosen(id) {
    this.select.value = id;
    this.refresh();
  }

  async load() {
    const trial = this.model.trials.get(this.picked()?.id);
    if (trial === undefined) return;
    this.shown = signature(trial);
    try {
      const answer = await get(`/trials/${trial.id}/epochs?max_points=200`);
      if (this.picked().id !== trial.id) return;
      this.drawn = { trial, answer };
      this.show();
    } catch (error) {
      this.figure.say(`The curves of ${trialName(trial)} could not be loaded. ${error.message}`);
    }
  }

  /** Draw what was loaded last in the chosen view; a line without any number is left out. */
  show() {
    const { about, lines } = VIEWS[this.view.value];
    setText(byId("trial-about"), about);
    if (this.drawn === undefined) return;
    const { trial, answer } = this.drawn;
    this.log.href = `/api/v1/trials/${trial.id}/logs?format=text`;
    this.log.hidden = false;
    this.lines = lines(answer, accuracyWords(this.model.job)).filter(({ values }) => values.some((value) => value !== null));
    this.legend.replaceChildren(lineLegend(this.lines));
    this.chart.setLines(this.lines, [answer.epochs, ...this.lines.map(({ values }) => values)]);
    this.figure.say(this.words(trial, answer.epochs.length));
  }

  hover(u) {
    const at = u.cursor.idx;
    if (at === null || at === undefined) return null;
    const words = this.lines.map(({ words, values }) => `${words.replace(/ \(.*\)/, "")} ${percent(values[at])}`);
    return { id: null, text: `epoch ${this.chart.data[0][at]}: ${words.join(", ")}` };
  }

  words(trial, n_epochs) {
    if (n_epochs === 0) return `${trialName(trial)} is ${trial.state}; it has no epoch yet.`;
    const last = this.lines.map(({ words, values }) => `${words.replace(/ \(.*\)/, "")} ${percent(values.findLast((value) => value !== null))}`);
    const reason = trial.reason ? ` Reason: ${trial.reason}.` : "";
    const settings = this.model.settingsWords(trial);
    const numbers = last.length ? last.join(", ") : "nothing of this was measured";
    return `${trialName(trial)} (${labelWords(trial)}${settings && `, ${settings}`}), ${trial.state}: last epoch ${numbers}.${reason}`;
  }
}

/** Changes whenever a trial has something new to draw. */
function signature(trial) {
  return [trial.id, trial.attempt, trial.state, trial.now?.epoch].join();
}
