// The end of a job: verdict, final comparison on fresh seeds, recommended schedule and best run.

import { byId, h, notice } from "./dom.js";
import { dotEnds, dots, dotScale } from "./dots.js";
import { capital, percent, percentInterval, points, settingsWords, shapeWords } from "./format.js";
import { labelsSection } from "./labels.js";

const MEANWHILE = "It is made after the last round of the search. Until then the schedules below are provisional.";

/** What stands in the place of a report that is not there. */
function waiting({ state, reason }, meanwhile) {
  if (state === "failed") return notice("error", "The job failed, so there is no comparison", reason);
  if (["cancelled", "cancelling"].includes(state)) return notice("empty", "The job was cancelled before its comparison");
  if (state === "completed") return notice("loading", "Loading the report");
  return notice("empty", "Not there yet", meanwhile);
}

/** What a job ends with; a subclass knows when it is its turn (isMine), and draws the report (reportParts). */
export class EndPanel {
  constructor(model, host, meanwhile) {
    this.model = model;
    this.parts = ["job", "report"];
    this.host = byId(host);
    this.meanwhile = meanwhile;
  }

  render() {
    if (!this.isMine()) return;
    const { report, job } = this.model;
    if (report !== null && this.drawn !== report) {
      this.drawn = report;
      this.host.replaceChildren(...this.reportParts(report));
    }
    if (report === null && this.state !== job.state) {
      this.state = job.state;
      this.host.replaceChildren(waiting(job, this.meanwhile));
    }
  }
}

export class ReportPanel extends EndPanel {
  constructor({ model }) {
    super(model, "result", MEANWHILE);
  }

  isMine() {
    return !this.model.isCompare;
  }

  reportParts(report) {
    return [h("p", { class: "verdict", id: "verdict" }, report.verdict),
      h("p", { class: "muted small" }, "Each schedule re-trained on the same fresh seeds: initial weights, data order and noise draw are new. ", report.basis),
      this.table(report), this.cards(report), ...labelsSection(this.model)];
  }

  table({ rows, accuracy = "test accuracy" }) {
    const scale = dotScale(rows.map(ofSeeds));
    const hasPrecision = rows.some((row) => row.label_precision !== null);
    const heads = [["Schedule", ""], [`${capital(accuracy)} ±\u00a095\u00a0%`, "num"], ...(hasPrecision ? [["Label precision", "num"]] : []),
      ["Searched − this, points ±\u00a095\u00a0%", "num"], ["Each seed", ""]];
    const body = rows.map((row) => h("tr", { "data-label": row.label, class: row.label === "searched" ? "row-strong" : null },
      h("th", { scope: "row" }, row.title, row.n_failed ? h("span", { class: "muted small" }, ` (${row.n_failed} failed)`) : null),
      h("td", { class: "num" }, percentInterval(row.mean, row.half_width)),
      hasPrecision ? h("td", { class: "num" }, percent(row.label_precision)) : null,
      h("td", { class: "num" }, points(row.difference, row.difference_half_width)),
      h("td", {}, dots(row.label, row.title, ofSeeds(row), scale, accuracy))));
    return h("div", { class: "scroll" }, h("table", { id: "comparison" },
      h("thead", {}, h("tr", {}, ...heads.map(([head, kind]) => h("th", { scope: "col", class: kind }, head)))),
      h("tbody", {}, ...body),
      h("tfoot", {}, h("tr", {}, h("td", { colspan: heads.length - 1 }), h("td", {}, dotEnds(scale))))));
  }

  cards(report) {
    const base = `/api/v1/jobs/${this.model.id}`;
    const settings = settingsWords(report.train);
    const recommended = report.recommended
      ? `Round ${report.recommended[0]}, trial ${report.recommended[1]}, by the lowest posterior mean of the objective and a choice on fresh seeds. ${shapeWords(report.keep_rate)}.${settings && ` With ${settings}.`}`
      : "No trial of the search succeeded, so none is recommended.";
    const best = report.best_run
      ? `Round ${report.best_run[0]}, trial ${report.best_run[1]}, validation accuracy ${percent(report.best_run_validation_accuracy)}. A model, not a schedule: one run is partly luck.`
      : "No trial of the search succeeded.";
    return h("div", { class: "cards" },
      h("div", { class: "tile tile-strong", id: "recommended" }, h("h3", {}, "Recommended schedule"), h("p", {}, recommended), model(report, report.recommended_model),
        h("p", { class: "links" }, h("a", { href: `${base}/schedule?format=json`, download: `schedule-${this.model.id}.json` }, "Schedule R(t) as JSON"),
          h("a", { href: `${base}/schedule?format=csv`, download: `schedule-${this.model.id}.csv` }, "as CSV"),
          h("a", { href: `${base}/report`, download: `report-${this.model.id}.json` }, "Whole report as JSON"))),
      h("div", { class: "tile", id: "best-run" }, h("h3", {}, "Best single run"), h("p", {}, best), model(report, report.best_run_model)));
  }
}

/** The model file of a report: what it is called below the artifact root, and where to fetch it and its description. */
function model({ models }, path) {
  if (!path) return h("p", { class: "small muted" }, "No model file was kept.");
  const href = `/api/v1/trials/${models[path]}/model`;
  return h("p", { class: "small links" }, h("a", { href: `${href}?format=safetensors`, download: "" }, "Model file"), h("a", { href: `${href}?format=json`, download: "" }, "What it is"), h("code", {}, path));
}

const ofSeeds = ({ test_accuracy, validation_accuracy, mean, half_width }) => ({ values: test_accuracy.length ? test_accuracy : validation_accuracy, mean, half_width });
