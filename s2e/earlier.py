"""Trials of earlier jobs, from which a search may start warm: plain data that is stored with the new job.

The service looks the trials of ``search.warm_start`` up once, at submission. From then on the search is a function of
its own spec, whatever becomes of the earlier job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from s2e.errors import Problem
from s2e.validation import param

WARM_SEARCHERS = ("model_newton",)
"""Searchers that can start warm: their surrogate is asked how far the earlier objective is related to the new one."""
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


def earlier_problems(
    searcher: str,
    space: str,
    parameters: Mapping[str, Any],
    warm_start: Sequence[str],
    earlier: Sequence[EarlierTrials],
) -> list[Problem]:
    """What forbids a search to start from these jobs."""
    if (warm_start or earlier) and searcher not in WARM_SEARCHERS:
        allowed = f"none for searcher {searcher}: only {', '.join(WARM_SEARCHERS)} starts warm"
        return [Problem("search.warm_start", ", ".join(warm_start)[:80], allowed)]
    problems = []
    for i, one in enumerate(earlier):
        if one.space != space or dict(one.parameters) != dict(parameters):
            found = f"{one.job}, which searched {one.space}" + (" with parameters" if one.parameters else "")
            allowed = f"jobs that searched {space} with the same search.parameters"
            problems.append(Problem("search.warm_start", found, allowed))
        if not one.points or len(one.points) != len(one.objectives):
            counts = f"{len(one.points)} points, {len(one.objectives)} objectives"
            problems.append(Problem(f"search.earlier[{i}]", counts, "at least one point, and an objective for each"))
    return problems
