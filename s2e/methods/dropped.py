"""Samples that R(t) drops, used as samples without a label (S2E's journal version, Yang et al. 2024).

To the mean loss of the kept samples comes w/keep times the sum over the dropped ones D of

    pseudo_labels  1[max_c q_c >= confidence] * -ln p_c*,  c* = argmax q     (Lee 2013; the threshold of FixMatch)
    consistency    sum_c (p_c - q_c)^2                                       (Laine & Aila 2017)

p is the prediction of the network that learns. q is never differentiated: the other network's prediction in the same
step; with one network its own, and for consistency the running mean of its predictions in earlier epochs. So a dropped
sample counts w times as much as a kept one, and the term grows as R falls: R(0) = 1 drops nothing.

Legend: K trials, N networks per trial, B batch, C classes, S samples.
"""

from __future__ import annotations

import torch

from s2e.methods.base import Method, Setup, cross_entropy_with, pick, put
from s2e.methods.coteaching import CoTeaching
from s2e.methods.declared import dropped, selection
from s2e.methods.engine import Engine, MiniBatch, State
from s2e.methods.selfteaching import SelfTeaching


class TeachingDropped(Method):
    """A method that weighs samples, with a term for those that weigh nothing."""

    params: dropped.TeachesDropped

    def weighted(
        self, engine: Engine, batch: MiniBatch, logits_KNBC: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        loss_KN, weight_KNB = super().weighted(engine, batch, logits_KNBC)
        if self.params.dropped == "nothing":
            return loss_KN, weight_KNB
        with torch.no_grad():
            p_KNBC = logits_KNBC.detach().softmax(-1)
            q_KNBC = p_KNBC.flip(1) if self.exchanges else p_KNBC
            share_KNB = (weight_KNB == 0) * weight_KNB.amax(-1, keepdim=True)
        term_KNB = self.of_dropped(logits_KNBC, q_KNBC, batch.index, engine.method_state)
        return loss_KN + self.params.dropped_weight * (share_KNB * term_KNB).sum(-1), weight_KNB

    def of_dropped(
        self,
        logits_KNBC: torch.Tensor,
        q_KNBC: torch.Tensor,
        index: torch.Tensor,  # noqa: ARG002
        state: State,  # noqa: ARG002
    ) -> torch.Tensor:
        """Loss of each sample, were it dropped: term_KNB."""
        if self.params.dropped == "pseudo_labels":
            return self._to_pseudo_labels(logits_KNBC, q_KNBC)
        return squared_error(logits_KNBC, q_KNBC)

    def _to_pseudo_labels(self, logits_KNBC: torch.Tensor, q_KNBC: torch.Tensor) -> torch.Tensor:
        sureness_KNB, label_KNB = q_KNBC.max(-1)
        return (sureness_KNB >= self.params.dropped_confidence) * cross_entropy_with(logits_KNBC, label_KNB)


class CoTeachingDropped(TeachingDropped, CoTeaching):
    """Co-teaching in which each network also learns what the other says of the samples it was not given."""

    params: selection.CoTeaching


class SelfTeachingDropped(TeachingDropped, SelfTeaching):
    """Self-teaching that also learns from its own predictions for the samples it drops."""

    params: selection.SelfTeaching

    def init_state(self, setup: Setup) -> State:
        """For consistency: each sample's decaying sum of predictions, and of ones [K, S], 0 until it was seen."""
        if self.params.dropped != "consistency":
            return {}
        shape_KS = (setup.n_trials, setup.n_samples)
        sums = torch.zeros(*shape_KS, setup.n_classes, device=setup.device, dtype=setup.dtype)
        return {"predicted_KSC": sums, "seen_KS": torch.zeros(shape_KS, device=setup.device, dtype=setup.dtype)}

    def of_dropped(
        self, logits_KNBC: torch.Tensor, q_KNBC: torch.Tensor, index: torch.Tensor, state: State
    ) -> torch.Tensor:
        if self.params.dropped != "consistency":
            return super().of_dropped(logits_KNBC, q_KNBC, index, state)
        predicted_KBC, seen_KB = pick(state["predicted_KSC"], index), pick(state["seen_KS"], index)
        was_seen_KB = seen_KB > 0
        mean_KBC = predicted_KBC / torch.where(was_seen_KB, seen_KB, 1)[..., None]
        momentum = self.params.dropped_momentum
        put(state["predicted_KSC"], index, momentum * predicted_KBC + (1 - momentum) * q_KNBC[:, 0])
        put(state["seen_KS"], index, momentum * seen_KB + (1 - momentum))
        return was_seen_KB[:, None] * squared_error(logits_KNBC, mean_KBC[:, None])


def squared_error(logits_KNBC: torch.Tensor, q_KNBC: torch.Tensor) -> torch.Tensor:
    """sum_c (p_c - q_c)^2 of each sample -> [K, N, B]."""
    return (logits_KNBC.softmax(-1) - q_KNBC).square().sum(-1)


def coteaching(params: selection.CoTeaching) -> Method:
    """Co-teaching with these settings; a class of its own where dropped samples are left alone, for the compiled step
    trains whole epochs of what weighs by ranks."""
    return (CoTeaching if params.dropped == "nothing" else CoTeachingDropped)(params)


def selfteaching(params: selection.SelfTeaching) -> Method:
    """Self-teaching with these settings, likewise."""
    return (SelfTeaching if params.dropped == "nothing" else SelfTeachingDropped)(params)
