"""ELR+ (Liu et al. 2020): ELR with two networks, mixup and averaged weights.

Legend: K trials, N = 2 networks per trial, G = K * N, B batch, C classes, S samples.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from s2e.methods.base import Setup
from s2e.methods.declared import regularisation
from s2e.methods.elr import clamped, empty_targets, move_targets, regulariser
from s2e.methods.engine import Engine, MiniBatch, State
from s2e.methods.mixing import draw_mixing, mixing_of
from s2e.methods.plain import Standard
from s2e.methods.targets import soft_cross_entropy

_AVERAGE = "average."


class ElrPlus(Standard):
    """Soft CE on mixed samples + lambda ln(1 - <p, t~>); a network's targets come from the *other's* averaged weights
    on the samples before they are mixed.

    Both networks see one split, one noise draw and one mixture. The official program gives each its own of all three,
    so that one network trains on images the other validates on.
    """

    n_networks = 2
    params: regularisation.ElrPlus

    def init_state(self, setup: Setup) -> State:
        averages = {
            _AVERAGE + name: tensor.detach().unflatten(0, (-1, self.n_networks)).clone()
            for name, tensor in setup.tensors.items()
        }
        return {"target": empty_targets(setup, self.n_networks)} | averages

    def begin_epoch(self, engine: Engine, t: int) -> None:  # noqa: ARG002
        draw_mixing(engine, self.params.mixup_alpha, own_first=True)

    def step(self, engine: Engine, batch: MiniBatch) -> tuple[torch.Tensor, torch.Tensor]:
        state, mixing = engine.method_state, mixing_of(engine, batch)
        x = engine.images(batch.index)
        with torch.no_grad():  # the averaged networks always run on batch statistics
            teacher_KNBC = engine.forward(x, self._averaged(state)).flip(1).softmax(-1)
        target_KNBC = move_targets(state["target"], batch.index, teacher_KNBC, self.params.target_momentum)
        mixed_KNBC = mixing.values(target_KNBC.transpose(1, 2)).transpose(1, 2)
        logits_KNBC = engine.forward(mixing.images(x, batch.index))
        label_KBC = F.one_hot(batch.label_KB, logits_KNBC.shape[-1]).to(logits_KNBC.dtype)
        label_KNBC = mixing.values(label_KBC)[:, None]
        if self.params.refine_labels:
            label_KNBC = label_KNBC * mixed_KNBC
            label_KNBC = label_KNBC / label_KNBC.sum(-1, keepdim=True)
        loss_KNB = soft_cross_entropy(logits_KNBC, label_KNBC)
        strength = self.params.strength * _risen(global_step(engine), self.params.strength_ramp_steps)
        return self.weigh(
            engine, batch, logits_KNBC, loss_KNB + strength * regulariser(clamped(logits_KNBC), mixed_KNBC)
        )

    @torch.no_grad()
    def after_step(self, engine: Engine) -> None:
        """average <- gamma average + (1 - gamma) w; buffers are not averaged."""
        done = global_step(engine) + 1
        gamma = self.params.average_momentum
        if self.params.average_rule == "sigmoid":
            momentum = gamma * _risen(done, self.params.average_ramp_steps)
        else:
            momentum = (1 - 1 / done.double()).clamp(max=gamma)
        averaged = self._averaged(engine.method_state)
        for name in engine.parameter_names:
            averaged[name].lerp_(engine.tensors[name], (1 - momentum).to(averaged[name].dtype))

    def _averaged(self, state: State) -> dict[str, torch.Tensor]:
        """The averaged networks as {name: [G, ...]}, views of the state."""
        return {
            name.removeprefix(_AVERAGE): tensor.flatten(0, 1)
            for name, tensor in state.items()
            if name.startswith(_AVERAGE)
        }


def global_step(engine: Engine) -> torch.Tensor:
    """Steps done before this one since the training began, as a tensor without axes."""
    return engine.epoch * engine.n_steps + engine.step


def _risen(step: torch.Tensor, ramp_steps: int) -> torch.Tensor:
    """exp(-5 (1 - s/L)^2), 1 from step L on."""
    share = (step.double() / ramp_steps).clamp(max=1) if ramp_steps else torch.ones_like(step, dtype=torch.float64)
    return (-5 * (1 - share) ** 2).exp()
