// Title, state, progress, time left, the verbs of a job, and its specification.

import { post } from "./api.js";
import { byId, confirmed, h, setText } from "./dom.js";
import { dateTime, duration, specLine } from "./format.js";

const VERBS = [
  { verb: "pause", label: "Pause", from: ["queued", "checking", "running", "blocked"], text: "No further population is started; trials that train now end first. The job can be resumed." },
  { verb: "resume", label: "Resume", from: ["paused"], text: "The job goes on from the round it was in." },
  { verb: "cancel", label: "Cancel", from: ["queued", "checking", "running", "blocked", "paused"], text: "Trials that train now are stopped. A cancelled job cannot be resumed and gets no report." },
  { verb: "retry", label: "Try again", from: ["failed"], text: "What ended well is kept; only what failed is trained again." },
];

const PARTS = { data: "Data", train: "Training", search: "Search", report: "Final comparison", plan: "Execution plan" };

export class HeadPanel {
  constructor({ model }) {
    this.model = model;
    this.parts = ["job", "live", "error"];
    this.refusal = "";
    this.buttons = VERBS.map((entry) => ({ ...entry, button: h("button", { class: `button button-${entry.verb}`, type: "button", onclick: () => this.act(entry) }, entry.label) }));
    byId("controls").append(...this.buttons.map(({ button }) => button));
  }

  async act({ verb, label, text }) {
    if (!(await confirmed(`${label} this job?`, text, `${label} the job`))) return;
    try {
      this.refusal = "";
      await this.model.loadJob(post(`/jobs/${this.model.id}/${verb}`));
      if (verb === "retry") location.reload(); // its stream ended when it failed
    } catch (error) {
      this.refusal = error.message;
    }
    this.render();
  }

  render() {
    const { job, live, error } = this.model;
    const name = job.name || "unnamed job";
    document.title = `${name} · S2E`;
    setText(byId("title"), name);
    setText(byId("subtitle"), `${specLine(job)} · submitted ${dateTime(job.created_at)} · ${job.id}`);
    setText(byId("state"), job.state);
    byId("state").className = `badge state-${job.state}`;
    byId("live").className = `pill pill-${live}`;
    setText(byId("live"), { live: "Live", reconnecting: "Reconnecting" }[live] ?? "");
    for (const { button, from } of this.buttons) button.hidden = !from.includes(job.state);
    const reason = this.refusal || error || job.reason || job.unreadable || job.data_gone;
    byId("reason").hidden = !reason;
    setText(byId("reason"), reason);
    this.renderProgress(job);
    if (!byId("spec").firstChild) byId("spec").append(...(job.unreadable ? asStored(job) : specification(job)));
  }

  renderProgress({ state, progress, started_at, finished_at }) {
    const { trials_done, trials_total, rounds_done, rounds_total, epochs_done, epochs_total, eta_s } = progress;
    const bar = byId("bar");
    bar.max = Math.max(1, epochs_total);
    bar.value = state === "completed" ? bar.max : epochs_done;
    bar.className = `bar-${state}`;
    const most = state === "completed" || this.model.isCompare ? "" : "at most ";
    setText(byId("progress"), `${trials_done} of ${most}${trials_total} trials · ${rounds_done} of ${most}${rounds_total} rounds${epochs_total ? ` · ${epochs_done} of ${most}${epochs_total} epochs` : ""}`);
    const took = finished_at && started_at ? `took ${duration((new Date(finished_at) - new Date(started_at)) / 1000)}` : "";
    setText(byId("eta"), this.model.ended ? took : eta_s === null ? "" : `about ${duration(eta_s)} left`);
  }
}

function specification({ spec, recommends }) {
  const top = group("Job", { kind: spec.kind, seed: spec.seed });
  const parts = Object.entries(PARTS).filter(([part]) => recommends || part !== "search");
  return [top, ...parts.map(([part, title]) => group(title, part === "plan" ? planOf(spec.plan) : spec[part])), ...(spec.compare ?? { entries: [] }).entries.map(entryGroup)];
}

/** What another release stored, as it is. */
function asStored({ spec, spec_version, unreadable }) {
  return [h("p", {}, `Version ${spec_version}: ${unreadable}.`), h("pre", {}, JSON.stringify(spec, null, 1))];
}

/** A plan, with how it came to be where that was left to the machine. */
function planOf({ auto, chosen, ...plan }) {
  return auto ? { ...plan, auto, ...(chosen ? { chosen } : {}) } : plan;
}

function entryGroup({ label, ...settings }) {
  return group(`Entry: ${label}`, settings);
}

function group(title, values) {
  return h("div", { class: "spec-group" }, h("h3", {}, title),
    h("dl", {}, ...flat(values).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, words(value))])));
}

/** Nested objects as dotted names. */
function flat(values, prefix = "") {
  return Object.entries(values).flatMap(([name, value]) => (
    value !== null && typeof value === "object" && !Array.isArray(value) ? flat(value, `${prefix}${name}.`) : [[prefix + name, value]]));
}

function words(value) {
  if (value === null) return "default";
  return Array.isArray(value) ? value.join(", ") : String(value);
}
