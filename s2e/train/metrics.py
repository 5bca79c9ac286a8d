"""The measurements of an epoch: selection, memorisation and accuracies, kept on the device and copied once.

Legend: K trials, N networks per trial, G = K * N, B batch, C classes, S samples, M steps (mini-batches) of an epoch.

Training accuracy and the split of ELR Fig. 1 come from the forward passes that train anyway, as in ELR's own program:
each sample is judged once an epoch, by the weights it met and in training mode. A pass over the training set after the
epoch would cost a third of the epoch again. A method whose step never predicts the plain samples (Mixup) has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean

import torch

from s2e.data.datasets import Part
from s2e.data.rows import Samples
from s2e.data.stream import Streamed
from s2e.methods.base import pick_all
from s2e.train import fused
from s2e.train.margins import NEVER_SEEN
from s2e.train.population import EVALUATION_BATCH, StackedTrials
from s2e.words import EpochNumbers, numbers_of

Columns = dict[str, torch.Tensor]
"""By the names of :class:`s2e.words.EpochNumbers`: [K], or [K, N] where each network has one; and ``finite`` [K]."""


@dataclass(frozen=True, kw_only=True)
class Measured(EpochNumbers):
    """One stacked trial's epoch."""

    networks: tuple[tuple[float | None, ...], ...]
    """As in EpochMetrics."""
    finite: bool
    """False when a training loss or an evaluated logit was NaN or infinite."""


def selection(trials: StackedTrials, order: torch.Tensor, weight_MKNB: torch.Tensor) -> Columns:
    """Fraction kept, label precision and label recall, each over all samples of the epoch; precision is NaN where
    nothing was selected. Where nobody knows which labels are right, only the fraction kept is measured."""
    selected_MKNB = weight_MKNB > 0
    n_selected = selected_MKNB.sum((0, 2, 3))
    if not trials.truth_is_known:
        return {"kept": n_selected.double() / selected_MKNB[:, 0].numel()}
    clean_KS = trials.label_KS == trials.seen.true_label_KS
    clean_MKB = pick_all(clean_KS, order)
    n_clean = clean_MKB.sum((0, 2)) * trials.method.n_networks
    n_both = (selected_MKNB & clean_MKB[:, :, None]).sum((0, 2, 3))
    n_seen = selected_MKNB[:, 0].numel()
    return {
        "kept": n_selected.double() / n_seen,
        "label_precision": n_both.double() / n_selected,
        "label_recall": n_both.double() / n_clean,
    }


def memorisation(trials: StackedTrials) -> Columns:
    """Training accuracy and the split of ELR Fig. 1, over the samples seen this epoch and the trial's networks.

    No split where nobody knows which labels are right.
    """
    predicted_KNS, label_K1S = trials.predicted_KNS, trials.label_KS[:, None]
    true_K1S = trials.seen.true_label_KS[:, None]
    seen_KNS = predicted_KNS != NEVER_SEEN
    given_KNS = predicted_KNS == label_K1S
    if not trials.truth_is_known:
        return {"train_accuracy": _share(given_KNS, seen_KNS, (2,))}
    right_KNS = predicted_KNS == true_K1S
    clean_KNS = seen_KNS & (label_K1S == true_K1S)
    wrong_KNS = seen_KNS & (label_K1S != true_K1S)
    return {
        "clean_correct": _share(right_KNS, clean_KNS, (1, 2)),
        "wrong_correct": _share(right_KNS, wrong_KNS, (1, 2)),
        "wrong_memorised": _share(given_KNS, wrong_KNS, (1, 2)),
        "train_accuracy": _share(given_KNS, seen_KNS, (2,)),
    }


