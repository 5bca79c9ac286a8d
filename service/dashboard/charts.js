// What every chart shares: theme, colour ramp, axes, a tooltip, and a uPlot that follows its container and the theme.

import { h, svg } from "./dom.js";
import uPlot from "./vendor/uPlot.esm.js";

const DARK = matchMedia("(prefers-color-scheme: dark)");
const HEIGHT = 290;
// Viridis: even steps of perceived lightness, readable with every kind of colour blindness.
const VIRIDIS = ["#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70", "#7ad151", "#bddf26", "#fde725"]
  .map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));

/** A colour of the style sheet. */
export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** The ramp at u in [0, 1]; the best value stands out most from the background, in light and dark. */
export function ramp(u) {
  const at = (DARK.matches ? 0.22 + 0.78 * u : 0.9 - 0.9 * u) * (VIRIDIS.length - 1);
  const i = Math.min(VIRIDIS.length - 2, Math.floor(at));
  const mixed = VIRIDIS[i].map((low, c) => Math.round(low + (at - i) * (VIRIDIS[i + 1][c] - low)));
  return `rgb(${mixed.join(", ")})`;
}

/** A path that holds each value until the next. */
export const stepped = uPlot.paths.stepped({ align: 1 });

const axis = (label, more = {}) => ({
  label,
  labelSize: 18,
  labelGap: 2,
  labelFont: "12px system-ui, sans-serif",
  font: "12px system-ui, sans-serif",
  stroke: () => color("muted"),
  grid: { stroke: () => color("grid"), width: 1 },
  ticks: { stroke: () => color("grid"), width: 1, size: 4 },
  ...more,
});

export const xAxis = (label) => axis(label, { size: 30, incrs: [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 2000, 5000] });
export const shareAxis = (label) => axis(label, { size: 52, values: (_, ticks) => ticks.map((tick) => `${+(100 * tick).toFixed(1)}\u202f%`) });
export const unitAxis = (label) => axis(label, { size: 44, values: (_, ticks) => ticks.map((tick) => tick.toFixed(1)) });

/** One chart in `host`. `options` are uPlot's; `draw(u, ctx)` paints below the series, clipped to the plot.
 *
 * `hover(u, left, top)` answers {text, id} of what is under the pointer, or null; `pick(id)` hears a click on it.
 */
export class Chart {
  constructor(host, options) {
    this.host = host;
    this.options = options;
    this.data = null;
    this.highlighted = null;
    this.tip = h("div", { class: "chart-tip", hidden: true });
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(host);
    DARK.addEventListener("change", () => this.rebuild());
  }

  size() {
    return { width: Math.max(200, this.host.clientWidth), height: this.options.height ?? HEIGHT };
  }

  setData(data) {
    const is_new = this.plot === undefined || this.data.length !== data.length;
    this.data = data;
    if (is_new) this.rebuild();
    else this.plot.setData(data);
  }

  /** Lines of {name, width, dash} with their data; the plot is made anew only where the looks changed. */
  setLines(lines, data) {
    const key = JSON.stringify(lines.map(({ name, width, dash }) => [name, width, dash]));
    this.options.series = lines.map(({ name, width, dash }) => ({ stroke: () => color(name), width, dash, points: { show: false }, spanGaps: true }));
    if (key === this.key) {
      this.setData(data);
      return;
    }
    this.key = key;
    this.data = data;
    this.rebuild();
  }

  redraw() {
    this.plot?.redraw(false);
  }

  rebuild() {
    if (this.data === null) return;
    this.plot?.destroy();
    const { draw, hover, axes, scales, series } = this.options;
    this.plot = new uPlot({
      ...this.size(),
      axes,
      scales,
      series: [{}, ...series],
      legend: { show: false },
      cursor: { y: false, drag: { setScale: false, x: false, y: false }, points: { show: hover === undefined } },
      hooks: {
        drawAxes: draw ? [(u) => clipped(u, draw)] : [],
        setCursor: hover ? [(u) => this.point(u)] : [],
      },
    }, this.data, this.host);
    this.plot.over.append(this.tip);
    this.plot.over.addEventListener("click", () => this.highlighted !== null && this.options.pick?.(this.highlighted));
  }

  /** Show the tooltip for what is under the pointer and redraw only where that changed. */
  point(u) {
    const { left, top } = u.cursor;
    const found = left < 0 ? null : this.options.hover(u, left, top);
    this.tip.hidden = found === null;
    if (found !== null) {
      this.tip.textContent = found.text;
      const shift = left > u.over.clientWidth / 2 ? "calc(-100% - 12px)" : "12px";
      this.tip.style.transform = `translate(${left}px, ${top}px) translate(${shift}, -50%)`;
    }
    const id = found?.id ?? null;
    u.over.style.cursor = id !== null && this.options.pick ? "pointer" : "default";
    if (id === this.highlighted) return;
    this.highlighted = id;
    u.redraw(false);
  }
}

function clipped(u, draw) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top - 3, bbox.width, bbox.height + 6);
  ctx.clip();
  draw(u, ctx);
  ctx.restore();
}

/** A line through (x, y) in the plot's scales; width in CSS pixels. */
export function line(u, ctx, xs, ys, stroke, width, dash = []) {
  const ratio = devicePixelRatio;
  ctx.beginPath();
  ys.forEach((y, i) => ctx.lineTo(u.valToPos(xs[i], "x", true), u.valToPos(y, "y", true)));
  ctx.strokeStyle = stroke;
  ctx.lineWidth = width * ratio;
  ctx.lineJoin = "round";
  ctx.setLineDash(dash.map((part) => part * ratio));
  ctx.stroke();
  ctx.setLineDash([]);
}

/** The band between two curves. */
export function band(u, ctx, xs, low, high, paint) {
  ctx.beginPath();
  high.forEach((y, i) => ctx.lineTo(u.valToPos(xs[i], "x", true), u.valToPos(y, "y", true)));
  for (let i = low.length - 1; i >= 0; i -= 1) ctx.lineTo(u.valToPos(xs[i], "x", true), u.valToPos(low[i], "y", true));
  ctx.closePath();
  ctx.fillStyle = paint;
  ctx.fill();
}

/** A legend entry: the swatch's look comes from the style sheet class `swatch-NAME`. */
export function legend(...entries) {
  return h("ul", { class: "legend" }, ...entries.map(([name, text]) => h("li", {}, h("span", { class: `swatch swatch-${name}` }), text)));
}

/** How a line of {name, width, dash} looks in its chart, beside words. */
export function sample({ name, width = 2.4, dash = [] }) {
  return svg("svg", { class: "sample", viewBox: "0 0 24 8", "aria-hidden": "true" },
    svg("line", { x1: 0, x2: 24, y1: 4, y2: 4, stroke: `var(--${name})`, "stroke-width": width, "stroke-dasharray": dash.join(" ") || null }));
}

/** A legend of lines of {name, width, dash, words}, each as it is drawn. */
export function lineLegend(lines) {
  return h("ul", { class: "legend" }, ...lines.map((line) => h("li", {}, sample(line), line.words)));
}

/** The parts of a figure: plot area, legend and a summary in words, which also names the plot for screen readers. */
export function figure(host, ...below) {
  const plot = h("div", { class: "plot", role: "img" });
  const summary = h("figcaption", { class: "summary" });
  host.append(plot, ...below, summary);
  return {
    plot,
    say(text) {
      summary.textContent = text;
      plot.setAttribute("aria-label", text);
    },
  };
}
