"""One epoch of a population: steps without host work, metrics kept on the device and copied once.

Legend: K trials, N networks per trial, G = K * N, B batch, C classes, S samples, M steps (mini-batches) of an epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from s2e.data.datasets import Part
from s2e.methods.base import pick
from s2e.methods.engine import MiniBatch
from s2e.spec import derive_seed
from s2e.train.population import EVALUATION_BATCH, StackedTrials
from s2e.train.skip import StepGuard


@dataclass(frozen=True)
class EpochNumbers:
    """One stacked trial's epoch; NaN where a number does not exist (recall without a clean sample)."""

    loss: float
    kept: float
    label_precision: float
    label_recall: float
    validation_accuracy: float
    test_accuracy: float
    finite: bool
    """False when a training loss or an evaluated logit was NaN or infinite."""


def run_epoch(trials: StackedTrials, t: int) -> list[EpochNumbers]:
    """Train all trials for epoch t and measure them: one entry for each stacked trial."""
    trials.set_epoch(t)
    trials.method.begin_epoch(trials, t)
    order = epoch_order(trials, t)
    loss_MKN, weight_MKNB = _train(trials, order, t)
    columns = [
        *_selection_metrics(trials, order, weight_MKNB),
        loss_MKN.mean((0, 2)),
        loss_MKN.isfinite().all(0).all(1),
    ]
    for part in (trials.data.validation, trials.data.test):
        columns += _evaluate(trials, part)
    rows = torch.stack([column.to(trials.keep_KT.device, torch.float64) for column in columns], dim=1).tolist()
    return [_numbers(row) for row in rows]


def epoch_order(trials: StackedTrials, t: int) -> torch.Tensor:
    """Sample numbers of every mini-batch: [M, B] if the trials share one data order, else [M, K, B].

    Drawn on the CPU from (order seed, epoch), so every device walks the same order. The incomplete batch is dropped.
    """
    n_samples, batch_size, n_steps = trials.label_KS.shape[1], trials.batch_size, trials.n_steps
    seeds = trials.order_seeds[:1] if trials.shares_order else trials.order_seeds
    permutations = [
        torch.randperm(n_samples, generator=torch.Generator().manual_seed(derive_seed(seed, "order", t)))
        for seed in seeds
    ]
    order_KMB = torch.stack(permutations)[:, : n_steps * batch_size].view(-1, n_steps, batch_size)
    order = order_KMB[0] if trials.shares_order else order_KMB.transpose(0, 1)
    return order.contiguous().to(trials.device)


def train_step(trials: StackedTrials, index: torch.Tensor, keep_K: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One mini-batch, ``index`` [B] shared or [K, B]: forward, select, backward, optimise -> (loss_KN, weight_KNB).

    Only device work (for methods whose own hooks do no other), so a CUDA graph can hold it.
    """
    label_KB = pick(trials.label_KS, index)
    keep_rate_K = trials.keep_rate_KT.index_select(1, trials.epoch[None])[:, 0]
    batch = MiniBatch(index, label_KB, keep_K, keep_rate_K, trials.epoch, trials.step)
    loss_KN, weight_KNB = trials.method.step(trials, batch)
    trials.optimizer.zero_grad()
    loss_KN.sum().backward()
    guard = StepGuard(trials.optimizer) if trials.method.may_skip else None
    trials.optimizer.step()
    if guard:
        guard.undo((weight_KNB == 0).all(-1).flatten())
    trials.method.after_step(trials)
    trials.step.add_(1)
    return loss_KN.detach(), weight_KNB


def _train(trials: StackedTrials, order: torch.Tensor, t: int) -> tuple[torch.Tensor, torch.Tensor]:
    keep_K = trials.keep_KT[:, t].contiguous()
    steps = [train_step(trials, index, keep_K) for index in order.unbind(0)]
    return torch.stack([loss for loss, _ in steps]), torch.stack([weight for _, weight in steps])


def _selection_metrics(trials: StackedTrials, order: torch.Tensor, weight_MKNB: torch.Tensor) -> list[torch.Tensor]:
    """Fraction kept, label precision and label recall [K], each over all samples of the epoch; precision is NaN where
    nothing was selected."""
    clean_KS = trials.label_KS == trials.data.train.labels
    clean_MKB = torch.stack([pick(clean_KS, index) for index in order.unbind(0)])
    selected_MKNB = weight_MKNB > 0
    n_selected = selected_MKNB.sum((0, 2, 3))
    n_clean = clean_MKB.sum((0, 2)) * trials.method.n_networks
    n_both = (selected_MKNB & clean_MKB[:, :, None]).sum((0, 2, 3))
    n_seen = selected_MKNB[:, 0].numel()
    return [n_selected / n_seen, n_both / n_selected, n_both / n_clean]


@torch.inference_mode()
def _evaluate(trials: StackedTrials, part: Part) -> list[torch.Tensor]:
    """Accuracy [K], mean over the trial's networks, and whether every logit was finite [K]."""
    n_correct_G: torch.Tensor | float = 0
    finite_G: torch.Tensor | bool = True
    for images, label_B in zip(part.images.split(EVALUATION_BATCH), part.labels.split(EVALUATION_BATCH), strict=True):
        x = trials.data.scaled(images, trials.dtype)
        logits_GBC = trials.network.forward(trials.tensors, x, train=False)
        n_correct_G = n_correct_G + (logits_GBC.argmax(-1) == label_B).sum(-1)
        finite_G = finite_G & logits_GBC.isfinite().flatten(1).all(1)
    assert isinstance(n_correct_G, torch.Tensor)
    assert isinstance(finite_G, torch.Tensor)
    n_networks = trials.method.n_networks
    accuracy_K = (n_correct_G.double() / len(part.labels)).view(-1, n_networks).mean(1)
    return [accuracy_K, finite_G.view(-1, n_networks).all(1)]


def _numbers(row: list[float]) -> EpochNumbers:
    kept, precision, recall, loss, loss_finite, validation, validation_finite, test, test_finite = row
    finite = bool(loss_finite and validation_finite and test_finite)
    return EpochNumbers(loss, kept, precision, recall, validation, test, finite)
