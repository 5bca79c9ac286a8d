// Elements from data. Text only ever becomes a text node, so nothing a user wrote is read as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** An HTML element: h("p", {class: "muted"}, "text", child). */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element, with the same arguments as h. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export const byId = (id) => document.getElementById(id);

/** Set the text of an element only where it differs, so that a selection of the reader survives updates. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A message in the place of missing content: kind is "empty", "loading" or "error". */
export function notice(kind, title, ...details) {
  return h("div", { class: `notice notice-${kind}`, role: kind === "error" ? "alert" : "status" },
    h("p", { class: "notice-title" }, title),
    ...details.map((detail) => (typeof detail === "string" ? h("p", {}, detail) : detail)));
}

/** Run at most once per `wait_ms`, never twice at the same time, and once more after a call that came in between. */
export function throttle(action, wait_ms) {
  let busy = false;
  let again = false;
  return async function run() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    again = false;
    try {
      await action();
    } finally {
      setTimeout(() => {
        busy = false;
        if (again) run();
      }, wait_ms);
    }
  };
}

/** Ask before acting. Resolves to true when the reader agreed. */
export function confirmed(title, text, verb) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "dialog", "aria-label": title },
      h("form", { method: "dialog" },
        h("h2", {}, title),
        h("p", {}, text),
        h("div", { class: "dialog-buttons" },
          h("button", { class: "button", value: "no" }, "Keep as it is"),
          h("button", { class: "button button-primary", value: "yes" }, verb))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
