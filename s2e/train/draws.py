"""Random numbers of an epoch, drawn on the CPU from seeds: the same on every device and in every population."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from s2e.methods.engine import Sampler
from s2e.words import derive_seed


def draw(seeds: Sequence[int], purpose: str, t: int, sample: Sampler) -> torch.Tensor:
    """``sample`` once for each seed, with the generator of (seed, purpose, epoch t) -> [seeds, ...]."""
    rows = [sample(np.random.default_rng(derive_seed(seed, purpose, t))) for seed in seeds]
    return torch.from_numpy(np.stack(rows))
