// Registered data sets: the list, and one of them as it was when it was read.

import { get, request } from "./api.js";
import { byId, confirmed, h, notice } from "./dom.js";
import { dateTime } from "./format.js";

const MOST_CLASSES = 40;
const count = (n) => n.toLocaleString("en");

async function showList() {
  try {
    const sets = (await get("/datasets")).items.filter(({ registered }) => registered);
    byId("sets").replaceChildren(sets.length ? table(sets) : notice("empty", "No data set is registered",
      "Register one from a terminal; a job then names it in data.registered.",
      h("pre", {}, "s2e data add flowers ~/flowers --kind images --set size=64")));
  } catch (error) {
    byId("sets").replaceChildren(notice("error", "The data sets could not be loaded", error.message));
  }
}

function table(sets) {
  return h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Data set"), h("th", { scope: "col" }, "What it is"))),
    h("tbody", {}, ...sets.map(({ name, summary }) => h("tr", { "data-set": name },
      h("td", {}, h("a", { class: "job-link", href: `#${name}` }, name)), h("td", {}, summary)))));
}

async function showOne() {
  const name = decodeURIComponent(location.hash.slice(1));
  const panel = byId("set");
  panel.hidden = name === "";
  if (name === "") return;
  try {
    const kept = await get(`/datasets/${encodeURIComponent(name)}`);
    if (decodeURIComponent(location.hash.slice(1)) === name) panel.replaceChildren(...details(kept));
  } catch (error) {
    panel.replaceChildren(notice("error", `${name} could not be loaded`, error.message));
  }
}

function details(kept) {
  const error = h("p", { class: "field-error", role: "alert" });
  const button = h("button", { class: "button", type: "button", onclick: () => remove(kept, error) }, "Remove");
  const owner = kept.owner ? ` by ${kept.owner}` : "";
  return [
    h("div", { class: "card-head" }, h("h2", { id: "set-title" }, kept.name), button),
    h("p", { class: "muted" }, `${kept.kind}, registered ${dateTime(kept.created_at)}${owner}`),
    error,
    h("dl", { class: "facts" }, ...facts(kept).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    h("h3", {}, "Classes"), ...classes(kept.preview.classes),
    h("h3", {}, "Proposed, where a job does not say otherwise"), list(kept.proposed.reasons),
    h("h3", {}, "Newest jobs that name it"),
    kept.jobs.length ? list(kept.jobs.map((id) => h("a", { href: `/jobs/${id}` }, id))) : h("p", { class: "muted" }, "None yet."),
  ];
}

function facts({ preview: seen, fingerprint, data }) {
  const missing = Object.entries(seen.missing).map(([column, n]) => `${column}: ${count(n)}`).join(", ");
  return [
    ["Rows", `${count(seen.n_rows)}: ${count(seen.n_train)} train or validate, ${count(seen.n_test)} test`],
    ["Shape of a sample", seen.shape.join(" x ")],
    ["Rows that repeat an earlier one", `${count(seen.n_duplicates)}, ${count(seen.n_disagreeing)} of them with another label`],
    ["Missing cells", missing || "none"],
    ["Files left out", seen.n_skipped ? `${count(seen.n_skipped)}: ${seen.skipped.join(", ")}` : "none"],
    ...(seen.notes?.length ? [["Read as", list(seen.notes)]] : []),
    ["Trusted rows", seen.trusted || "none"],
    ["Path below the data root", data.params.path ?? data.csv.path],
    ["Fingerprint", h("code", {}, fingerprint)],
  ];
}

function classes(all) {
  const most = Math.max(...all.map(({ n_rows }) => n_rows));
  const rows = all.slice(0, MOST_CLASSES).map(({ name, n_rows }) => h("tr", {},
    h("th", { scope: "row" }, name), h("td", { class: "num" }, count(n_rows)),
    h("td", { class: "cell-progress" }, h("progress", { max: most, value: n_rows, "aria-label": `rows of ${name}` }))));
  const more = all.length > MOST_CLASSES ? [h("p", { class: "muted" }, `and ${all.length - MOST_CLASSES} classes more`)] : [];
  return [h("table", { class: "classes" }, h("tbody", {}, ...rows)), ...more];
}

function list(items) {
  return h("ul", { class: "plain" }, ...items.map((item) => h("li", {}, item)));
}

async function remove({ name }, error) {
  const text = "Jobs of the past keep their results, and say that their data are gone. Files that were sent for it are deleted.";
  if (!(await confirmed(`Remove ${name}?`, text, "Remove the data set"))) return;
  try {
    await request(`/datasets/${encodeURIComponent(name)}`, { method: "DELETE" });
    location.hash = "";
    await showList();
  } catch (refused) {
    error.textContent = refused.message;
  }
}

byId("sets").replaceChildren(notice("loading", "Loading the data sets"));
window.addEventListener("hashchange", showOne);
showList();
showOne();
