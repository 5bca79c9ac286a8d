// The job page: one model, one panel for each part, one animation frame for each batch of changes.

import { AccuracyPanel } from "./accuracy.js";
import { get } from "./api.js";
import { ComparePanel } from "./compare.js";
import { CompareCurvesPanel } from "./compare_curves.js";
import { CurvesPanel } from "./curves.js";
import { byId, h, notice } from "./dom.js";
import { FanPanel } from "./fan.js";
import { HeadPanel } from "./head.js";
import { JobModel } from "./model.js";
import { ReportPanel } from "./report.js";
import { SchedulesPanel } from "./schedules.js";
import { TrialsPanel } from "./trials.js";

const job_id = decodeURIComponent(location.pathname.split("/").filter(Boolean).pop() ?? "");
const dirty = new Set();
let panels = [];
let chosen = null;

const model = new JobModel(encodeURIComponent(job_id), (part) => {
  if (dirty.size === 0) requestAnimationFrame(render);
  dirty.add(part);
});

/** Draw every panel that depends on a part that changed since the last frame. */
function render() {
  const parts = new Set(dirty);
  dirty.clear();
  if (model.job === null) return;
  byId("content").hidden = false;
  byId("content").dataset.kind = model.isCompare ? "compare" : "search";
  if (byId("problem").firstChild?.dataset?.kind === "loading") byId("problem").replaceChildren();
  for (const panel of panels) {
    if (panel.parts.some((part) => parts.has(part))) panel.render();
  }
}

/** Choose the trial whose curves are shown; `by_reader` is false for the page's own first choice. */
function choose(trial_id, by_reader = true) {
  chosen = { id: trial_id, by_reader };
  for (const panel of panels) panel.chosen?.(trial_id);
}

function showProblem(error) {
  const missing = error.status === 404 || error.status === 422;
  const title = missing ? "There is no such job" : "The job could not be loaded";
  const words = missing ? `No job has the id “${job_id.slice(0, 80)}”. It may have been mistyped or deleted.` : error.message;
  document.title = `${title} · S2E`;
  byId("problem").replaceChildren(h("section", { class: "card" }, notice("error", title, words, h("p", {}, h("a", { href: "/" }, "Back to the list of jobs")))));
}

async function main() {
  const loading = notice("loading", "Loading the job");
  loading.dataset.kind = "loading";
  byId("problem").replaceChildren(loading);
  try {
    const numbers = await get("/numbers");
    const page = { model, choose, chosen: () => chosen, numbers };
    panels = [HeadPanel, ReportPanel, ComparePanel, CompareCurvesPanel, SchedulesPanel, FanPanel, AccuracyPanel, CurvesPanel, TrialsPanel].map((Panel) => new Panel(page));
    await model.start();
  } catch (error) {
    showProblem(error);
    if (model.job === null) return;
  }
}

main();
