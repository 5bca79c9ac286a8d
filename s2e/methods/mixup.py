"""Mixup (Zhang et al. 2018).

Legend: K trials, N networks per trial, B batch, C classes.
"""

from __future__ import annotations

import torch

from s2e.methods.base import cross_entropy
from s2e.methods.declared import regularisation
from s2e.methods.engine import Engine, MiniBatch
from s2e.methods.mixing import draw_mixing, mixing_of
from s2e.methods.plain import Standard


class Mixup(Standard):
    """l CE(f(x~), y) + (1 - l) CE(f(x~), y[pi]) with x~ = l x + (1 - l) x[pi], one l ~ Beta(alpha, alpha) a batch."""

    params: regularisation.Mixup

    def begin_epoch(self, engine: Engine, t: int) -> None:  # noqa: ARG002
        draw_mixing(engine, self.params.alpha)

    def step(self, engine: Engine, batch: MiniBatch) -> tuple[torch.Tensor, torch.Tensor]:
        mixing = mixing_of(engine, batch)
        logits_KNBC = engine.forward(mixing.images(engine.images(batch.index), batch.index))
        weight_K11 = mixing.weight_K[:, None, None]
        own_KNB = cross_entropy(logits_KNBC, batch.label_KB)
        other_KNB = cross_entropy(logits_KNBC, mixing.partners(batch.label_KB))
        return self.weigh(engine, batch, logits_KNBC, weight_K11 * own_KNB + (1 - weight_K11) * other_KNB)
