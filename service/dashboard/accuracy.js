// Validation accuracy of each search trial, in the order of the search, with the best so far.

import { Chart, color, figure, legend, shareAxis, stepped, xAxis } from "./charts.js";
import { byId } from "./dom.js";
import { percent, trialName } from "./format.js";

const NEAR_PX = 18;
const PAD = 0.06;

export class AccuracyPanel {
  constructor({ model, choose, chosen }) {
    this.model = model;
    this.parts = ["trials", "schedules"];
    this.picked = chosen;
    this.figure = figure(byId("accuracy"), legend(["point", "one trial"], ["best", "best so far"], ["recommended-point", "recommended"], ["failed", "failed"]));
    this.chart = new Chart(this.figure.plot, {
      axes: [xAxis("trial, in order; shaded by round"), shareAxis("validation accuracy")],
      scales: { x: { time: false, range: (_, low, high) => [low - 0.7, Math.max(high, low + 1) + 0.7] }, y: { range: (_, low, high) => padded(low, high) } },
      series: [{ show: true, stroke: () => color("best"), width: 2, points: { show: false }, paths: stepped }, { stroke: "transparent", width: 0, points: { show: false } }],
      draw: (u, ctx) => this.draw(u, ctx),
      hover: (u, left, top) => this.hover(u, left, top),
      pick: choose,
    });
  }

  render() {
    this.trials = this.model.searched();
    if (this.trials.length === 0) {
      this.figure.say("No trial yet.");
      return;
    }
    let best = null;
    const values = this.trials.map((trial) => trial.validation_accuracy);
    const running = this.compared().map((value) => (best = value === null ? best : Math.max(best ?? 0, value)));
    this.chart.setData([this.trials.map((_, i) => i), running, values]);
    this.figure.say(this.words());
  }

  /** The accuracies that compete for the best run: parts of trainings rank otherwise, and count only among their like. */
  compared() {
    const known = this.trials.filter((trial) => trial.validation_accuracy !== null);
    const most = Math.max(0, ...known.map((trial) => trial.share));
    return this.trials.map((trial) => (trial.share === most ? trial.validation_accuracy : null));
  }

  draw(u, ctx) {
    this.shade(u, ctx);
    const ratio = devicePixelRatio;
    const lit = this.chart.highlighted ?? this.picked()?.id;
    this.trials.forEach((trial, i) => {
      const x = u.valToPos(i, "x", true);
      if (trial.state === "failed") cross(u, ctx, x);
      if (trial.validation_accuracy === null) return;
      const y = u.valToPos(trial.validation_accuracy, "y", true);
      const recommended = this.model.isRecommended(trial);
      ctx.beginPath();
      ctx.arc(x, y, (recommended ? 6 : trial.id === lit ? 5.5 : 3.8) * ratio, 0, 2 * Math.PI);
      ctx.fillStyle = color(recommended ? "strong" : "accent");
      ctx.fill();
      ctx.strokeStyle = color(trial.id === lit ? "text" : "surface");
      ctx.lineWidth = 1.5 * ratio;
      ctx.stroke();
    });
  }

  /** Every second round on a shaded ground. */
  shade(u, ctx) {
    const { top, height } = u.bbox;
    ctx.fillStyle = color("shade");
    this.trials.forEach((trial, i) => {
      if (trial.round % 2 === 0) return;
      const from = u.valToPos(i - 0.5, "x", true);
      ctx.fillRect(from, top, u.valToPos(i + 0.5, "x", true) - from, height);
    });
  }

  hover(u, left, top) {
    let best = null;
    this.trials.forEach((trial, i) => {
      if (trial.validation_accuracy === null) return;
      const away = Math.hypot(u.valToPos(i, "x") - left, u.valToPos(trial.validation_accuracy, "y") - top);
      if (away < (best?.away ?? NEAR_PX)) best = { away, trial };
    });
    return best && { id: best.trial.id, text: `${trialName(best.trial)}: ${percent(best.trial.validation_accuracy)}` };
  }

  chosen() {
    this.chart.redraw();
  }

  words() {
    const values = this.compared();
    const known = this.trials.filter((trial) => trial.validation_accuracy !== null);
    if (known.length === 0) return this.emptyWords();
    const best = this.trials[values.indexOf(Math.max(...values.filter((value) => value !== null)))];
    return `${known.length} of ${values.length} trials have a validation accuracy. Best single run: ${trialName(best)} with ${percent(best.validation_accuracy)}. One run is partly luck, so the recommendation goes by the posterior mean.`;
  }

  emptyWords() {
    const n = (...states) => this.trials.filter((trial) => states.includes(trial.state)).length;
    const [n_open, n_failed] = [this.trials.length - n("succeeded", "failed", "cancelled"), n("failed")];
    const failed = n_failed ? `, ${n_failed} failed` : "";
    if (n_open > 0) return `${n_open} of ${this.trials.length} trials under way or waiting${failed}, none has an accuracy yet.`;
    return `None of ${this.trials.length} trials has a validation accuracy: ${n_failed} failed, ${n("cancelled")} cancelled.`;
  }
}

function padded(low, high) {
  if (low === null) return [0, 1];
  const room = Math.max(0.01, (high - low) * PAD);
  return [Math.max(0, low - room), Math.min(1, high + room)];
}

/** A cross at the bottom for a trial without a value. */
function cross(u, ctx, x) {
  const r = 4 * devicePixelRatio;
  const y = u.bbox.top + u.bbox.height - 2 * r;
  ctx.beginPath();
  ctx.moveTo(x - r, y - r);
  ctx.lineTo(x + r, y + r);
  ctx.moveTo(x - r, y + r);
  ctx.lineTo(x + r, y - r);
  ctx.strokeStyle = color("bad");
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.stroke();
}
