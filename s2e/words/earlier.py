"""Trials of earlier jobs, from which a search may start warm: plain data that is stored with the new job.

The service looks the trials of ``search.warm_start`` up once, at submission. From then on the search is a function of
its own spec, whatever becomes of the earlier job.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s2e.words.fields import param

MOST_TRIALS = 120
"""Trials kept of one earlier job, spread evenly over it."""


@dataclass(frozen=True)
class EarlierTrials:
    """The searched points of one job and their objectives."""

    job: str = param(max_length=120, doc="id of the job, for people")
    space: str = param(max_length=120, doc="space it searched")
    parameters: dict[str, Any] = param(dict, doc="training parameters it searched beside the schedule")
    points: tuple[tuple[float, ...], ...] = param((), max_length=MOST_TRIALS, doc="coordinates of its trials")
    objectives: tuple[float, ...] = param((), max_length=MOST_TRIALS, doc="their objectives, in the same order")
    space_params: dict[str, Any] = param(dict, doc="settings of that space")
