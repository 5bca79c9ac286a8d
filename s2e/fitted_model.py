"""A fitted model in the file of a trial, and out of it: by skops, which reads no pickle.

What a file may hold are types of scikit-learn and of numpy, and those that the installed part of its method trusts; a
file that names another is refused before anything of it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from s2e.extras import needs
from s2e.methods.fitted import FittedModel
from s2e.parts import METHODS, FittedPart
from s2e.words import DataError

ESTIMATOR, CLASSES, TRANSITION = "fitted.estimator", "fitted.classes", "fitted.transition"
N_CLASSES = "fitted.n_classes"
SMALLEST = 1e-12


def to_tensors(model: FittedModel) -> dict[str, torch.Tensor]:
    """The model as the tensors of a model file: bytes of the estimator, class numbers, T or nothing."""
    with needs("train"):
        import skops.io

    content = np.frombuffer(skops.io.dumps(model.estimator), dtype=np.uint8)
    T_CC = np.zeros((0, 0)) if model.T_CC is None else model.T_CC
    tensors = {
        ESTIMATOR: content.copy(),
        CLASSES: model.class_C,
        N_CLASSES: np.array(model.n_classes),
        TRANSITION: T_CC,
    }
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in tensors.items()}


def is_fitted(tensors: Mapping[str, Any]) -> bool:
    """True if a model file holds a fitted model, and no networks."""
    return ESTIMATOR in tensors


def from_tensors(tensors: Mapping[str, torch.Tensor], method: str) -> FittedModel:
    """The model of ``method`` that a file holds. Raises DataError for a type that it does not have."""
    T_CC = tensors[TRANSITION].numpy()
    return FittedModel(
        _estimator(tensors[ESTIMATOR].numpy().tobytes(), method),
        tensors[CLASSES].numpy(),
        int(tensors[N_CLASSES]),
        T_CC if len(T_CC) else None,
    )


class FittedNetwork(nn.Module):
    """A fitted model where a network is expected: samples [S, ...] -> ln P(class) [S, C], whose softmax is P."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], described: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = from_tensors(tensors, str(described["train"]["method"]))

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        p_SC = self.model.predict_proba(samples.flatten(1).float().cpu().numpy())
        return torch.from_numpy(np.log(np.maximum(p_SC, SMALLEST)))


def _estimator(content: bytes, method: str) -> Any:
    with needs("train"):
        import skops.io

    part = METHODS.get(method)
    trusted = part.trusts if part is not None and issubclass(part, FittedPart) else FittedPart.trusts
    types = skops.io.get_untrusted_types(data=content)
    if strange := [name for name in types if not name.startswith(trusted)]:
        raise DataError(f"the model's file holds {', '.join(strange)}, which {method} does not: it was not loaded")
    return skops.io.loads(content, trusted=types)
