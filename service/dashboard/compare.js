// The end of a comparison: verdict, and for each entry one column for each kind of test accuracy.

import { sample } from "./charts.js";
import { h } from "./dom.js";
import { dotEnds, dots, dotScale } from "./dots.js";
import { entryLook } from "./compare_curves.js";
import { capital, head, percent, percentInterval, points } from "./format.js";
import { labelsSection } from "./labels.js";
import { EndPanel } from "./report.js";

// The verdict is about the last ten epochs; these stand beside them, with an interval where they are an accuracy.
const ACCURACIES = ["best", "at_best_validation", "ensemble_last_ten"];
const SHARES = ["balanced", "label_precision", "wrong_memorised"];
const MEANWHILE = "It is made when every entry has been trained on every seed. The curves below grow meanwhile.";

export class ComparePanel extends EndPanel {
  constructor({ model, numbers }) {
    super(model, "compare", MEANWHILE);
    this.titles = Object.fromEntries(numbers.compare_row.map((number) => [number.name, head(number)]));
  }

  isMine() {
    return this.model.isCompare;
  }

  reportParts(report) {
    const href = `/api/v1/jobs/${this.model.id}/report`;
    const { accuracy = "test accuracy", basis = "" } = report;
    return [h("p", { class: "verdict", id: "compare-verdict" }, report.verdict),
      h("p", { class: "muted small" }, `${capital(accuracy)}, mean over the networks of a training, on ${report.n_seeds} seeds that all entries share: initial weights, data order and noise draw. `
        + `The columns are different kinds of figures and not to be compared with one another; the best of all epochs is chosen on the test set and flatters. ${basis}`),
      this.table(report),
      h("p", { class: "links" }, h("a", { href, download: `report-${this.model.id}.json` }, "Whole report as JSON")), ...labelsSection(this.model)];
  }

  heads(shares) {
    const titled = (name) => [this.titles[name], "num"];
    return [["Entry", ""], [`${this.titles.last_ten} ±\u00a095\u00a0%`, "num"], ["− baseline, points ±\u00a095\u00a0%", "num"],
      ["Each seed, last ten", "cell-dots"], ...ACCURACIES.map(titled), ...shares.map(titled)];
  }

  table({ rows, baseline }) {
    const scale = dotScale(rows.map((row) => row.last_ten));
    const shares = SHARES.filter((name) => rows.some((row) => (row[name]?.mean ?? null) !== null));
    return h("div", { class: "scroll" }, h("table", { id: "entries", class: "table-compact" },
      h("thead", {}, h("tr", {}, ...this.heads(shares).map(([words, kind]) => h("th", { scope: "col", class: kind }, words)))),
      h("tbody", {}, ...rows.map((row, i) => this.row(row, i, scale, shares, row.label === baseline))),
      h("tfoot", {}, h("tr", {}, h("td", { colspan: 3 }), h("td", {}, dotEnds(scale)), h("td", { colspan: ACCURACIES.length + shares.length })))));
  }

  row(row, i, scale, shares, is_baseline) {
    const { last_ten } = row;
    const failed = row.n_failed ? `; ${row.n_failed} failed` : "";
    return h("tr", { "data-label": row.label },
      h("th", { scope: "row" }, sample(entryLook(i)), " ", row.label, is_baseline ? h("span", { class: "mark" }, "baseline") : null,
        h("span", { class: "entry-schedule muted small" }, `${row.method}; R(t): ${row.schedule}${failed}`)),
      h("td", { class: "num" }, percentInterval(last_ten.mean, last_ten.half_width)),
      h("td", { class: "num" }, is_baseline ? "" : points(last_ten.difference, last_ten.difference_half_width)),
      h("td", { class: "cell-dots" }, dots("entry", row.label, last_ten, scale)),
      ...ACCURACIES.map((name) => h("td", { class: "num" }, percentInterval(row[name].mean, row[name].half_width))),
      ...shares.map((name) => h("td", { class: "num" }, percent(row[name]?.mean ?? null))));
  }
}
