"""Which images a network takes: cheap enough for the API's door, without torch."""

from __future__ import annotations

from collections.abc import Sequence

from s2e import catalog
from s2e.errors import Problem


def image_problems(network: str, shape: Sequence[int]) -> list[Problem]:
    """A refusal of ``network`` if samples of ``shape``, (channels, height, width), are too small for it, or nothing."""
    height, width = shape[-2:]
    least = catalog.network_entry(network).min_size
    if min(height, width) >= least:
        return []
    fitting = ", ".join(name for name, entry in catalog.NETWORKS.items() if entry.min_size <= min(height, width))
    allowed = f"one of {fitting} for images of {height}x{width} pixels: {network} needs {least}x{least}"
    return [Problem("train.network", network, allowed)]
