// Every search trial's R(t), coloured by validation accuracy, with the recommended one on top.

import { Chart, color, figure, legend, line, ramp, unitAxis, xAxis } from "./charts.js";
import { byId, h, setText, svg } from "./dom.js";
import { fraction, percent, shapeWords, trialName } from "./format.js";

const STOPS = 8;
const NEAR_PX = 24;
const HEIGHT = 410;

export class SchedulesPanel {
  constructor({ model, choose, chosen }) {
    this.model = model;
    this.parts = ["schedules", "trials"];
    this.picked = chosen;
    this.gradient = svg("linearGradient", { id: "ramp" });
    this.low = h("span", { class: "num" });
    this.high = h("span", { class: "num" });
    this.rampLegend = h("div", { class: "ramp" }, "validation accuracy", this.low,
      svg("svg", { class: "ramp-bar", viewBox: "0 0 120 10", "aria-hidden": "true" }, this.gradient, svg("rect", { width: 120, height: 10, rx: 3, fill: "url(#ramp)" })),
      this.high);
    this.figure = figure(byId("schedules"), h("div", { class: "legend-row" }, this.rampLegend,
      legend(["recommended", "recommended"], ["pending", "not finished"])));
    this.chart = new Chart(this.figure.plot, {
      height: HEIGHT,
      axes: [xAxis("epoch t"), unitAxis("keep rate R(t)")],
      scales: { x: { time: false }, y: { range: [0, 1] } },
      series: [{ show: false }],
      draw: (u, ctx) => this.draw(u, ctx),
      hover: (u, left, top) => this.hover(u, left, top),
      pick: choose,
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.render());
  }

  render() {
    const { epochs, items } = this.model.schedules;
    this.curves = [...items.values()].filter((item) => item.label === "search").map((item) => this.curve(item));
    if (this.curves.length === 0) {
      this.figure.say("No schedule has been drawn yet.");
      return;
    }
    const known = this.curves.map(({ accuracy }) => accuracy).filter((value) => value !== null).sort((a, b) => a - b);
    this.domain = domain(known);
    this.curves.forEach((curve) => Object.assign(curve, { paint: this.paint(curve.accuracy) }));
    this.canvas = null;
    this.curves.sort((a, b) => (a.accuracy ?? -1) - (b.accuracy ?? -1));
    this.renderRamp(known);
    this.chart.setData([epochs, epochs.map(() => null)]);
    this.figure.say(this.words(known));
  }

  curve(item) {
    const trial = this.model.trials.get(item.id) ?? item;
    return { item, accuracy: trial.validation_accuracy, recommended: this.model.isRecommended(item) };
  }

  paint(accuracy) {
    if (accuracy === null) return null;
    const [low, high] = this.domain;
    return ramp(high > low ? Math.min(1, Math.max(0, (accuracy - low) / (high - low))) : 1);
  }

  renderRamp(known) {
    this.rampLegend.hidden = known.length === 0;
    const clipped = known.length > 0 && known[0] < this.domain[0];
    setText(this.low, `${clipped ? "≤ " : ""}${percent(this.domain[0])}`);
    setText(this.high, percent(this.domain[1]));
    this.gradient.replaceChildren(...Array.from({ length: STOPS }, (_, i) => svg("stop", { offset: i / (STOPS - 1), "stop-color": ramp(i / (STOPS - 1)) })));
  }

  draw(u, ctx) {
    const lit = this.chart.highlighted ?? this.picked()?.id;
    ctx.drawImage(this.background(u, ctx.canvas), 0, 0);
    for (const curve of this.curves) {
      if (curve.item.id === lit) this.halo(u, ctx, curve, curve.paint ?? color("pending"));
    }
    for (const curve of this.curves) {
      if (curve.recommended) this.halo(u, ctx, curve, color("strong"));
    }
  }

  /** All curves on a canvas of their own, drawn anew only where they or the size changed, not when the pointer moves. */
  background(u, { width, height }) {
    if (this.canvas?.width === width && this.canvas.height === height) return this.canvas;
    const { epochs } = this.model.schedules;
    this.canvas = new OffscreenCanvas(width, height);
    const ctx = this.canvas.getContext("2d");
    for (const { item, paint } of this.curves) {
      if (paint === null) line(u, ctx, epochs, item.keep_rate, color("pending"), 1, [3, 3]);
      else line(u, ctx, epochs, item.keep_rate, paint, 1.6);
    }
    return this.canvas;
  }

  halo(u, ctx, { item }, paint) {
    const { epochs } = this.model.schedules;
    line(u, ctx, epochs, item.keep_rate, color("surface"), 7);
    line(u, ctx, epochs, item.keep_rate, paint, 3.4);
  }

  hover(u, left, top) {
    const at = u.cursor.idx;
    if (at === null || at === undefined) return null;
    let best = null;
    for (const curve of this.curves) {
      const away = Math.abs(u.valToPos(curve.item.keep_rate[at], "y") - top);
      if (away < (best?.away ?? NEAR_PX)) best = { away, curve };
    }
    if (best === null) return null;
    const { item, accuracy, recommended } = best.curve;
    const validation = accuracy === null ? item.state : `validation ${percent(accuracy)}`;
    return { id: item.id, text: `${trialName(item)}${recommended ? ", recommended" : ""}: R(${this.model.schedules.epochs[at]}) = ${fraction(item.keep_rate[at])}, ${validation}` };
  }

  chosen() {
    this.chart.redraw();
  }

  words(known) {
    const found = this.curves.find(({ recommended }) => recommended);
    const spread = known.length ? ` Validation accuracy from ${percent(known[0])} to ${percent(known.at(-1))}.` : "";
    const rate = found?.item.keep_rate;
    const provisional = this.model.ended ? "" : " so far";
    const recommended = rate ? ` Recommended${provisional}: ${trialName(found.item)}, ${shapeWords(rate)}.` : "";
    return `${this.curves.length} schedules, ${known.length} trained.${spread}${recommended}`;
  }
}

/** Colours span the lower quartile to the best: differences among good trials are small beside those to ruined ones. */
function domain(known) {
  if (known.length === 0) return [0, 1];
  return [known[Math.floor(0.25 * known.length)], known.at(-1)];
}
