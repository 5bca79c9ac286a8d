"""Which samples a network takes: cheap enough for the API's door, without torch."""

from __future__ import annotations

from collections.abc import Sequence

from s2e import catalog
from s2e.words import Problem


def image_problems(network: str, shape: Sequence[int]) -> list[Problem]:
    """A refusal of ``network`` if samples of ``shape``, images (D, H, W) or rows of numbers, are too small for it."""
    size = min(shape[1:]) if len(shape) == 3 else 1
    least = catalog.network_entry(network).min_size
    if size >= least:
        return []
    found = f"images of {shape[1]}x{shape[2]} pixels" if len(shape) == 3 else "rows of numbers"
    fitting = ", ".join(name for name, entry in catalog.NETWORKS.items() if entry.min_size <= size)
    return [
        Problem("train.network", network, f"one of {fitting} for {found}: {network} needs images of {least}x{least}")
    ]