def _share(found_KNS: torch.Tensor, among_KNS: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    return (found_KNS & among_KNS).sum(dims).double() / among_KNS.sum(dims)


def validate(trials: StackedTrials) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """:func:`evaluate` on the validation samples: with the clean labels, or with those the job's noise leaves."""
    part, seen = trials.data.validation, trials.seen
    if seen.validation_label_KV is not None:
        part = Part(part.images, seen.validation_label_KV)
    return evaluate(trials, part, seen.score_CC)


@torch.inference_mode()
def evaluate(
    trials: StackedTrials, part: Part, score_CC: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Accuracy of each network [K, N] and of the ensemble [K], and whether every logit was finite [K].

    Labels are [S], or [K, S] where trials differ in them. A prediction counts ``score_CC[label, predicted]``, else 1 if
    it is the label; a mean of scores may leave [0, 1] by chance and is clipped.
    The ensemble of a trial predicts the class with the largest sum of its networks' logits, as DivideMix and ELR+ do.
    """
    predicted_KNS, finite_K = _predicted(trials, part.images)
    label = part.labels if part.labels.dim() == 1 else part.labels[:, None]
    if score_CC is None:
        credit_KN = (predicted_KNS == label).sum(-1)
    else:
        credit_KNS = score_CC[label.expand_as(predicted_KNS), predicted_KNS.long()]
        credit_KN = torch.stack([chunk.sum(-1) for chunk in credit_KNS.split(EVALUATION_BATCH, dim=-1)]).sum(0)
    accuracy_KN = (credit_KN.double() / part.labels.shape[-1]).clamp(0, 1)
    return accuracy_KN[:, :-1], accuracy_KN[:, -1], finite_K


def predicted_classes(trials: StackedTrials, images: Samples) -> torch.Tensor:
    """Classes predicted for stored images [K, N + 1, S], by each network and by the sum of their logits."""
    return _predicted(trials, images)[0]


def _predicted(trials: StackedTrials, images: Samples) -> tuple[torch.Tensor, torch.Tensor]:
    predict, at_once = (
        (fused.predict, fused.PREDICTED_AT_ONCE) if fused.trains(trials) else (_predict, EVALUATION_BATCH)
    )
    if isinstance(images, torch.Tensor):
        return predict(trials, images)
    blocks = images.read_by(at_once) if isinstance(images, Streamed) else images.split(at_once)
    parts = [predict(trials, block) for block in blocks]
    return torch.cat([classes for classes, _ in parts], dim=2), torch.stack([finite for _, finite in parts]).all(0)


def _predict(trials: StackedTrials, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Classes predicted for stored images [K, N + 1, S], by each network and by the sum of their logits, and whether
    all logits of a trial were finite [K]."""
    predicted, finite = [], []
    for chunk in images.split(EVALUATION_BATCH):
        logits_KNBC = trials.forward(trials.data.scaled(chunk, trials.dtype), train=False)
        predicted.append(torch.cat([logits_KNBC.argmax(-1), logits_KNBC.sum(1, keepdim=True).argmax(-1)], dim=1))
        finite.append(logits_KNBC.isfinite().flatten(1).all(1))
    return torch.cat(predicted, dim=2), torch.stack(finite).all(0)


def to_numbers(trials: StackedTrials, columns: Columns) -> list[Measured]:
    """One entry for each stacked trial, in a single copy from the device."""
    columns_KW = {
        name: column.to(trials.keep_KT.device, torch.float64).view(trials.n_trials, -1)
        for name, column in columns.items()
    }
    rows = torch.cat(list(columns_KW.values()), dim=1).tolist()
    widths = {name: column.shape[1] for name, column in columns_KW.items()}
    return [_measured(row, widths) for row in rows]


def _measured(row: list[float], widths: dict[str, int]) -> Measured:
    """The numbers of one trial, the mean where each network has one; None for what was not measured in this epoch or is
    not a number (recall without a clean sample)."""
    values: dict[str, list[float]] = {}
    at = 0
    for name, width in widths.items():
        values[name] = row[at : at + width]
        at += width
    finite = bool(values.pop("finite")[0])
    unmeasured = [math.nan] * len(values["train_accuracy"])
    each = [values.get(number.name, unmeasured) for number in numbers_of(EpochNumbers) if number.networks]
    networks = tuple(tuple(map(_number, network)) for network in zip(*each, strict=True))
    return Measured(networks=networks, finite=finite, **{name: _number(fmean(of)) for name, of in values.items()})


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
