// The distribution contract: quantiles of R(t) under p_theta of each round, large for one round and small for all.

import { band, Chart, color, figure, legend, line, unitAxis, xAxis } from "./charts.js";
import { byId, h, setText, svg } from "./dom.js";
import { fraction } from "./format.js";

const MOST_SMALL = 12;
const SMALL = { width: 84, height: 46, pad: 3 };

export class FanPanel {
  constructor({ model }) {
    this.model = model;
    this.parts = ["rounds", "schedules"];
    this.at = 0;
    this.following = true;
    this.fans = [];
    this.slider = h("input", { type: "range", min: 0, max: 0, value: 0, step: 1, id: "fan-round", oninput: () => this.show(Number(this.slider.value)) });
    this.back = h("button", { class: "button button-small", type: "button", "aria-label": "previous round", onclick: () => this.show(this.at - 1) }, "‹");
    this.next = h("button", { class: "button button-small", type: "button", "aria-label": "next round", onclick: () => this.show(this.at + 1) }, "›");
    this.label = h("output", { class: "num", for: "fan-round" });
    this.small = h("div", { class: "multiples", role: "group", "aria-label": "rounds" });
    this.figure = figure(byId("fan"),
      h("div", { class: "stepper" }, h("label", { for: "fan-round" }, "Round"), this.back, this.slider, this.next, this.label),
      this.small,
      legend(["median", "median"], ["inner", "25–75 %"], ["outer", "5–95 %"], ["first", "5–95 % of round 0"], ["draw", "this round's trials"]));
    this.chart = new Chart(this.figure.plot, {
      axes: [xAxis("epoch t"), unitAxis("keep rate R(t)")],
      scales: { x: { time: false }, y: { range: [0, 1] } },
      series: [{ show: false }],
      draw: (u, ctx) => this.draw(u, ctx),
    });
  }

  render() {
    this.fans = [...this.model.rounds.values()].filter((round) => round.fan !== null).sort((a, b) => a.round - b.round);
    if (this.fans.length === 0) {
      this.figure.say("No round has started yet.");
      return;
    }
    this.slider.max = this.fans.length - 1;
    this.show(this.following ? this.fans.length - 1 : this.at);
  }

  show(at) {
    this.at = Math.min(this.fans.length - 1, Math.max(0, at));
    this.following = this.at === this.fans.length - 1;
    this.slider.value = this.at;
    this.back.disabled = this.at === 0;
    this.next.disabled = this.following;
    setText(this.label, `${this.fans[this.at].round} of ${this.fans.at(-1).round}`);
    const { epochs } = this.fans[this.at].fan;
    this.chart.setData([epochs, epochs.map(() => null)]);
    this.renderSmall();
    this.figure.say(this.words());
  }

  draw(u, ctx) {
    const { round, fan } = this.fans[this.at];
    band(u, ctx, fan.epochs, fan.q05, fan.q95, color("fan-outer"));
    band(u, ctx, fan.epochs, fan.q25, fan.q75, color("fan-inner"));
    if (this.at > 0) {
      const first = this.fans[0].fan;
      line(u, ctx, first.epochs, first.q05, color("muted"), 1, [2, 3]);
      line(u, ctx, first.epochs, first.q95, color("muted"), 1, [2, 3]);
    }
    for (const item of this.model.schedules.items.values()) {
      if (item.round === round) line(u, ctx, this.model.schedules.epochs, item.keep_rate, color("draw"), 1);
    }
    line(u, ctx, fan.epochs, fan.q50, color("accent"), 2.6);
  }

  /** At most a dozen rounds, evenly spread, each a button. */
  renderSmall() {
    const n = Math.min(MOST_SMALL, this.fans.length);
    const places = Array.from({ length: n }, (_, i) => (n === 1 ? 0 : Math.round((i * (this.fans.length - 1)) / (n - 1))));
    const key = places.map((place) => this.fans[place].round).join();
    if (key !== this.key) {
      this.small.replaceChildren(...places.map((place) => this.smallFan(place)));
      this.key = key;
    }
    for (const button of this.small.children) button.setAttribute("aria-pressed", String(Number(button.dataset.place) === this.at));
  }

  smallFan(place) {
    const { round, fan } = this.fans[place];
    const button = h("button", { class: "multiple", type: "button", "data-place": place, onclick: () => this.show(place) },
      svg("svg", { viewBox: `0 0 ${SMALL.width} ${SMALL.height}`, "aria-hidden": "true", preserveAspectRatio: "none" },
        svg("path", { class: "fan-outer", d: area(fan, fan.q05, fan.q95) }),
        svg("path", { class: "fan-inner", d: area(fan, fan.q25, fan.q75) }),
        svg("path", { class: "fan-median", d: path(fan, fan.q50) })),
      h("span", {}, `round ${round}`));
    return button;
  }

  words() {
    const { round, fan } = this.fans[this.at];
    const last = fan.q50.length - 1;
    const compared = this.at > 0 ? `, ${fraction(width(this.fans[0].fan))} in round 0` : "";
    return `Round ${round}: the median schedule falls to ${fraction(Math.min(...fan.q50))} and ends at ${fraction(fan.q50[last])}. Mean width of the 5–95 % band: ${fraction(width(fan))}${compared}.`;
  }
}

/** Mean over the epochs of q95 - q05. */
function width(fan) {
  return fan.q95.reduce((sum, high, i) => sum + high - fan.q05[i], 0) / fan.q95.length;
}

function place(fan, ys, i) {
  const x = (SMALL.width * i) / Math.max(1, fan.epochs.length - 1);
  return `${x.toFixed(1)} ${(SMALL.pad + (1 - ys[i]) * (SMALL.height - 2 * SMALL.pad)).toFixed(1)}`;
}

function path(fan, ys) {
  return `M${ys.map((_, i) => place(fan, ys, i)).join("L")}`;
}

function area(fan, low, high) {
  const back = low.map((_, i) => place(fan, low, low.length - 1 - i));
  return `${path(fan, high)}L${back.join("L")}Z`;
}
