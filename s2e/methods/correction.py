"""Losses corrected by a transition matrix T, T_ij = P(label j | class i) (Patrini et al. 2017; SIGUA, Han et al. 2020).

Legend: K trials, N networks per trial, B batch, C classes, S samples.

Forward reads *column* y of T, backward *row* y of T^-1. Where T is unknown, a first training of standard cross entropy
estimates it: that is the correction by T = 1, so a trial starts with the identity and its networks start over once T is
known. ``confident`` needs predictions for samples not trained on: the trial's samples are cut in two random halves, one
half trains while the other waits to be predicted, then the networks start over and the halves change places.
"""

from __future__ import annotations

import numpy as np
import torch

from s2e.data.estimate import confident_transition, patrini_transition
from s2e.data.transition import MAX_CONDITION, singular_problems
from s2e.methods.base import Batch, Method, Setup, pick
from s2e.methods.declared import correction
from s2e.methods.engine import Engine, State
from s2e.words import Problem, SpecError, derive_seed

SMALLEST_PROBABILITY = 1e-7
"""Forward correction clips (T^T p)_y here, as Patrini's program does."""


class Correction(Method):
    """One network, every sample counts 1/B; the schedule is ignored."""

    n_networks = 1
    params: correction.Forward

    def __init__(self, params: correction.Forward | None = None) -> None:
        super().__init__(params)
        self.may_skip |= self.params.transition == "confident"

    def init_state(self, setup: Setup) -> State:
        """``T_KCC``, and for ``confident`` each sample's half and its held-out probabilities."""
        shape = (setup.n_trials, setup.n_classes, setup.n_classes)
        if self.params.transition == "given":
            if setup.transition_KCC is None:
                raise SpecError(Problem("train.params.transition", "given", "estimated or confident: T is not known"))
            return {"T_KCC": setup.transition_KCC.clone()}
        state = {"T_KCC": torch.eye(setup.n_classes, dtype=setup.dtype, device=setup.device).repeat(shape[0], 1, 1)}
        if self.params.transition == "confident":
            state["half_KS"] = _halves(setup)
            held_out_shape = (setup.n_trials, setup.n_samples, setup.n_classes)
            state["held_out_KSC"] = torch.zeros(held_out_shape, dtype=setup.dtype, device=setup.device)
        return state

    def begin_epoch(self, engine: Engine, t: int) -> None:
        """At the end of a first training: note its predictions, estimate T after the last one, start over."""
        done, rest = divmod(t, self.params.estimation_epochs)
        if rest or not 1 <= done <= self.params.n_first_trainings:
            return
        state = engine.method_state
        p_KSC = engine.train_logits()[:, 0].softmax(-1)
        if self.params.transition == "confident":
            waiting_KS1 = (state["half_KS"] == done % 2)[..., None]
            state["held_out_KSC"] = p_KSC = torch.where(waiting_KS1, p_KSC, state["held_out_KSC"])
        if done == self.params.n_first_trainings:
            self.use(state, self.estimate(p_KSC, engine.label_KS))
        engine.reset_networks()

    def estimate(self, p_KSC: torch.Tensor, label_KS: torch.Tensor) -> torch.Tensor:
        """T of each trial, float64 on the CPU [K, C, C]."""
        matrices = []
        for p_SC, label_S in zip(p_KSC.double().cpu().numpy(), label_KS.cpu().numpy(), strict=True):
            if self.params.transition == "confident":
                matrices.append(confident_transition(p_SC, label_S))
            else:
                matrices.append(patrini_transition(p_SC, self.params.estimation_percentile))
        return torch.from_numpy(np.stack(matrices))

    def use(self, state: State, T_KCC: torch.Tensor) -> None:
        """Correct by T from now on."""
        state["T_KCC"] = T_KCC.to(state["T_KCC"])

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        batch_size = loss_KNB.shape[-1]
        if self.params.transition != "confident":
            return torch.full_like(loss_KNB, 1 / batch_size)
        half_KB = pick(batch.state["half_KS"], batch.index)
        training = torch.div(batch.epoch, self.params.estimation_epochs, rounding_mode="floor")
        seen_KB = (half_KB == training) | (training >= self.params.n_first_trainings)
        share_KB = seen_KB.to(loss_KNB.dtype) / seen_KB.sum(-1, keepdim=True).clamp(min=1)
        return share_KB[:, None].expand_as(loss_KNB)


