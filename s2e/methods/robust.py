"""Losses that resist wrong labels by their shape alone: every sample counts 1/B, the schedule is ignored.

Legend: K trials, N networks per trial, B batch, C classes.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F

from s2e.methods.base import Batch, Setup, cross_entropy, pick
from s2e.methods.declared import robust
from s2e.methods.engine import Engine, State
from s2e.methods.plain import Standard


class RobustLoss(Standard):
    """One network, mean over the batch of a loss that needs nothing but logits and labels."""

    @abstractmethod
    def sample_losses(self, logits_KNBC: torch.Tensor, label_KB: torch.Tensor) -> torch.Tensor:
        """loss_KNB."""

    def losses(
        self,
        logits_KNBC: torch.Tensor,
        label_KB: torch.Tensor,
        index: torch.Tensor,  # noqa: ARG002
        state: State,  # noqa: ARG002
    ) -> torch.Tensor:
        return self.sample_losses(logits_KNBC, label_KB)


class GCE(RobustLoss):
    """L_q = (1 - p_y^q) / q: cross entropy for q -> 0, mean absolute error for q = 1 (Zhang & Sabuncu 2018)."""

    params: robust.Gce

    def sample_losses(self, logits_KNBC: torch.Tensor, label_KB: torch.Tensor) -> torch.Tensor:
        # p^q = exp(-q CE): no power of a zero, whose gradient would be infinite
        q = self.params.q
        return -torch.expm1(-q * cross_entropy(logits_KNBC, label_KB)) / q


class TruncatedGCE(GCE):
    """L_q on the samples whose p_y was above the threshold k when last looked at; all before the first look.

    The look is at the current network. (The paper's is at the best so far, which the official port picks on test data.)
    The constant loss of the samples left out is not reported.
    """

    may_skip = True
    params: robust.TruncatedGce

    def init_state(self, setup: Setup) -> State:
        return {"kept_KS": torch.ones(setup.n_trials, setup.n_samples, dtype=torch.bool, device=setup.device)}

    def begin_epoch(self, engine: Engine, t: int) -> None:
        since = t - self.params.first_pruning_epoch
        if since < 0 or since % self.params.pruning_interval:
            return
        p_KSC = engine.train_logits()[:, 0].softmax(-1)
        label_p_KS = p_KSC.gather(-1, engine.label_KS[..., None])[..., 0]
        engine.method_state["kept_KS"] = label_p_KS > self.params.threshold

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        kept_KB = pick(batch.state["kept_KS"], batch.index)
        return (kept_KB.to(loss_KNB.dtype) / loss_KNB.shape[-1])[:, None]


class SCE(RobustLoss):
    """alpha CE + beta RCE (Wang et al. 2019). With one-hot labels the reverse term -sum_c p_c ln y_c is A (p_y - 1),
    where A < 0 stands for ln 0."""

    params: robust.Sce

    def sample_losses(self, logits_KNBC: torch.Tensor, label_KB: torch.Tensor) -> torch.Tensor:
        loss_KNB = cross_entropy(logits_KNBC, label_KB)
        reverse_KNB = self.params.log_zero * torch.expm1(-loss_KNB)
        return self.params.alpha * loss_KNB + self.params.beta * reverse_KNB


class BootstrapSoft(RobustLoss):
    """-sum_c (b y_c + (1 - b) p_c) ln p_c (Reed et al. 2015); the gradient flows through p_c in the target too."""

    params: robust.BootstrapSoft

    def sample_losses(self, logits_KNBC: torch.Tensor, label_KB: torch.Tensor) -> torch.Tensor:
        log_p_KNBC = logits_KNBC.log_softmax(-1)
        entropy_KNB = -(log_p_KNBC.exp() * log_p_KNBC).sum(-1)
        b = self.params.label_weight
        return b * cross_entropy(logits_KNBC, label_KB) + (1 - b) * entropy_KNB


class BootstrapHard(RobustLoss):
    """-sum_c (b y_c + (1 - b) z_c) ln p_c (Reed et al. 2015), z the one-hot class that the network predicts."""

    params: robust.BootstrapHard

    def sample_losses(self, logits_KNBC: torch.Tensor, label_KB: torch.Tensor) -> torch.Tensor:
        own_KNB = -logits_KNBC.log_softmax(-1).amax(-1)
        b = self.params.label_weight
        return b * cross_entropy(logits_KNBC, label_KB) + (1 - b) * own_KNB


class Huber(RobustLoss):
    """sum_c h(p_c - y_c), h(u) = u^2 / 2 up to |u| = d and d (|u| - d / 2) beyond (compared in SIGUA Table 3)."""

    params: robust.Huber

    def sample_losses(self, logits_KNBC: torch.Tensor, label_KB: torch.Tensor) -> torch.Tensor:
        error_KNBC = probability_error(logits_KNBC, label_KB)
        zero_KNBC = torch.zeros_like(error_KNBC)
        return F.huber_loss(error_KNBC, zero_KNBC, reduction="none", delta=self.params.threshold).sum(-1)


class LogSum(RobustLoss):
    """sum_c ln(1 + |p_c - y_c| / e) (compared in SIGUA Table 3)."""

    params: robust.LogSum

    def sample_losses(self, logits_KNBC: torch.Tensor, label_KB: torch.Tensor) -> torch.Tensor:
        return (probability_error(logits_KNBC, label_KB).abs() / self.params.width).log1p().sum(-1)


def probability_error(logits_KNBC: torch.Tensor, label_KB: torch.Tensor) -> torch.Tensor:
    """p - onehot(y) -> [K, N, B, C]."""
    onehot_KBC = F.one_hot(label_KB, logits_KNBC.shape[-1]).to(logits_KNBC.dtype)
    return logits_KNBC.softmax(-1) - onehot_KBC[:, None]
