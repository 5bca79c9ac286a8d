// The public REST API: problems become ApiError, 401 asks for a key once and tries again.

import { h } from "./dom.js";

const BASE = "/api/v1";
let keyDialog = null;

/** A refused or failed request, with the problem document's status, code and detail. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The service answered with status ${status}.`);
    this.status = status;
    this.code = problem.code ?? "";
  }
}

async function problemOf(response) {
  const is_json = (response.headers.get("content-type") ?? "").includes("json");
  return is_json ? response.json() : { title: response.statusText };
}

/** One request. Raises ApiError; status 0 means that the service could not be reached. */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(BASE + path, { credentials: "same-origin", ...options });
  } catch {
    throw new ApiError(0, { detail: "The service cannot be reached. Is it running?" });
  }
  if (response.status === 401 && path !== "/session") {
    await askForKey();
    return request(path, options);
  }
  if (!response.ok) throw new ApiError(response.status, await problemOf(response));
  return response.status === 204 ? null : response.json();
}

export const get = (path) => request(path);
export const post = (path, body) => request(path, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: body === undefined ? undefined : JSON.stringify(body),
});

/** All pages of a list, one after the other. */
export async function* pages(path, limit = 200) {
  let cursor = null;
  do {
    const page = await get(`${path}${path.includes("?") ? "&" : "?"}limit=${limit}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    yield page.items;
    cursor = page.next_cursor;
  } while (cursor);
}

/** Ask the reader for an API key until a session is opened; requests that fail meanwhile share the one dialog. */
function askForKey() {
  keyDialog ??= new Promise((resolve) => {
    const input = h("input", { type: "password", id: "api-key", autocomplete: "current-password", required: true });
    const error = h("p", { class: "field-error", role: "alert" });
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "key-title" },
      h("form", { method: "dialog" },
        h("h2", { id: "key-title" }, "API key needed"),
        h("p", {}, "This service asks for a key. It is traded for a session cookie of one week; the page does not keep it."),
        h("label", { for: "api-key" }, "API key"),
        input,
        error,
        h("div", { class: "dialog-buttons" }, h("button", { class: "button button-primary" }, "Open session"))));
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.querySelector("form").addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await post("/session", { key: input.value });
        dialog.close();
        dialog.remove();
        resolve();
      } catch (refused) {
        error.textContent = refused.message;
      }
    });
    document.body.append(dialog);
    dialog.showModal();
  }).finally(() => {
    keyDialog = null;
  });
  return keyDialog;
}

const REOPEN_MS = 3000;

/** Follow a job's events. `onStatus` hears "live" or "reconnecting". Returns a function that stops.
 *
 * The browser reconnects by itself with Last-Event-ID while the connection merely breaks; after an error answer it
 * gives up, and the stream is opened anew behind the last event seen, which `last_id` is at the beginning.
 */
export function follow(job_id, last_id, kinds, onEvent, onStatus) {
  let source = null;
  let stopped = false;

  function open() {
    if (stopped) return;
    source = new EventSource(`${BASE}/jobs/${job_id}/events${last_id ? `?last_event_id=${last_id}` : ""}`);
    source.onopen = () => onStatus("live");
    source.onerror = () => {
      onStatus("reconnecting");
      if (source.readyState === EventSource.CLOSED) setTimeout(open, REOPEN_MS);
    };
    for (const kind of kinds) {
      source.addEventListener(kind, (event) => {
        last_id = event.lastEventId;
        onEvent(kind, JSON.parse(event.data));
      });
    }
  }

  open();
  return () => {
    stopped = true;
    source.close();
  };
}
