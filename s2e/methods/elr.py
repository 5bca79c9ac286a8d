"""Early-learning regularisation, ELR, and its Kullback-Leibler variant (Liu et al. 2020, eq. 6 and appendix C).

Legend: K trials, N networks per trial, B batch, C classes, S samples.
"""

from __future__ import annotations

import torch

from s2e.methods.base import Setup, cross_entropy, pick, put
from s2e.methods.declared import regularisation
from s2e.methods.engine import State
from s2e.methods.plain import Standard
from s2e.methods.targets import soft_cross_entropy

CLAMP = 1e-4
"""The official program keeps the probabilities of the regulariser this far from 0 and 1: its minimum is then finite."""


def empty_targets(setup: Setup, n_networks: int) -> torch.Tensor:
    """target_KSNC = 0: it is not bias-corrected, so the regulariser comes in by itself over a sample's first visits."""
    shape = (setup.n_trials, setup.n_samples, n_networks, setup.n_classes)
    return torch.zeros(shape, dtype=setup.dtype, device=setup.device)


def clamped(logits_KNBC: torch.Tensor) -> torch.Tensor:
    """Probabilities p_KNBC within [1e-4, 1 - 1e-4]."""
    return logits_KNBC.softmax(-1).clamp(CLAMP, 1 - CLAMP)


@torch.no_grad()
def move_targets(target_KSNC: torch.Tensor, index: torch.Tensor, p_KNBC: torch.Tensor, momentum: float) -> torch.Tensor:
    """t <- beta t + (1 - beta) p / sum(p) for the batch's samples, stored -> t_KNBC."""
    new_KNBC = p_KNBC / p_KNBC.sum(-1, keepdim=True)
    target_KBNC = momentum * pick(target_KSNC, index) + (1 - momentum) * new_KNBC.transpose(1, 2)
    put(target_KSNC, index, target_KBNC)
    return target_KBNC.transpose(1, 2)


def regulariser(p_KNBC: torch.Tensor, target_KNBC: torch.Tensor) -> torch.Tensor:
    """ln(1 - <p, t>) -> [K, N, B]; negative, so a loss below zero is nothing to worry about."""
    return (1 - (p_KNBC * target_KNBC).sum(-1)).log()


class Elr(Standard):
    """CE + lambda ln(1 - <p, t>) on every sample; t is moved by the current p before the loss looks at it."""

    params: regularisation.Elr

    def init_state(self, setup: Setup) -> State:
        return {"target": empty_targets(setup, self.n_networks)}

    def losses(
        self, logits_KNBC: torch.Tensor, label_KB: torch.Tensor, index: torch.Tensor, state: State
    ) -> torch.Tensor:
        p_KNBC = clamped(logits_KNBC)
        target_KNBC = move_targets(state["target"], index, p_KNBC, self.params.target_momentum)
        return cross_entropy(logits_KNBC, label_KB) + self.params.strength * regulariser(p_KNBC, target_KNBC)


class ElrKl(Standard):
    """CE - lambda sum_c t_c ln p_c on every sample; memorises later than CE and then overfits its own targets."""

    params: regularisation.ElrKl

    def init_state(self, setup: Setup) -> State:
        return {"target": empty_targets(setup, self.n_networks)}

    def losses(
        self, logits_KNBC: torch.Tensor, label_KB: torch.Tensor, index: torch.Tensor, state: State
    ) -> torch.Tensor:
        target_KNBC = move_targets(state["target"], index, clamped(logits_KNBC), self.params.target_momentum)
        return cross_entropy(logits_KNBC, label_KB) + self.params.strength * soft_cross_entropy(
            logits_KNBC, target_KNBC
        )
