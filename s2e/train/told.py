"""Messages about a population while it trains, and at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from s2e.data.inputs import NetworkShape
from s2e.labels.free import TrialMargins
from s2e.train.checkpoint import Checkpoint
from s2e.words import EpochMetrics, TrialResult


@dataclass(frozen=True)
class PopulationEpoch:
    """One epoch: a row for each trial that is still training.

    ``checkpoints()`` takes each trial of the population as it is now, None where it failed; it may be called until the
    next epoch is asked for. Resumed from them, the trials end as if they had never stopped.
    """

    epochs: tuple[EpochMetrics, ...]
    checkpoints: Callable[[], tuple[Checkpoint | None, ...]] = field(repr=False, compare=False)


@dataclass(frozen=True)
class PopulationEnd:
    """All trials ended. ``models[i]``: ``{"network0.<name>": tensor, ...}`` of trial i, None where it failed."""

    results: tuple[TrialResult, ...]
    models: tuple[dict[str, torch.Tensor] | None, ...]
    network: NetworkShape
    """With the network's name, enough to build it."""
    margins: tuple[TrialMargins | None, ...] = ()
    """Margins of trial i on the given labels; empty where the truth is known, or trainings are parts."""
