// One number of every epoch for each entry of a comparison: the mean over its seeds, and their range as a band.

import { get } from "./api.js";
import { band, Chart, color, figure, lineLegend, shareAxis, xAxis } from "./charts.js";
import { byId, h, throttle } from "./dom.js";
import { percent } from "./format.js";

const REFRESH_MS = 2000;
const NEAR_PX = 24;
const PAD = 0.05;
const COLOURS = 8;
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
const FIRST = "test_accuracy";

/** Colour and dashes of the i-th entry, the same in table, legend and chart. */
export function entryLook(i) {
  return { name: `entry-${i % COLOURS}`, width: 2.2, dash: DASHES[Math.floor(i / COLOURS) % DASHES.length] };
}

export class CompareCurvesPanel {
  constructor({ model, numbers }) {
    this.model = model;
    this.numbers = new Map(numbers.epoch.map((number) => [number.name, number]));
    this.parts = ["job", "trials", "epochs"];
    this.items = [];
    this.range = [0, 1];
    this.select = byId("compare-metric");
    this.select.append(...numbers.epoch.map(({ name, title }) => h("option", { value: name }, title)));
    this.select.value = FIRST;
    this.select.addEventListener("change", () => this.load());
    this.legend = h("div");
    this.figure = figure(byId("compare-curves"), this.legend);
    this.chart = new Chart(this.figure.plot, {
      height: 360,
      axes: [xAxis("epoch t"), { ...shareAxis(""), values: (_, ticks) => ticks.map((tick) => this.words(tick)) }],
      scales: { x: { time: false }, y: { range: () => this.range } },
      series: [],
      draw: (u, ctx) => this.draw(u, ctx),
      hover: (u, left, top) => this.hover(u, left, top),
    });
    this.refresh = throttle(() => this.load(), REFRESH_MS);
  }

  render() {
    if (this.model.isCompare && !this.done) this.refresh();
  }

  async load() {
    const metric = this.select.value;
    const ended = this.model.ended;
    try {
      const answer = await get(`/jobs/${this.model.id}/curves?metric=${metric}&max_points=120`);
      if (this.select.value === metric) this.show(answer);
      this.done = ended;
    } catch (error) {
      this.figure.say(`The curves could not be loaded. ${error.message}`);
    }
  }

  show({ metric, epochs, items }) {
    Object.assign(this, { metric, items });
    const values = items.flatMap(({ low, high }) => [...low, ...high]).filter((value) => value !== null);
    const lines = items.map(({ label }, i) => ({ ...entryLook(i), words: label }));
    this.legend.replaceChildren(lineLegend(lines));
    if (values.length === 0) {
      this.chart.setLines([], [epochs]);
      this.figure.say(items.length === 0 ? "No epoch has been trained yet." : `No entry has this number: ${this.numbers.get(metric).title}.`);
      return;
    }
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = Math.max(0.005, PAD * (high - low));
    this.range = [low - room, high + room];
    this.chart.setLines(lines, [epochs, ...items.map(({ mean }) => mean)]);
    this.figure.say(this.summary());
  }

  /** The range over the seeds of each entry, as far as it has come. */
  draw(u, ctx) {
    const [epochs] = this.chart.data;
    ctx.globalAlpha = 0.13;
    this.items.forEach(({ low, high }, i) => {
      const there = epochs.map((_, at) => at).filter((at) => low[at] !== null);
      if (there.length > 1) band(u, ctx, there.map((at) => epochs[at]), there.map((at) => low[at]), there.map((at) => high[at]), color(entryLook(i).name));
    });
    ctx.globalAlpha = 1;
  }

  hover(u, left, top) {
    const at = u.cursor.idx;
    if (at === null || at === undefined) return null;
    let best = null;
    for (const item of this.items) {
      if (item.mean[at] === null) continue;
      const away = Math.abs(u.valToPos(item.mean[at], "y") - top);
      if (away < (best?.away ?? NEAR_PX)) best = { away, item };
    }
    if (best === null) return null;
    const { label, mean, low, high } = best.item;
    return { id: null, text: `${label}, epoch ${this.chart.data[0][at]}: ${this.words(mean[at])}, seeds from ${this.words(low[at])} to ${this.words(high[at])}` };
  }

  words(value) {
    return this.numbers.get(this.metric)?.unit === "share" ? percent(value) : String(+value.toFixed(3));
  }

  summary() {
    const last = ({ label, mean }) => `${label} ${this.words(mean.findLast((value) => value !== null) ?? NaN)}`;
    const shown = this.items.filter(({ mean }) => mean.some((value) => value !== null));
    return `Last epoch, ${this.numbers.get(this.metric).title}: ${shown.map(last).join(", ")}. Lines are means over the seeds trained so far, bands their range.`;
  }
}
