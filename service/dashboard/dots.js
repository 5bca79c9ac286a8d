// Each seed of a row as a dot on an axis that all rows share, with mean and interval.

import { h, svg } from "./dom.js";
import { percent } from "./format.js";

const DOTS = { width: 400, height: 30, pad: 8 };

/** One axis for all rows of {values, mean, half_width}: from the lowest to the highest thing drawn. */
export function dotScale(rows) {
  const values = rows.flatMap(({ values, mean, half_width }) => (
    mean === null ? known(values) : [...known(values), mean - (half_width ?? 0), mean + (half_width ?? 0)]));
  const low = Math.max(0, Math.min(1, ...values));
  const high = Math.min(1, Math.max(0, ...values));
  const span = Math.max(1e-6, high - low);
  const x = (value) => DOTS.pad + ((DOTS.width - 2 * DOTS.pad) * (Math.min(high, Math.max(low, value)) - low)) / span;
  return { low, high, x };
}

/** The dots of one row; `kind` names its look in the style sheet. */
export function dots(kind, title, { values, mean, half_width }, { x }, accuracy = "test accuracy") {
  const middle = DOTS.height / 2;
  const seeds = known(values).map((value) => svg("circle", { cx: x(value), cy: middle, r: 4.5, class: "dot" }));
  const interval = mean === null || half_width === null ? [] : [
    svg("line", { x1: x(mean - half_width), x2: x(mean + half_width), y1: middle, y2: middle, class: "dot-interval" }),
    svg("line", { x1: x(mean), x2: x(mean), y1: 4, y2: DOTS.height - 4, class: "dot-mean" })];
  return svg("svg", { class: `dots dots-${kind}`, viewBox: `0 0 ${DOTS.width} ${DOTS.height}`, role: "img",
    "aria-label": `${title}, ${accuracy} of each seed: ${known(values).map(percent).join(", ")}` }, ...interval, ...seeds);
}

/** The ends of the shared axis, to stand below the dots. */
export function dotEnds({ low, high }) {
  return h("div", { class: "dots-scale num" }, h("span", {}, percent(low)), h("span", {}, percent(high)));
}

const known = (values) => values.filter((value) => value !== null);
