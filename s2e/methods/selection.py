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
    return weigh_ranks(loss_KNB, share_of_kept(keep_K, loss_KNB.shape[-1], loss_KNB.dtype))


def share_of_kept(keep_K: torch.Tensor, batch_size: int, dtype: torch.dtype) -> torch.Tensor:
    """1/keep for the first ``keep_K`` ranks, else 0 -> [K, B]."""
    rank_B = torch.arange(batch_size, device=keep_K.device)
    return (rank_B < keep_K[:, None]) / keep_K.to(dtype)[:, None]


def weigh_ranks(loss_KNB: torch.Tensor, by_rank_KB: torch.Tensor) -> torch.Tensor:
    """weight_KNB: ``by_rank_KB`` has the weight of each network's smallest loss, the next, ...; [K, 1]: all alike.

    Equal losses are taken in batch order (stable sort); NaN counts as the largest loss.
    """
    if by_rank_KB.shape[1] == 1:
        return by_rank_KB[:, None].expand_as(loss_KNB)
    order_KNB = loss_KNB.argsort(dim=-1, stable=True)
    return torch.zeros_like(loss_KNB, dtype=by_rank_KB.dtype).scatter_(
        -1, order_KNB, by_rank_KB[:, None].expand_as(loss_KNB)
    )


def disagreement(logits_KNBC: torch.Tensor) -> torch.Tensor:
    """Mask of the samples for which the two networks of a trial predict different classes -> [K, B]."""
    predicted_KNB = logits_KNBC.argmax(-1)
    return predicted_KNB[:, 0] != predicted_KNB[:, 1]
