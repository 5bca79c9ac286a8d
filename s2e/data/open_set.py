"""Open-set noise (SIGUA Table 1): a share of the training images is replaced by images of another set, labels kept."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data.datasets import load_whole
from s2e.data.root import environment_root, file_below, required_root
from s2e.data.rows import Samples
from s2e.words import DataError, DataSpec, derive_seed

OWN = -1
"""No foreign image: the sample keeps its own."""


def foreign_images(data: DataSpec, data_root: str | None = None) -> Samples | None:
    """Images uint8 [P, D, H, W] that open-set noise takes: the training images of another set, or those of a file.

    None for other noise. Raises DataError for images that do not fit the data set's.
    """
    if data.noise.kind != "open_set":
        return None
    return _foreign_images(data, data_root or environment_root())


@lru_cache(maxsize=1)
def _foreign_images(data: DataSpec, data_root: str | None) -> Samples:
    own, source = load_whole(data, data_root), data.noise.open_set
    assert source is not None  # refused at the door
    if source.endswith(".npz"):
        root = required_root(data_root, "open-set noise", f"the file {source!r}")
        images: Samples = _images_of_file(file_below(root, source, "data.noise.open_set"))
        max_value = 255
    else:
        other = load_whole(DataSpec(name=source), data_root)
        images, max_value = other.train_images, other.max_value
    if images.shape[1:] != own.train_images.shape[1:] or max_value != own.max_value or images.dtype != torch.uint8:
        raise DataError(
            f"data.noise.open_set = {source!r}: {images.dtype} images {tuple(images.shape[1:])} of 0..{max_value} do "
            f"not fit {data.name}: {tuple(own.train_images.shape[1:])} of 0..{own.max_value}"
        )
    return images


def _images_of_file(path: Path) -> torch.Tensor:
    """The array ``images`` [P, H, W, D] of an .npz file, channels first."""
    try:
        with np.load(path, allow_pickle=False) as file:
            images = file["images"]
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"{path.name} holds no array 'images' ({error})") from error
    if images.ndim != 4 or not len(images):
        raise DataError(f"{path.name}: images of shape {images.shape}, expected [P, H, W, D]")
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def replaced(n_samples: int, n_foreign: int, noise_rate: float, seed: int) -> NDArray[np.int64]:
    """The foreign image of each sample [S], OWN for none: exactly round(tau S) samples get one.

    Each foreign image is used once while there are enough of them, and else drawn with replacement.
    """
    rng = np.random.default_rng(derive_seed(seed, "open-set noise"))
    chosen = rng.permutation(n_samples)[: round(noise_rate * n_samples)]
    foreign_S = np.full(n_samples, OWN)
    foreign_S[chosen] = rng.choice(n_foreign, len(chosen), replace=n_foreign < len(chosen))
    return foreign_S


@lru_cache(maxsize=64)
def foreign_rows(data: DataSpec, n_samples: int, noise_seed: int, data_root: str | None = None) -> torch.Tensor:
    """For each training sample the row of :func:`foreign_images` that replaces its image, or OWN [S]."""
    images = foreign_images(data, data_root)
    assert images is not None
    return torch.from_numpy(replaced(n_samples, len(images), data.noise.noise_rate, noise_seed))
