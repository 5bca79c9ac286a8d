// What can be drawn of one trial: the lines of each view, from the answer of /trials/{id}/epochs, and what its accuracy is.

/** A line: the style sheet's colour, its words, its look, and its values. */
const line = (name, words, values, width = 2, dash = undefined) => ({ name, words, values, width, dash });

const DASHES = [undefined, [6, 4], [2, 3]];

const incorrect = ({ wrong_correct, wrong_memorised }) => wrong_correct.map((value, i) => (value === null ? null : Math.max(0, 1 - value - wrong_memorised[i])));

function networkLines({ series, networks }) {
  return [
    line("validation", "validation, ensemble", series.validation_ensemble, 3),
    line("test", "test, ensemble", series.test_ensemble, 3),
    ...networks.flatMap((network, n) => [
      line("validation", `validation, network ${n}`, network.validation_accuracy, 1.2, DASHES[(n + 1) % DASHES.length]),
      line("test", `test, network ${n}`, network.test_accuracy, 1.2, DASHES[(n + 1) % DASHES.length]),
    ])];
}

export const VIEWS = {
  overview: {
    title: "accuracy and selection",
    about: "Means over its networks. Click a curve, a point or a row to choose another.",
    lines: ({ series }, accuracy) => [
      line("validation", "validation accuracy", series.validation_accuracy, 2.4),
      line("test", `${accuracy} (shown, never searched on)`, series.test_accuracy, 1.8, [6, 4]),
      line("precision", "label precision (clean among selected)", series.label_precision),
      line("keep", "keep rate R(t)", series.keep_rate, 1.6, [2, 3])],
    range: () => [0, 1],
  },
  networks: {
    title: "each network and the ensemble",
    about: "The ensemble predicts the class with the largest sum of the networks' logits; it is never mixed with the mean over networks.",
    lines: networkLines,
    range: (low, high) => {
      const room = Math.max(0.01, 0.06 * (high - low));
      return [Math.max(0, low - room), Math.min(1, high + room)];
    },
  },
  memorisation: {
    title: "memorisation of wrong labels",
    about: "Training samples, by the label they carry (ELR Fig. 1), as the networks predicted them when they trained on them.",
    lines: ({ series }) => [
      line("precision", "clean label: correct", series.clean_correct, 2.4),
      line("validation", "wrong label: true class", series.wrong_correct, 2.4),
      line("bad", "wrong label: memorised", series.wrong_memorised, 2.4),
      line("muted", "wrong label: neither", incorrect(series), 1.4, [6, 4]),
      line("keep", "training accuracy, noisy labels", series.train_accuracy, 1.6, [2, 3])],
    range: () => [0, 1],
  },
};
