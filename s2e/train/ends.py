"""Measured once, of the networks after the last epoch: balanced accuracy, and the evidence of held-out labels.

Legend: K trials, N networks per trial, V validation samples, C classes.
"""

from __future__ import annotations

import numpy as np
import torch

from s2e.data.datasets import Part
from s2e.data.transition import true_transition
from s2e.labels.choice import noisy_score
from s2e.labels.em import Array
from s2e.labels.evidence import evidence
from s2e.train.metrics import predicted_classes
from s2e.train.population import EVALUATION_BATCH, StackedTrials
from s2e.words import DataSpec, Evidence, FinalAccuracies, TrialResult, replace


def with_ends(
    result: TrialResult, balanced: float | None, likelihood: float | None, evidence: Evidence | None = None
) -> TrialResult:
    """The result with these figures; a failed one has none."""
    if result.final is None:
        return result
    final: FinalAccuracies = replace(result.final, balanced=balanced, noisy_likelihood=likelihood, evidence=evidence)
    return replace(result, final=final)


@torch.inference_mode()
def balanced_accuracy(trials: StackedTrials) -> list[float]:
    """Of each stacked trial: mean over its networks and over the classes that the test samples have."""
    labels = trials.data.test.labels
    predicted_KNS = predicted_classes(trials, trials.data.test.images)[:, :-1]
    right_KNS = (predicted_KNS == labels).double()
    classes = [c for c in range(trials.network.n_classes) if bool((labels == c).any())]
    by_class = [right_KNS[:, :, labels == c].mean((1, 2)) for c in classes]
    of_trials: list[float] = torch.stack(by_class).mean(0).tolist()
    return of_trials


def noisy_likelihoods(trials: StackedTrials, data: DataSpec) -> list[float | None]:
    """Of each stacked trial; None where validation labels are clean, or their noise is not known."""
    T_CC = None if validates_by_truth(data) else true_transition(data, trials.network.n_classes)
    label_KV = trials.seen.validation_label_KV
    if T_CC is None or label_KV is None:
        return [None] * trials.n_trials
    p_KVC, labels = _predicted(trials, trials.data.validation), label_KV.cpu().numpy()
    return [noisy_score(p_VC, label_V, T_CC).log_likelihood for p_VC, label_V in zip(p_KVC, labels, strict=True)]


def validates_by_truth(data: DataSpec) -> bool:
    """True if validation labels are known to be right."""
    return data.validation_labels == "clean" or data.trusted_rows.n_validation > 0


def evidences(trials: StackedTrials, data: DataSpec) -> list[Evidence]:
    """Of each stacked trial: held-out labels that are right, and those that may be wrong."""
    T_CC, validation = true_transition(data, trials.network.n_classes), trials.data.validation
    p_KVC = _predicted(trials, validation)
    if not validates_by_truth(data):
        assert trials.seen.validation_label_KV is not None
        labels = trials.seen.validation_label_KV.cpu().numpy()
        return [evidence(None, noisy, T_CC) for noisy in zip(p_KVC, labels, strict=True)]
    right = [(p_VC, validation.labels.cpu().numpy()) for p_VC in p_KVC]
    if (beside := trials.data.beside) is None:
        return [evidence(of_right, None, T_CC) for of_right in right]
    noisy = [(p_VC, beside.labels.cpu().numpy()) for p_VC in _predicted(trials, beside)]
    return [evidence(*both, T_CC) for both in zip(right, noisy, strict=True)]


@torch.inference_mode()
def _predicted(trials: StackedTrials, part: Part) -> Array:
    """P(class) [K, V, C] of a part's samples, the mean over the networks of a trial."""
    chunks = [
        trials.forward(trials.data.scaled(images, trials.dtype), train=False).double().softmax(-1).mean(1)
        for images in part.images.split(EVALUATION_BATCH)
    ]
    return np.asarray(torch.cat(chunks, dim=1).cpu().numpy())
