// Epoch curves of one chosen trial: what validates, what is only shown, how clean the selection is, how much is kept.

import { get } from "./api.js";
import { Chart, color, figure, legend, shareAxis, xAxis } from "./charts.js";
import { byId, h, throttle } from "./dom.js";
import { labelWords, percent, settingsWords, trialName } from "./format.js";

const SERIES = ["validation_accuracy", "test_accuracy", "label_precision", "keep_rate"];
const REFRESH_MS = 1000;
const look = (name, width, dash) => ({ stroke: () => color(name), width, dash, points: { show: false }, spanGaps: true });

export class CurvesPanel {
  constructor({ model, choose, chosen }) {
    this.model = model;
    this.choose = choose;
    this.picked = chosen;
    this.parts = ["trials", "schedules", "epochs"];
    this.select = byId("trial-select");
    this.select.addEventListener("change", () => choose(this.select.value));
    this.figure = figure(byId("curves"), legend(["validation", "validation accuracy"], ["test", "test accuracy (shown, never searched on)"],
      ["precision", "label precision (clean among selected)"], ["keep", "keep rate R(t)"]));
    this.chart = new Chart(this.figure.plot, {
      axes: [xAxis("epoch t"), shareAxis("")],
      scales: { x: { time: false }, y: { range: [0, 1] } },
      series: [look("validation", 2.4), look("test", 1.8, [6, 4]), look("precision", 2), look("keep", 1.6, [2, 3])],
      hover: (u) => this.hover(u),
    });
    this.refresh = throttle(() => this.load(), REFRESH_MS);
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
      const { epochs, series } = await get(`/trials/${trial.id}/epochs?max_points=200`);
      if (this.picked().id !== trial.id) return;
      this.chart.setData([epochs, ...SERIES.map((name) => series[name])]);
      this.figure.say(this.words(trial, series));
    } catch (error) {
      this.figure.say(`The curves of ${trialName(trial)} could not be loaded. ${error.message}`);
    }
  }

  hover(u) {
    const at = u.cursor.idx;
    if (at === null || at === undefined) return null;
    const [epochs, ...values] = this.chart.data;
    const words = ["validation", "test", "label precision", "R"].map((name, i) => `${name} ${percent(values[i][at])}`);
    return { id: null, text: `epoch ${epochs[at]}: ${words.join(", ")}` };
  }

  words(trial, series) {
    const last = (name) => percent(series[name].findLast((value) => value !== null));
    if (series.validation_accuracy.length === 0) return `${trialName(trial)} is ${trial.state}; it has no epoch yet.`;
    const reason = trial.reason ? ` Reason: ${trial.reason}.` : "";
    const settings = settingsWords(trial.train);
    return `${trialName(trial)} (${labelWords(trial)}${settings && `, ${settings}`}), ${trial.state}: last epoch validation ${last("validation_accuracy")}, test ${last("test_accuracy")}, label precision ${last("label_precision")}.${reason}`;
  }
}

/** Changes whenever a trial has something new to draw. */
function signature(trial) {
  return [trial.id, trial.attempt, trial.state, trial.now?.epoch].join();
}
