"""Mixtures of a batch with a permutation of itself, drawn once per epoch: one coefficient for each step.

Legend: K trials, N networks per trial, B batch, M steps of an epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from s2e.methods.engine import Engine, MiniBatch


@dataclass(frozen=True, eq=False)
class Mixing:
    """One step's mixture: weight x[i] + (1 - weight) x[partner[i]]."""

    weight_K: torch.Tensor
    partner_KB: torch.Tensor

    def images(self, x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """The images of ``index`` mixed: [B, ...] if trials share the batch, else [K, B, ...]."""
        if index.dim() == 1:  # the draws come from the data order, so trials that share it share them too
            return self._mixed(x, x[self.partner_KB[0]], self.weight_K[0])
        trial_K1 = torch.arange(len(index), device=x.device)[:, None]
        return self._mixed(x, x[trial_K1, self.partner_KB], self.weight_K.view(-1, *[1] * (x.dim() - 1)))

    def partners(self, value_KB: torch.Tensor) -> torch.Tensor:
        """Each sample's partner's value: [K, B, ...] -> [K, B, ...]."""
        return value_KB[torch.arange(len(value_KB), device=value_KB.device)[:, None], self.partner_KB]

    def values(self, value_KB: torch.Tensor) -> torch.Tensor:
        """weight v[i] + (1 - weight) v[partner[i]]: [K, B, ...] -> [K, B, ...]."""
        weight = self.weight_K.view(-1, *[1] * (value_KB.dim() - 1))
        return self._mixed(value_KB, self.partners(value_KB), weight)

    @staticmethod
    def _mixed(own: torch.Tensor, other: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        weight = weight.to(own.dtype)
        return weight * own + (1 - weight) * other


def draw_mixing(engine: Engine, alpha: float, *, own_first: bool = False, n_views: int = 1) -> None:
    """weight ~ Beta(alpha, alpha) and a permutation for each step of this epoch.

    ``own_first``: max(weight, 1 - weight), so that a mixture is nearer to its own sample than to the partner.
    ``n_views``: how often each sample stands in the batch that is mixed.
    """
    n_steps, batch_size = engine.n_steps, n_views * engine.batch_size
    weight_KM = engine.draw("mixing weight", lambda rng: rng.beta(alpha, alpha, n_steps)).to(engine.weight_dtype)
    batch_MB = np.tile(np.arange(batch_size), (n_steps, 1))
    engine.draws["mix_weight"] = torch.maximum(weight_KM, 1 - weight_KM) if own_first else weight_KM
    engine.draws["mix_partner"] = engine.draw("mixing partner", lambda rng: rng.permuted(batch_MB, axis=1))


def mixing_of(engine: Engine, batch: MiniBatch) -> Mixing:
    """The mixture of this step."""
    weight_K, partner_KB = (
        engine.draws[name].index_select(1, batch.step[None])[:, 0] for name in ("mix_weight", "mix_partner")
    )
    return Mixing(weight_K, partner_KB)
