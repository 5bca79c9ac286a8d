// The table of trials. Rows are kept and updated in place; long lists are shown a page at a time.

import { byId, h, notice, setText } from "./dom.js";
import { head, labelWords, numberWords } from "./format.js";

const STEP = 30;
const heads = (numbers) => [["Round", "num"], ["k", "num"], ["Schedule", ""], ["State", ""], ["Attempt", "num"],
  ...numbers.map((number) => [head(number), "num"]), ["Reason", ""]];
const RETRAINED = ["searched", "default", "tuned", "all", "alone", "together", "anchored", "gold"];
const FILTERS = {
  everything: ["all trials", () => true],
  search: ["search", (trial) => trial.label === "search"],
  tune: ["tuning of eq. (1)", (trial) => trial.label.startsWith("tau=")],
  choose: ["choice on fresh seeds", (trial) => trial.label.includes(" ") && !trial.label.startsWith("tau=")],
  retrain: ["final re-training", (trial) => RETRAINED.includes(trial.label)],
  failed: ["failed or lost", (trial) => ["failed", "lost"].includes(trial.state)],
};

export class TrialsPanel {
  constructor({ model, choose, chosen, numbers }) {
    this.model = model;
    this.numbers = numbers.trial;
    this.choose = choose;
    this.picked = chosen;
    this.parts = ["trials", "schedules", "epochs"];
    this.rows = new Map();
    this.limit = STEP;
    this.filter = byId("trials-filter");
    this.filter.addEventListener("change", () => this.reset());
    this.body = h("tbody");
    this.table = h("table", { class: "table-compact" }, h("thead", {}, h("tr", {}, ...heads(this.numbers).map(([words, kind]) => h("th", { scope: "col", class: kind }, words)))), this.body);
    this.more = h("button", { class: "button", type: "button", onclick: () => this.showMore() }, "Show more");
    this.empty = notice("empty", "No trial here yet");
    byId("trials").append(this.table, this.empty, h("p", { class: "center" }, this.more));
  }

  reset() {
    this.limit = STEP;
    this.render();
  }

  showMore() {
    this.limit += 5 * STEP;
    this.render();
  }

  /** A search is filtered by what its trials are for, a comparison by its entries. */
  makeFilters() {
    const { everything, failed } = FILTERS;
    const entries = (this.model.job.spec.compare?.entries ?? []).map(({ label }) => [`entry ${label}`, [label, (trial) => trial.label === label]]);
    this.filters = this.model.isCompare ? { everything, failed, ...Object.fromEntries(entries) } : FILTERS;
    this.filter.append(...Object.entries(this.filters).map(([value, [words]]) => h("option", { value }, words)));
  }

  render() {
    if (this.filters === undefined) this.makeFilters();
    const found = this.model.ordered().filter(this.filters[this.filter.value][1]);
    const shown = found.slice(0, this.limit);
    shown.forEach((trial, i) => {
      const element = this.row(trial);
      if (this.body.children[i] !== element) this.body.insertBefore(element, this.body.children[i] ?? null);
    });
    while (this.body.children.length > shown.length) this.body.lastChild.remove();
    this.table.hidden = shown.length === 0;
    this.empty.hidden = shown.length > 0;
    this.more.hidden = found.length <= shown.length;
    setText(this.more, `Show more (${found.length - shown.length} left)`);
  }

  row(trial) {
    const row = this.rows.get(trial.id) ?? this.makeRow(trial);
    const { now } = trial;
    const is_running = ["leased", "running"].includes(trial.state);
    row.state.className = `badge state-${trial.state}`;
    setText(row.state, is_running && now ? `epoch ${now.epoch + 1} / ${now.n_epochs}` : trial.state);
    const live = is_running && now ? { ...trial, ...now } : trial;
    const words = [trial.attempt, ...this.numbers.map((number) => numberWords(number, live[number.name])), trial.reason];
    words.forEach((text, i) => setText(row.cells[i], String(text)));
    setText(row.mark, this.model.isRecommended(trial) ? "recommended" : "");
    row.element.setAttribute("aria-selected", String(this.picked()?.id === trial.id));
    return row.element;
  }

  makeRow(trial) {
    const cells = [...[null, ...this.numbers].map(() => h("td", { class: "num" })), h("td", { class: "cell-reason" })];
    const row = { cells, state: h("span"), mark: h("span", { class: "mark" }) };
    row.element = h("tr", { class: "selectable", onclick: () => this.choose(trial.id) },
      h("td", { class: "num" }, String(trial.round)), h("td", { class: "num" }, String(trial.k)),
      h("td", {}, h("button", { class: "link", type: "button", title: "show its curves" }, labelWords(trial)), " ",
        h("span", { class: "muted small" }, this.model.settingsWords(trial)), " ", row.mark),
      h("td", {}, row.state), ...cells);
    this.rows.set(trial.id, row);
    return row;
  }

  chosen() {
    this.render();
  }
}