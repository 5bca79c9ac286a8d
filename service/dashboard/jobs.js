// The list of jobs: newest first, refreshed gently while the page is visible.

import { get } from "./api.js";
import { byId, h, notice, setText } from "./dom.js";
import { dateTime, duration, ENDED, specLine } from "./format.js";

const PAGE = 25;
const LIMIT = 200;
const REFRESH_MS = 4000;

const rows = new Map();
let cursor = null;
let body = null;

function makeRow(job) {
  const row = {
    state: h("span", {}),
    bar: h("progress", { max: 1, value: 0, "aria-label": "progress" }),
    count: h("span", { class: "muted small num" }),
  };
  row.element = h("tr", { "data-job": job.id },
    h("td", {},
      h("a", { class: "job-link", href: `/jobs/${job.id}` }, job.name || "unnamed job"),
      h("div", { class: "muted small" }, specLine(job))),
    h("td", {}, row.state),
    h("td", { class: "cell-progress" }, row.bar, row.count),
    h("td", {}, job.title),
    h("td", { class: "num" }, h("time", { datetime: job.created_at }, dateTime(job.created_at))));
  rows.set(job.id, row);
  return row;
}

function update(job) {
  const row = rows.get(job.id) ?? makeRow(job);
  const { trials_done, trials_total, epochs_done, epochs_total, eta_s } = job.progress;
  row.state.className = `badge state-${job.state}`;
  row.state.title = job.reason;
  setText(row.state, job.state);
  row.bar.className = `bar-${job.state}`;
  row.bar.max = Math.max(1, epochs_total);
  row.bar.value = job.state === "completed" ? row.bar.max : epochs_done;
  const left = ENDED.has(job.state) || eta_s === null ? "" : ` · ${duration(eta_s)} left`;
  setText(row.count, `${trials_done} / ${trials_total} trials${left}`);
  return row.element;
}

function makeTable() {
  const heads = ["Job", "State", "Progress", "Search or comparison", "Created"];
  body = h("tbody");
  byId("jobs").replaceChildren(h("table", {},
    h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))), body));
}

function showEmpty() {
  body = null;
  byId("jobs").replaceChildren(notice("empty", "No job yet",
    "Submit one from a terminal; it appears here by itself.",
    h("pre", {}, "s2e submit examples/digits.toml --watch"),
    "or by REST, where every field left out has a default:",
    h("pre", {}, `curl -X POST ${location.origin}/api/v1/jobs \\\n     -H 'Content-Type: application/json' \\\n     -d '{"name": "my first search"}'`)));
}

/** Put the newest page on top, in order, and keep older rows that were loaded before. */
function merge(items) {
  if (items.length === 0 && rows.size === 0) {
    showEmpty();
    return;
  }
  if (body === null) makeTable();
  items.forEach((job, i) => {
    const element = update(job);
    if (body.children[i] !== element) body.insertBefore(element, body.children[i] ?? null);
  });
}

/** The causes for which jobs are kept from places, while there are any. */
function showCircuits(workers) {
  const lines = workers.flatMap(({ name, circuits }) => circuits.map((circuit) => h("li", {}, circuitWords(name, circuit))));
  byId("circuits").hidden = lines.length === 0;
  byId("circuit-list").replaceChildren(...lines);
}

function circuitWords(name, { cause, reason, since, need, everywhere, next_try }) {
  const where = everywhere ? `${name}, as everywhere` : name;
  const whose = need ? ` Only jobs that need ${need}.` : "";
  const again = next_try === null ? "One population tries now." : `Tried again ${dateTime(next_try)}.`;
  return `${where}: ${reason.includes(cause) ? reason : `${cause}: ${reason}`}. Since ${dateTime(since)}. ${again}${whose}`;
}

async function refresh() {
  try {
    const page = await get(`/jobs?limit=${Math.min(LIMIT, Math.max(PAGE, rows.size))}`);
    const is_first = rows.size === 0;
    merge(page.items);
    showCircuits((await get("/workers")).items);
    if (is_first) setCursor(page.next_cursor);
    setStatus("live", "Live");
  } catch (error) {
    if (rows.size === 0) byId("jobs").replaceChildren(notice("error", "The jobs could not be loaded", error.message));
    setStatus("reconnecting", "Not reachable, trying again");
  }
}

async function loadOlder() {
  byId("older").disabled = true;
  try {
    const page = await get(`/jobs?limit=${PAGE}&cursor=${encodeURIComponent(cursor)}`);
    body.append(...page.items.map(update));
    setCursor(page.next_cursor);
  } catch (error) {
    setStatus("reconnecting", error.message);
  } finally {
    byId("older").disabled = false;
  }
}

function setCursor(next) {
  cursor = next;
  byId("older").hidden = next === null;
}

function setStatus(kind, text) {
  byId("refresh").className = `pill pill-${kind}`;
  setText(byId("refresh"), text);
}

async function loop() {
  if (!document.hidden) await refresh();
  setTimeout(loop, REFRESH_MS);
}

byId("jobs").replaceChildren(notice("loading", "Loading the jobs"));
byId("older").addEventListener("click", loadOlder);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
loop();
