"""Published per-channel mean and standard deviation of pixels in [0, 1] (methods reference f.3). Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s2e.words import Problem

if TYPE_CHECKING:
    from s2e.words import DataSpec

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
MEAN_STD: dict[str, Statistics] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
"""As the official ELR, SCE and DivideMix programs print them."""


def statistics_of(spec: DataSpec) -> Statistics | None:
    """Mean and standard deviation to normalise by, or None."""
    return MEAN_STD[spec.name] if spec.normalise == "channels" else None


def normalise_problems(spec: DataSpec) -> list[Problem]:
    """Normalisation asked for a data set without published numbers."""
    if spec.normalise == "channels" and spec.name not in MEAN_STD:
        allowed = f"none for {spec.name}: numbers are published for {', '.join(MEAN_STD)}"
        return [Problem("data.normalise", spec.normalise, allowed)]
    return []
