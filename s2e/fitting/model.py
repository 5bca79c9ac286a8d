"""The networks of an estimator that was fitted on files: they pickle as arrays, and predict rows as files have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2e.extras import needs
from s2e.words import TrainSpec, read

if TYPE_CHECKING:
    from s2e.methods.fitted import FittedModel
    from s2e.model import Model


FITTED = "fitted"
"""Stands before the names of a fitted model's tensors, where networks have ``network0``."""
State = dict[str, NDArray[Any]]
"""A plain module's arrays by name."""


@dataclass(frozen=True, eq=False)
class Networks:
    """Plain arrays and plain JSON."""

    described: Mapping[str, Any]
    states: Sequence[State]

    @property
    def method(self) -> str:
        """The method that trained them."""
        return str(self.described["train"]["method"])

    @property
    def fitted(self) -> FittedModel | None:
        """The model that was fitted in one go and stands in their place."""
        with needs("train"):
            from s2e.fitted_model import from_tensors, is_fitted

        tensors = self._tensors(self.states[0])
        return from_tensors(tensors, self.method) if is_fitted(tensors) else None

    def predict_proba(self, rows: Any) -> NDArray[np.float64]:
        """Mean of all networks [S, C]; see :meth:`s2e.model.Model.predict_proba` for ``rows``."""
        from s2e.model import parts_of

        models = self._models
        samples = (models[0].samples(part) for part in parts_of(rows))
        return np.concatenate([np.mean([model.of_samples(part) for model in models], axis=0) for part in samples])

    def dense_layers(self) -> list[list[tuple[NDArray[np.float64], NDArray[np.float64]]]]:
        """Of each ``mlp_tabular`` the weights [out, in] and biases, first layer to last."""
        n_hidden = len(self.described["train"]["network_params"]["hidden"])
        names = [*(f"hidden{i}" for i in range(1, n_hidden + 1)), "output"]
        return [
            [tuple(state[f"{name}.{what}"].astype(np.float64) for what in ("weight", "bias")) for name in names]  # type: ignore[misc]
            for state in self.states
        ]

    def _tensors(self, state: State) -> dict[str, Any]:
        """A state by the names that the file of a fitted model has."""
        import torch

        return {f"{FITTED}.{name}": torch.from_numpy(array) for name, array in state.items()}

    @cached_property
    def _models(self) -> list[Model]:
        with needs("train"):
            import torch
        from s2e.fitted_model import FittedNetwork
        from s2e.model import Model
        from s2e.networks.build import build

        shape, train = self.described["shape"], read(TrainSpec, self.described["train"])
        models = []
        if self.fitted is not None:
            return [Model(FittedNetwork(self._tensors(self.states[0]), self.described), self.described)]
        for state in self.states:
            module = build(train, shape["input_shape"], shape["n_classes"]).make_module()
            module.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()}, strict=False)
            models.append(Model(module, self.described))
        return models

    def __getstate__(self) -> dict[str, Any]:
        return {"described": self.described, "states": self.states}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
