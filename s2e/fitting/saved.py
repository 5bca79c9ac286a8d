"""The model of a fitted estimator as the file that ``s2e.load_model`` and ``s2e predict`` read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.artifacts import AVERAGES, write_json
from s2e.extras import needs
from s2e.files import write_atomic
from s2e.fitting.model import FITTED, Networks
from s2e.words import Problem, SpecError

with needs("train"):
    from s2e.fitted_model import is_fitted, to_tensors

SUFFIX = ".safetensors"


def save_fitted(clf: Any, path: str | Path) -> Path:
    """Write the model of ``clf``, a fitted :class:`s2e.sklearn.NoisyLabelClassifier`, and a description beside it.

    The file holds every network of the model; :func:`s2e.load_model` averages them, as ``clf`` does. The path written.
    Raises SpecError for a path with another suffix than .safetensors.
    """
    with needs("train"):
        from safetensors.numpy import save

    path = Path(path).expanduser()
    if path.suffix not in ("", SUFFIX):
        raise SpecError(Problem("path", str(path), f"a name that ends in {SUFFIX}"))
    path = path.with_suffix(SUFFIX)
    path.parent.mkdir(parents=True, exist_ok=True)
    model = clf._networks_ if hasattr(clf, "_networks_") else _of_numbers(clf)
    tensors = _tensors(model)
    write_json(path.with_suffix(".json"), {**_described(clf, model.described), AVERAGES: not is_fitted(tensors)})
    write_atomic(path, save(tensors))
    return path


def _tensors(model: Networks) -> dict[str, Any]:
    """Every network under its number; a model that was fitted in one go under the one name that it has."""
    fitted = {f"{FITTED}.{name}": np.ascontiguousarray(value) for name, value in model.states[0].items()}
    if is_fitted(fitted):
        return fitted
    return {
        f"network{i}.{name}": np.ascontiguousarray(value)
        for i, state in enumerate(model.states)
        for name, value in state.items()
    }


def _described(clf: Any, described: Mapping[str, Any]) -> dict[str, Any]:
    """Network, training and shape, with the labels that ``clf`` knows for the classes."""
    shape = described["shape"]
    inputs = {**shape.get("inputs", {}), "class_names": _names(clf.classes_)}
    return {**described, "network": described["train"]["network"], "shape": {**shape, "inputs": inputs}}


def _names(classes: NDArray[Any]) -> list[str]:
    """As text; none where they are their own numbers."""
    is_number = np.issubdtype(classes.dtype, np.integer) and np.array_equal(classes, np.arange(len(classes)))
    return [] if is_number else [str(name) for name in classes]


def _of_numbers(clf: Any) -> Networks:
    """The model of an estimator that keeps layers, or a fitted model, and scales rows of numbers by itself."""
    n_features, n_classes = len(clf._mean_), len(clf.classes_)
    hidden = [] if clf._fitted_ else [len(bias) for _, bias in clf._layers_[0][:-1]]
    encoder = {"mean": clf._mean_.tolist(), "scale": clf._scale_.tolist()}
    shape = {"input_shape": [n_features], "max_value": 1, "n_classes": n_classes, "inputs": {"numbers": encoder}}
    train = {"method": clf.method_, "network": "mlp_tabular", "network_params": {"hidden": hidden}}
    return Networks({"shape": shape, "train": train}, _states(clf))


def _states(clf: Any) -> list[dict[str, Any]]:
    if clf._fitted_ is not None:
        tensors = to_tensors(clf._fitted_)
        return [{name.removeprefix(f"{FITTED}."): tensor.numpy() for name, tensor in tensors.items()}]
    return [
        {
            f"{name}.{what}": value.astype(np.float32)
            for name, layer in zip(_layer_names(layers), layers, strict=True)
            for what, value in zip(("weight", "bias"), layer, strict=True)
        }
        for layers in clf._layers_
    ]


def _layer_names(layers: list[Any]) -> list[str]:
    """As ``mlp_tabular`` calls them."""
    return [*(f"hidden{i}" for i in range(1, len(layers))), "output"]
