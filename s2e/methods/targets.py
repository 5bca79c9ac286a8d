"""Losses against soft targets, and penalties that keep a method which makes its own targets from collapsing.

Legend: K trials, N networks per trial, B batch, C classes.
"""

from __future__ import annotations

import math

import torch

_TINY = 1e-12


def soft_cross_entropy(logits_KNBC: torch.Tensor, target_KNBC: torch.Tensor) -> torch.Tensor:
    """-sum_c target_c ln p_c -> loss_KNB."""
    return -(target_KNBC * logits_KNBC.log_softmax(-1)).sum(-1)


def entropy(logits_KNBC: torch.Tensor) -> torch.Tensor:
    """-sum_c p_c ln p_c -> [K, N, B]."""
    log_p_KNBC = logits_KNBC.log_softmax(-1)
    return -(log_p_KNBC.exp() * log_p_KNBC).sum(-1)


def class_balance(logits_KNBC: torch.Tensor) -> torch.Tensor:
    """KL(uniform || mean prediction of the batch) -> [K, N]: 0 where all classes are predicted equally often."""
    mean_KNC = logits_KNBC.softmax(-1).mean(-2)
    return -mean_KNC.clamp(min=_TINY).log().mean(-1) - math.log(mean_KNC.shape[-1])


def sharpened(p: torch.Tensor, temperature: float) -> torch.Tensor:
    """p^(1/T), normalised over the last axis."""
    return (p.clamp(min=_TINY).log() / temperature).softmax(-1)
