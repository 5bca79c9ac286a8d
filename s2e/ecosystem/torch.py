"""R(t) in a training loop of one's own.

    from s2e.ecosystem.torch import keep_smallest

    for epoch, keep_rate in enumerate(report.keep_rate):
        for x, y in loader:
            losses = F.cross_entropy(net(x), y, reduction="none")
            keep_smallest(losses, keep_rate).backward()

In Lightning and in Hugging Face's Trainer: :mod:`s2e.ecosystem.lightning`, :mod:`s2e.ecosystem.transformers`.
"""

from __future__ import annotations

from collections.abc import Sequence

from s2e.extras import needs
from s2e.schedule import n_keep

with needs("train"):
    import torch


def checked(keep_rate: Sequence[float]) -> tuple[float, ...]:
    """R(t) as numbers."""
    values = tuple(float(value) for value in keep_rate)
    wrong = [value for value in values if not 0 <= value <= 1]
    if wrong or not values:
        raise ValueError(f"keep_rate has {f'the value {wrong[0]}' if wrong else 'no value'}: numbers between 0 and 1")
    return values


def keep_smallest(losses: torch.Tensor, keep_rate: float, by: torch.Tensor | None = None) -> torch.Tensor:
    """Mean of the floor(R(t) B) smallest of the losses [B], at least of one: the others get no gradient.

    ``by`` [B] ranks them instead, the losses of the other network in Co-teaching. Equal losses count in their order,
    and one that is not a number comes last. Raises ValueError for a rate outside [0, 1], and for losses of another
    shape, such as a mean (``reduction="none"`` leaves one for each sample).
    """
    if not 0 <= keep_rate <= 1:
        raise ValueError(f"keep_rate is {keep_rate}: between 0 and 1")
    ranked = losses if by is None else by
    if losses.dim() != 1 or ranked.shape != losses.shape or not len(losses):
        raise ValueError(
            f"losses have shape {tuple(losses.shape)}, ranked by {tuple(ranked.shape)}: one for each sample, [B] "
            '(reduction="none")'
        )
    n = int(n_keep([[keep_rate]], len(losses))[0, 0])
    return losses[ranked.detach().argsort(stable=True)[:n]].mean()
