"""Stand-ins for the truth that the trials of a population are shown: noisy labels, replaced images.

Legend: K trials, S training samples, V validation samples, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from s2e.data.datasets import SplitData, noisy_labels, noisy_validation_labels
from s2e.data.open_set import OWN, foreign_rows
from s2e.data.transition import matrix
from s2e.data.validation import scores
from s2e.words import DataSpec

OUT_OF_SET = -2
"""The true class of a sample whose image comes from another set: no label and no prediction is it."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Of each trial, on the device."""

    label_KS: torch.Tensor
    """Labels it trains on."""
    true_label_KS: torch.Tensor
    """Labels before the noise, OUT_OF_SET where the image was replaced."""
    image_row_KS: torch.Tensor | None
    """Open-set noise: which training image each sample has, the foreign ones counted after the S of the set."""
    validation_label_KV: torch.Tensor | None
    """Noisy validation labels; None: the clean ones."""
    score_CC: torch.Tensor | None
    """Credit of a prediction in validation accuracy [label, predicted]; None: 1 where it is the label."""

    def of(self, alive_K: torch.Tensor) -> Seen:
        """The same of the trials ``alive_K``."""

        def rows(value: torch.Tensor | None) -> torch.Tensor | None:
            return None if value is None else value[alive_K]

        return Seen(
            self.label_KS[alive_K],
            self.true_label_KS[alive_K],
            rows(self.image_row_KS),
            rows(self.validation_label_KV),
            self.score_CC,
        )


def see(
    spec: DataSpec,
    data: SplitData,
    rows: torch.Tensor,
    noise_seeds: Sequence[int],
    data_root: str | None,
    device: torch.device,
) -> Seen:
    """The noise of each trial; ``data`` holds the training samples ``rows`` [S] of the whole split."""
    label_KS = torch.stack([noisy_labels(spec, seed, data_root)[rows] for seed in noise_seeds])
    true_KS = data.train.labels.expand_as(label_KS)
    image_row_KS = None
    if spec.noise.kind == "open_set":
        n_whole = len(noisy_labels(spec, noise_seeds[0], data_root))
        foreign_KS = torch.stack([foreign_rows(spec, n_whole, seed, data_root)[rows] for seed in noise_seeds])
        image_row_KS = torch.where(foreign_KS == OWN, torch.arange(len(rows)), len(rows) + foreign_KS)
        true_KS = torch.where(foreign_KS == OWN, true_KS, OUT_OF_SET)
    validation_KV = score_CC = None
    if spec.validation_labels != "clean":
        validation_KV = torch.stack([noisy_validation_labels(spec, seed, data_root) for seed in noise_seeds])
    if spec.validation_labels == "noisy_corrected" and not data.validates_by_trust:
        score_CC = torch.from_numpy(scores(matrix(spec, data.n_classes)))
    on_device = (label_KS, true_KS, image_row_KS, validation_KV, score_CC)
    return Seen(*(None if value is None else value.to(device) for value in on_device))  # type: ignore[arg-type]
