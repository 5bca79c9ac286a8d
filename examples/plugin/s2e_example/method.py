"""A method with state: a mean of each sample's losses, which a checkpoint keeps and a trial takes along.

Legend: K trials, N = 1 network per trial, B batch, S samples.
"""

from __future__ import annotations

import torch

from s2e.methods.base import Batch, Method, Setup, pick, put
from s2e.methods.engine import State
from s2e.methods.selection import small_loss
from s2e_example import parts


class SteadyLoss(Method):
    """CE on the floor(R(t) B) samples of smallest mean loss m: the loss at the first visit, then b m + (1 - b) loss."""

    n_networks = 1
    params: parts.SteadyLoss

    def init_state(self, setup: Setup) -> State:
        never_seen = torch.full((setup.n_trials, setup.n_samples), torch.nan, dtype=setup.dtype, device=setup.device)
        return {"mean_KS": never_seen}

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        loss_KB, before_KB = loss_KNB[:, 0], pick(batch.state["mean_KS"], batch.index)
        moved_KB = self.params.memory * before_KB + (1 - self.params.memory) * loss_KB
        mean_KB = torch.where(before_KB.isnan(), loss_KB, moved_KB)
        put(batch.state["mean_KS"], batch.index, mean_KB)
        return small_loss(mean_KB[:, None], batch.keep_K)
