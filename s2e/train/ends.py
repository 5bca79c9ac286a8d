"""Measured once, of the networks after the last epoch: balanced accuracy, and how likely they make noisy labels.

Legend: K trials, N networks per trial, V validation samples, C classes.
"""

from __future__ import annotations

import torch

from s2e.data.transition import true_transition
from s2e.labels.choice import noisy_score
from s2e.train.metrics import predicted_classes
from s2e.train.population import EVALUATION_BATCH, StackedTrials
from s2e.words import DataSpec, FinalAccuracies, TrialResult, replace


def with_ends(result: TrialResult, balanced: float | None, likelihood: float | None) -> TrialResult:
    """The result with these figures; a failed one has none."""
    if result.final is None or (balanced is None and likelihood is None):
        return result
    final: FinalAccuracies = replace(result.final, balanced=balanced, noisy_likelihood=likelihood)
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


@torch.inference_mode()
def noisy_likelihoods(trials: StackedTrials, data: DataSpec) -> list[float | None]:
    """Of each stacked trial; None where validation labels are clean, or their noise is not known."""
    is_clean = data.validation_labels == "clean" or data.trusted_rows.n_validation > 0
    T_CC = None if is_clean else true_transition(data, trials.network.n_classes)
    label_KV = trials.seen.validation_label_KV
    if T_CC is None or label_KV is None:
        return [None] * trials.n_trials
    chunks = [
        trials.forward(trials.data.scaled(part, trials.dtype), train=False).double().softmax(-1).mean(1)
        for part in trials.data.validation.images.split(EVALUATION_BATCH)
    ]
    p_KVC = torch.cat(chunks, dim=1).cpu().numpy()
    labels = label_KV.cpu().numpy()
    return [noisy_score(p_VC, label_V, T_CC).log_likelihood for p_VC, label_V in zip(p_KVC, labels, strict=True)]
