"""One epoch of a population: steps without host work, then what is measured of it (:mod:`s2e.train.metrics`).

Legend: K trials, N networks per trial, G = K * N, B batch, C classes, S samples, M steps (mini-batches) of an epoch.
"""

from __future__ import annotations

import torch

from s2e.methods.base import Batch
from s2e.spec import derive_seed
from s2e.train.metrics import EpochNumbers, evaluate, memorisation, pick, remember, selection, to_numbers
from s2e.train.population import NEVER_SEEN, StackedTrials
from s2e.train.resident import scaled
from s2e.train.skip import StepGuard


def run_epoch(trials: StackedTrials, t: int) -> list[EpochNumbers]:
    """Train all trials for epoch t and measure them: one entry for each stacked trial."""
    trials.set_epoch(t)
    trials.predicted_KNS.fill_(NEVER_SEEN)
    order = epoch_order(trials, t)
    loss_MKN, weight_MKNB = _train(trials, order, t)
    validation_KN, validation_K, validation_finite_K = evaluate(trials, trials.data.validation)
    test_KN, test_K, test_finite_K = evaluate(trials, trials.data.test)
    columns = {
        "loss": loss_MKN.mean((0, 2)),
        **selection(trials, order, weight_MKNB),
        **memorisation(trials),
        "validation_accuracies": validation_KN,
        "test_accuracies": test_KN,
        "validation_ensemble": validation_K,
        "test_ensemble": test_K,
        "finite": loss_MKN.isfinite().all(0).all(1) & validation_finite_K & test_finite_K,
    }
    return to_numbers(trials, columns)


def epoch_order(trials: StackedTrials, t: int) -> torch.Tensor:
    """Sample numbers of every mini-batch: [M, B] if the trials share one data order, else [M, K, B].

    Drawn on the CPU from (order seed, epoch), so every device walks the same order. The incomplete batch is dropped.
    """
    n_samples, batch_size = trials.label_KS.shape[1], trials.train_spec.batch_size
    n_steps = n_samples // batch_size
    seeds = trials.order_seeds[:1] if trials.shares_order else trials.order_seeds
    permutations = [
        torch.randperm(n_samples, generator=torch.Generator().manual_seed(derive_seed(seed, "order", t)))
        for seed in seeds
    ]
    order_KMB = torch.stack(permutations)[:, : n_steps * batch_size].view(-1, n_steps, batch_size)
    order = order_KMB[0] if trials.shares_order else order_KMB.transpose(0, 1)
    return order.contiguous().to(trials.device)


def train_step(trials: StackedTrials, index: torch.Tensor, keep_K: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One mini-batch, ``index`` [B] shared or [K, B]: forward, select, backward, Adam -> (loss_KN, weight_KNB).

    Only device work, so a CUDA graph can hold it.
    """
    images, n_networks = trials.data.train.images, trials.method.n_networks
    x = scaled(images.index_select(0, index.flatten()), trials.data.max_value, trials.dtype)
    x = x.view(*index.shape, *images.shape[1:])
    label_KB = pick(trials.label_KS, index)
    logits_GBC = trials.network.forward(trials.tensors, x, train=True)
    logits_KNBC = logits_GBC.unflatten(0, (-1, n_networks)).to(trials.metric_dtype)
    loss_KNB = trials.method.losses(logits_KNBC, label_KB, index, trials.method_state)
    with torch.no_grad():
        remember(trials, index, logits_KNBC)
        keep_rate_K = trials.keep_rate_KT.index_select(1, trials.epoch[None])[:, 0]
        batch = Batch(logits_KNBC.detach(), keep_K, keep_rate_K, trials.epoch)
        weight_KNB = trials.method.weights(loss_KNB.detach(), batch)
    loss_KN = (weight_KNB * loss_KNB).sum(-1)
    trials.optimizer.zero_grad()
    loss_KN.sum().backward()
    guard = StepGuard(trials.optimizer) if trials.method.may_skip else None
    trials.optimizer.step()
    if guard:
        guard.undo((weight_KNB == 0).all(-1).flatten())
    return loss_KN.detach(), weight_KNB


def _train(trials: StackedTrials, order: torch.Tensor, t: int) -> tuple[torch.Tensor, torch.Tensor]:
    keep_K = trials.keep_KT[:, t].contiguous()
    steps = [train_step(trials, index, keep_K) for index in order.unbind(0)]
    return torch.stack([loss for loss, _ in steps]), torch.stack([weight for _, weight in steps])
