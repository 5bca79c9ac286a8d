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

    Where D is empty the trial's step is left out: a mean over nothing is not a number.
    """

    n_networks = 2
    may_skip = True
    params: selection.Decoupling

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        differ_KB = disagreement(batch.logits_KNBC) | (batch.epoch < self.params.warm_up_epochs)
        share_KB = differ_KB.to(loss_KNB.dtype) / differ_KB.sum(-1, keepdim=True).clamp(min=1)
        return share_KB[:, None].expand_as(loss_KNB)
