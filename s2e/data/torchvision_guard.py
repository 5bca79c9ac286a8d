"""The one door to torchvision.

The published torchvision is a CUDA build. Beside a CPU build of torch its compiled operators are not registered, and
importing it fails with "operator torchvision::nms does not exist", though data sets and classifiers need no operator.
Declaring the two missing schemas lets the import go through; where the import works nothing is done.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

from s2e.words import DataError

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold, float dets_scale, int dets_zero_point) -> Tensor",
)


def datasets() -> Any:
    """``torchvision.datasets``. Raises DataError where torchvision is not installed."""
    return _guarded("torchvision.datasets")


def models() -> Any:
    """``torchvision.models``. Raises DataError where torchvision is not installed."""
    return _guarded("torchvision.models")


@lru_cache(maxsize=2)
def _guarded(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise DataError(f"{module} is needed here, and torchvision is not installed") from error
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    _declare_operators()
    return importlib.import_module(module)


@lru_cache(maxsize=1)
def _declare_operators() -> Any:
    """The two schemas; the result is cached because a Library takes its schemas with it when it is collected."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        library.define(schema)
    return library
