"""A data set that is drawn and not read; one of files would read them below ``data_root``."""

from __future__ import annotations

import numpy as np
import torch

from s2e.data.datasets import Dataset

N_TRAIN, N_TEST, SIZE = 600, 200, 8


def load_stripes(data_root: str | None, contrast: float) -> Dataset:  # noqa: ARG001
    """Grey images [S, 1, 8, 8]: class c has stripes at the angle of c x 45 degrees, of a random phase."""
    rng = np.random.default_rng(0)
    labels = np.arange(N_TRAIN + N_TEST) % 4
    y, x = np.mgrid[:SIZE, :SIZE]
    angle, phase = (labels * np.pi / 4)[:, None, None], rng.uniform(0, 2 * np.pi, (len(labels), 1, 1))
    stripes = np.sin((np.cos(angle) * x + np.sin(angle) * y) * 2 * np.pi / 4 + phase) / 2 + 0.5
    pixels = contrast * stripes + (1 - contrast) * rng.uniform(size=stripes.shape)
    images = torch.from_numpy((255 * pixels).astype(np.uint8))[:, None]
    train, test = slice(0, N_TRAIN), slice(N_TRAIN, None)
    label_S = torch.from_numpy(labels.astype(np.int64))
    return Dataset("stripes", 4, 255, images[train], label_S[train], images[test], label_S[test])
