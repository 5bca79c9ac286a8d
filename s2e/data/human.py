"""Human label noise: CIFAR-10N and CIFAR-100N (Wei et al. 2022), read below the data root and checked for alignment.

    cifar-n/cifar-n-labels.npz                      arrays ``cifar10_worse_label``, ``cifar10_clean_label``, ...
    cifar-n/CIFAR-10_human.pt, CIFAR-100_human.pt   the files as published, a pickled dict of arrays

The published files are unpickled with nothing allowed but numpy arrays, so a file cannot run code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from numpy.typing import NDArray

from s2e.words import DataError

Labels = NDArray[np.int64]
COMPACT = "cifar-n/cifar-n-labels.npz"
PUBLISHED = {"cifar10": "cifar-n/CIFAR-10_human.pt", "cifar100": "cifar-n/CIFAR-100_human.pt"}


def human_labels(dataset: str, label_set: str, clean_S: Labels, n_classes: int, data_root: str) -> Labels:
    """The labels [S] people gave to the official training set, in its order.

    Raises DataError for a missing file, for labels outside 0..C-1, and where the file's own clean labels are not the
    data set's, which would mean another order of the samples.
    """
    arrays = _read(dataset, data_root)
    human_S, own_S = (_labels(arrays, key, len(clean_S)) for key in (label_set, "clean_label"))
    wrong = np.flatnonzero(own_S != clean_S)
    if len(wrong):
        raise DataError(
            f"human labels of {dataset} are not aligned: the file's clean_label differs from the data set's labels for "
            f"{len(wrong)} of {len(clean_S)} samples, first at sample {wrong[0]} "
            f"({own_S[wrong[0]]} instead of {clean_S[wrong[0]]})"
        )
    if human_S.min() < 0 or human_S.max() >= n_classes:
        raise DataError(f"{label_set} of {dataset} holds {human_S.min()}..{human_S.max()}, allowed 0..{n_classes - 1}")
    return human_S


def _read(dataset: str, data_root: str) -> Mapping[str, Any]:
    compact, published = Path(data_root) / COMPACT, Path(data_root) / PUBLISHED[dataset]
    if compact.is_file():
        with np.load(compact, allow_pickle=False) as file:
            return {key.removeprefix(f"{dataset}_"): file[key] for key in file if key.startswith(f"{dataset}_")}
    if published.is_file():
        return _unpickle(published)
    raise DataError(f"human labels need {COMPACT} or {PUBLISHED[dataset]} below S2E_DATA_ROOT = {data_root!r}")


def _unpickle(path: Path) -> Mapping[str, Any]:
    """A dict of int64 arrays; anything else in the file is refused before it is built."""
    array_parts: list[Any] = [
        np.ndarray,
        np.dtype,
        np.dtypes.Int64DType,
        multiarray._reconstruct,
        (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),
    ]
    try:
        with torch.serialization.safe_globals(array_parts):
            arrays = torch.load(path, weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise DataError(f"{path.name} is not a dict of label arrays ({str(error).splitlines()[0]})") from error
    if not isinstance(arrays, Mapping):
        raise DataError(f"{path.name} holds a {type(arrays).__name__}, not a dict of label arrays")
    return arrays


def _labels(arrays: Mapping[str, Any], key: str, n_samples: int) -> Labels:
    if key not in arrays:
        raise DataError(f"no {key} among the human labels; found: {', '.join(sorted(arrays)) or 'nothing'}")
    labels = np.asarray(arrays[key])
    if labels.shape != (n_samples,) or labels.dtype.kind not in "iu":
        raise DataError(f"{key} is {labels.dtype} {labels.shape}, not {n_samples} whole numbers")
    return labels.astype(np.int64)
