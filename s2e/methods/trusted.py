"""Methods that know which of their rows have a right label.

Legend: K trials, N networks per trial, B batch, C classes, S samples.
"""

from __future__ import annotations

import torch

from s2e.methods.base import Batch, Method, Setup, cross_entropy, pick
from s2e.methods.correction import Forward
from s2e.methods.coteaching import CoTeaching
from s2e.methods.declared import trusted as declared
from s2e.methods.dropped import TeachingDropped
from s2e.methods.engine import State
from s2e.methods.selection import small_loss
from s2e.schedule import ROUNDING


def trusted_rows(setup: Setup) -> torch.Tensor:
    """Mask of the trusted samples of each trial, bool [K, S]; all False if the job marks none."""
    if setup.trusted_S is None:
        return torch.zeros(setup.n_trials, setup.n_samples, dtype=torch.bool, device=setup.device)
    return setup.trusted_S.expand(setup.n_trials, -1).clone()


class Anchored(TeachingDropped, CoTeaching):
    """Of a batch with a trusted and b other samples count the a, and the floor(R(t) b) smallest losses of the b."""

    params: declared.Anchored

    def init_state(self, setup: Setup) -> State:
        return {"trusted_KS": trusted_rows(setup)}

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        trusted_KB = pick(batch.state["trusted_KS"], batch.index)
        n_trusted_K = trusted_KB.sum(1)
        n_other_K = loss_KNB.shape[-1] - n_trusted_K
        keep_K = n_trusted_K + (batch.keep_rate_K * n_other_K + ROUNDING).floor().long()
        first_KNB = loss_KNB.masked_fill(trusted_KB[:, None], -torch.inf)
        weight_KNB = small_loss(first_KNB, keep_K.clamp(min=1)).flip(1)
        return weight_KNB / keep_K[:, None, None] if self.params.official_double_division else weight_KNB


class Gold(Forward):
    """-ln (T^T p)_y of a label that may be wrong, -ln p_y of one that is right."""

    params: declared.Gold

    def init_state(self, setup: Setup) -> State:
        return {**super().init_state(setup), "trusted_KS": trusted_rows(setup)}

    def losses(
        self, logits_KNBC: torch.Tensor, label_KB: torch.Tensor, index: torch.Tensor, state: State
    ) -> torch.Tensor:
        corrected_KNB = super().losses(logits_KNBC, label_KB, index, state)
        trusted_KB = pick(state["trusted_KS"], index)
        return torch.where(trusted_KB[:, None], cross_entropy(logits_KNBC, label_KB), corrected_KNB)


class TrustedOnly(Method):
    """The mean over the trusted samples of a batch; a batch without one moves nothing."""

    n_networks = 1
    may_skip = True
    params: declared.TrustedOnly

    def init_state(self, setup: Setup) -> State:
        """The trusted samples of each trial; all of them if the job marks none."""
        trusted_KS = trusted_rows(setup)
        return {"trusted_KS": ~trusted_KS if setup.trusted_S is None else trusted_KS}

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        trusted_KB = pick(batch.state["trusted_KS"], batch.index)
        share_KB = trusted_KB.to(loss_KNB.dtype) / trusted_KB.sum(1, keepdim=True).clamp(min=1)
        return share_KB[:, None].expand_as(loss_KNB)
