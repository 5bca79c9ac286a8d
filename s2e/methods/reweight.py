"""Learning to reweight (Ren et al. 2018): a sample counts as far as its gradient agrees with that of trusted samples.

The paper takes a virtual step w' = w - a grad sum_i e_i l_i and differentiates the trusted loss at w' by e at e = 0,
a second-order graph. That derivative is -a <grad l_i, grad L_trusted>, so one backward pass gives v = grad L_trusted,
and one forward-mode pass along v <grad l_i, v> for every sample at once; a cancels when the weights are normalised.

Legend: K trials, N = 1 network per trial, B batch, M steps of an epoch.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.methods.base import cross_entropy
from s2e.methods.declared import regularisation
from s2e.methods.engine import Engine, MiniBatch
from s2e.methods.plain import Standard


class Reweight(Standard):
    """Cross entropy with weights max(u_i, 0) / sum, u_i = <grad l_i, grad L_trusted>; no weight where no u_i > 0."""

    params: regularisation.Reweight

    def begin_epoch(self, engine: Engine, t: int) -> None:  # noqa: ARG002
        n_clean = len(engine.clean_labels)
        n_drawn = min(self.params.clean_batch_size, n_clean)

        def sample(rng: np.random.Generator) -> NDArray[np.int64]:
            return rng.permuted(np.tile(np.arange(n_clean), (engine.n_steps, 1)), axis=1)[:, :n_drawn]

        engine.draws["clean_index"] = engine.draw("trusted batch", sample)

    def step(self, engine: Engine, batch: MiniBatch) -> tuple[torch.Tensor, torch.Tensor]:
        x = engine.images(batch.index)
        weight_KNB = share(self.agreement(engine, batch, x))
        logits_KNBC = engine.forward(x)
        engine.remember(batch.index, logits_KNBC)
        loss_KNB = cross_entropy(logits_KNBC, batch.label_KB)
        return (weight_KNB * loss_KNB).sum(-1), weight_KNB

    def agreement(self, engine: Engine, batch: MiniBatch, x: torch.Tensor) -> torch.Tensor:
        """u_KNB = <grad l_i, grad L_trusted>; neither pass moves a running statistic."""
        parameters = {name: engine.tensors[name] for name in engine.parameter_names}
        buffers = {name: t for name, t in engine.tensors.items() if name not in parameters}
        clean_KB = engine.draws["clean_index"].index_select(1, batch.step[None])[:, 0]
        clean_index = clean_KB[0] if batch.index.dim() == 1 else clean_KB

        def losses(weights: Mapping[str, torch.Tensor], x: torch.Tensor, label_KB: torch.Tensor) -> torch.Tensor:
            own = {name: buffer.clone() for name, buffer in buffers.items()}
            return cross_entropy(engine.forward(x, {**weights, **own}), label_KB)

        trusted_KNB = losses(parameters, engine.clean_images(clean_index), engine.clean_labels[clean_KB])
        gradients = torch.autograd.grad(trusted_KNB.mean(-1).sum(), list(parameters.values()))
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch scripts its own formulas on first use
            direction = dict(zip(parameters, gradients, strict=True))
            weights = {name: tensor.detach() for name, tensor in parameters.items()}
            exact = x.to(engine.weight_dtype)  # forward-mode batch norm mixes no precisions
            agreement_KNB: torch.Tensor = torch.func.jvp(
                lambda w: losses(w, exact, batch.label_KB), (weights,), (direction,)
            )[1]
        return agreement_KNB


def share(agreement_KNB: torch.Tensor) -> torch.Tensor:
    """max(u, 0) / sum; all zero where no sample agrees."""
    positive_KNB = agreement_KNB.clamp(min=0)
    total_KN1 = positive_KNB.sum(-1, keepdim=True)
    return torch.where(total_KN1 > 0, positive_KNB / total_KN1, 0.0)
