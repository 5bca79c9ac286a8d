"""The choice of the samples that count as clean; ties and rounding are decided here and in
:func:`s2e.schedule.n_keep` only.

Legend: K trials, N networks per trial, B batch.
"""

from __future__ import annotations

import torch


def small_loss(loss_KNB: torch.Tensor, keep_K: torch.Tensor) -> torch.Tensor:
    """weight_KNB = 1/keep for each network's ``keep_K`` smallest losses, else 0.

    Equal losses are taken in batch order (stable sort); NaN counts as the largest loss.
    """
    order_KNB = loss_KNB.argsort(dim=-1, stable=True)
    rank_B = torch.arange(loss_KNB.shape[-1], device=loss_KNB.device)
    share_K1B = (rank_B < keep_K[:, None, None]) / keep_K.to(loss_KNB.dtype)[:, None, None]
    return torch.zeros_like(loss_KNB).scatter_(-1, order_KNB, share_K1B.expand_as(loss_KNB))


def disagreement(logits_KNBC: torch.Tensor) -> torch.Tensor:
    """Where the two networks of a trial predict different classes -> [K, B]."""
    predicted_KNB = logits_KNBC.argmax(-1)
    return predicted_KNB[:, 0] != predicted_KNB[:, 1]