class Forward(Correction):
    """-ln (T^T p)_y."""

    def losses(
        self,
        logits_KNBC: torch.Tensor,
        label_KB: torch.Tensor,
        index: torch.Tensor,  # noqa: ARG002
        state: State,
    ) -> torch.Tensor:
        column_KBC = rows_of(state["T_KCC"].mT, label_KB)
        noisy_p_KNB = (logits_KNBC.softmax(-1) * column_KBC[:, None]).sum(-1)
        return -noisy_p_KNB.clamp(min=SMALLEST_PROBABILITY).log()


class Backward(Correction):
    """BC: (T^-1 l)_y with l_c = -ln p_c. Its mean over labels drawn from T is the cross entropy of the true class."""

    params: correction.Backward

    def init_state(self, setup: Setup) -> State:
        """Adds ``inverse_KCC``. Raises SpecError for a given T that is singular."""
        state = super().init_state(setup)
        if problems := singular_problems(state["T_KCC"].double().cpu().numpy()):
            raise SpecError(*problems)
        self.use(state, state["T_KCC"].double())
        return state

    def use(self, state: State, T_KCC: torch.Tensor) -> None:
        """Keeps T and its inverse, NaN where an estimated T is singular: such a trial ends with a loss of NaN."""
        super().use(state, T_KCC)
        inverse_KCC, _ = torch.linalg.inv_ex(T_KCC)
        singular_K = ~(torch.linalg.cond(T_KCC) <= MAX_CONDITION)
        state["inverse_KCC"] = inverse_KCC.masked_fill(singular_K[:, None, None], torch.nan).to(state["T_KCC"])

    def losses(
        self,
        logits_KNBC: torch.Tensor,
        label_KB: torch.Tensor,
        index: torch.Tensor,  # noqa: ARG002
        state: State,
    ) -> torch.Tensor:
        row_KBC = rows_of(state["inverse_KCC"], label_KB)
        return -(logits_KNBC.log_softmax(-1) * row_KBC[:, None]).sum(-1)


class NnBC(Backward):
    """Backward correction in which samples of negative corrected loss, the bad ones, do not count."""

    may_skip = True
    params: correction.NnBC

    @property
    def gamma(self) -> float:
        """Strength of the ascent on the bad samples."""
        return 0.0

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        weight_KNB = super().weights(loss_KNB, batch)
        bad_KNB = loss_KNB < 0 if self.params.bad_if == "label" else self._sum_is_negative(batch)
        bad_KNB = bad_KNB & (batch.epoch >= self.params.first_epoch + self.params.warm_up_epochs)
        return torch.where(bad_KNB, -self.gamma * weight_KNB, weight_KNB)

    def _sum_is_negative(self, batch: Batch) -> torch.Tensor:
        """Not eq. (11): 1^T T^-1 l < 0."""
        column_sum_KC = batch.state["inverse_KCC"].sum(1)
        return -(batch.logits_KNBC.log_softmax(-1) * column_sum_KC[:, None, None]).sum(-1) < 0


class SiguaBC(NnBC):
    """Backward correction with an ascent of strength gamma on the samples of negative corrected loss, which pulls those
    losses back towards 0."""

    params: correction.SiguaBC

    @property
    def gamma(self) -> float:
        return self.params.gamma


def rows_of(matrix_KCC: torch.Tensor, label_KB: torch.Tensor) -> torch.Tensor:
    """Row y of each trial's matrix -> [K, B, C]."""
    n_classes = matrix_KCC.shape[-1]
    return matrix_KCC.gather(1, label_KB[..., None].expand(-1, -1, n_classes))


def _halves(setup: Setup) -> torch.Tensor:
    """A random half, 0 or 1, for each trial's samples [K, S], from the trial's own seed."""
    halves = [
        np.random.default_rng(derive_seed(seed, "halves")).permutation(setup.n_samples) % 2 for seed in setup.init_seeds
    ]
    return torch.from_numpy(np.stack(halves)).to(setup.device)
