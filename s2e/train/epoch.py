"""One epoch of a population: steps without host work, then what is measured of it (:mod:`s2e.train.metrics`).

Legend: K trials, N networks per trial, G = K * N, B batch, C classes, S samples, M steps (mini-batches) of an epoch.
"""

from __future__ import annotations

import torch

from s2e.methods.base import pick
from s2e.methods.engine import MiniBatch
from s2e.train import fused
from s2e.train.margins import NEVER_SEEN
from s2e.train.metrics import Measured, evaluate, memorisation, selection, to_numbers, validate
from s2e.train.population import StackedTrials
from s2e.train.skip import step_except
from s2e.words import derive_seed


def run_epoch(
    trials: StackedTrials, t: int, *, measure_validation: bool = True, measure_test: bool = True
) -> list[Measured]:
    """Train all trials for epoch t and measure them: one entry for each stacked trial.

    Weights that stopped being numbers in the last step show in whatever is evaluated, else in the next epoch's loss.
    """
    trials.set_epoch(t)
    trials.predicted_KNS.fill_(NEVER_SEEN)
    trials.method.begin_epoch(trials, t)
    order = epoch_order(trials, t)
    loss_MKN, weight_MKNB = train_steps(trials, order, t)
    if trials.margins is not None:
        trials.margins.end_epoch(trials.predicted_KNS)
    # One sum for each trial, in memory of its own: the order of additions depends on all that lies around it.
    loss_K = torch.stack([loss_MN.contiguous().mean() for loss_MN in loss_MKN.unbind(1)])
    columns = {"loss": loss_K, **selection(trials, order, weight_MKNB), **memorisation(trials)}
    finite_K = loss_MKN.isfinite().all(0).all(1)
    if measure_validation:
        columns["validation_accuracy"], columns["validation_ensemble"], seen_finite_K = validate(trials)
        finite_K = finite_K & seen_finite_K
    if measure_test:
        columns["test_accuracy"], columns["test_ensemble"], seen_finite_K = evaluate(trials, trials.data.test)
        finite_K = finite_K & seen_finite_K
    return to_numbers(trials, columns | {"finite": finite_K})


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
    if trials.method.may_skip:
        step_except(trials.optimizer, (weight_KNB == 0).all(-1).flatten())
    else:
        trials.optimizer.step()
    trials.method.after_step(trials)
    trials.step.add_(1)
    return loss_KN.detach(), weight_KNB


def train_steps(trials: StackedTrials, order: torch.Tensor, t: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The mini-batches ``order`` [M, ...] of epoch t -> (loss_MKN, weight_MKNB)."""
    train = fused.train_epoch if fused.trains(trials) else _train
    parts = [train(trials, part, t) for part in trials.parts_of(order)]
    if len(parts) == 1:
        return parts[0]
    return torch.cat([loss for loss, _ in parts]), torch.cat([weight for _, weight in parts])


def _train(trials: StackedTrials, order: torch.Tensor, t: int) -> tuple[torch.Tensor, torch.Tensor]:
    keep_K = trials.keep_KT[:, t].contiguous()
    steps = [train_step(trials, index, keep_K) for index in order.unbind(0)]
    return torch.stack([loss for loss, _ in steps]), torch.stack([weight for _, weight in steps])
