"""Co-teaching+ (Yu et al. 2019).

Legend: K trials, N networks per trial, B batch.
"""

from __future__ import annotations

import torch

from s2e.methods.base import Batch
from s2e.methods.coteaching import Exchange
from s2e.methods.declared import selection
from s2e.methods.engine import Engine, MiniBatch
from s2e.methods.selection import disagreement


class CoTeachingPlus(Exchange):
    """Co-teaching on the samples D where the two networks disagree: each learns from the floor(R |D|) (at least one) of
    smallest loss that the other selects in D. Plain Co-teaching while warming up, and on a batch whose D is empty.

    On an empty D the official program takes plain cross entropy on the whole batch up to step 5,000, and a gradient of
    exactly zero afterwards.
    """

    params: selection.CoTeachingPlus

    def weighted(
        self, engine: Engine, batch: MiniBatch, logits_KNBC: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self.params.official_double_softmax:
            after_warm_up = batch.epoch >= self.params.warm_up_epochs
            logits_KNBC = torch.where(after_warm_up, logits_KNBC.softmax(-1), logits_KNBC)
        return super().weighted(engine, batch, logits_KNBC)

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        differ_KB = disagreement(batch.logits_KNBC)
        whole_K1 = ~differ_KB.any(-1, keepdim=True) | (batch.epoch < self.params.warm_up_epochs)
        pool_KB = differ_KB | whole_K1
        # 1e-9 as in s2e.schedule.n_keep: 0.55 * 100 must be 55
        keep_K = (batch.keep_rate_K * pool_KB.sum(-1) + 1e-9).floor().clamp(min=1)
        return self.ranked(loss_KNB.masked_fill(~pool_KB[:, None], torch.inf), keep_K)
