// Given labels by how wrong they look: the worst of all rows or of one part, and the whole table as a file.

import { get } from "./api.js";
import { h, notice } from "./dom.js";
import { capital, percent } from "./format.js";

const MOST = 10;
const PARTS = { "": "all rows", train: "rows that train", validation: "rows that validate", test: "rows that test" };
const HEADS = ["Row", "Part", "Given label", "Likely label", "P(wrong)", "Taken to be wrong"];

/** The audit of a job whose labels somebody gave; nothing where labels are known. */
export function labelsSection({ id, job }) {
  if (job.spec.data?.labels !== "given") return [];
  const host = h("div", { class: "scroll" });
  const parts = h("select", { id: "labels-part", "aria-label": "Part of the rows", onchange: () => show(id, parts.value, host) },
    ...Object.entries(PARTS).map(([value, words]) => h("option", { value }, words)));
  show(id, "", host);
  const href = `/api/v1/jobs/${id}/labels?format=csv`;
  return [h("section", { id: "labels" }, h("h3", {}, "Labels that look wrong, among ", parts), host,
    h("p", { class: "links" }, h("a", { href, download: `labels-${id}.csv`, id: "labels-link" }, "All labels by how wrong they look, as CSV")))];
}

async function show(id, part, host) {
  host.dataset.part = part;
  try {
    const page = await get(`/jobs/${id}/labels?limit=${MOST}${part && `&split=${part}`}`);
    if (host.dataset.part === part) host.replaceChildren(...table(page));
  } catch (error) {
    host.replaceChildren(notice("empty", "Nothing is known of the labels", error.message));
  }
}

function table({ items, n_chosen, n_rows, n_issues, note }) {
  const rows = items.map((label) => h("tr", {},
    h("th", { scope: "row" }, label.id), ...[label.split, label.given_label, label.predicted_label].map((text) => h("td", {}, text)),
    h("td", { class: "num" }, label.probability_wrong === null ? "" : percent(label.probability_wrong)), h("td", {}, label.is_label_issue ? "yes" : "")));
  return [h("p", { class: "muted small" }, `The worst ${items.length} of ${n_chosen}; of ${n_rows} labels in all ${n_issues} are taken to be wrong. ${capital(note)}.`),
    h("table", {}, h("thead", {}, h("tr", {}, ...HEADS.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, ...rows))];
}
