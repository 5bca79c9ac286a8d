"""Decoupling, "when to update" from "how to update" (Malach & Shalev-Shwartz 2017).

Legend: K trials, N networks per trial, B batch.
"""

from __future__ import annotations

import torch

from s2e.methods.base import Batch, Method
from s2e.methods.declared import selection
from s2e.methods.selection import disagreement


class Decoupling(Method):
    """Two networks; each learns from every sample on which their predictions differ, D. The schedule is ignored.

    The loss is the sum over D divided by max(floor B, |D|): the gradient of a mean over three samples of 128 would be
    4.3 times as large. Where D is empty the trial's step is left out.
    """

    n_networks = 2
    may_skip = True
    params: selection.Decoupling

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        differ_KB = disagreement(batch.logits_KNBC) | (batch.epoch < self.params.warm_up_epochs)
        fewest = max(1.0, self.params.floor * loss_KNB.shape[-1])
        count_K1 = differ_KB.sum(-1, keepdim=True).to(loss_KNB.dtype).clamp(min=fewest)
        return (differ_KB.to(loss_KNB.dtype) / count_K1)[:, None].expand_as(loss_KNB)
