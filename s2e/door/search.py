"""What a search rule needs of a job, refused at the door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from s2e import catalog
from s2e.words import EarlierTrials, Problem


def searcher_problems(searcher: str, n_trials: int, trials: str) -> list[Problem]:
    """Too few trials a round for a rule that compares them, or parts of trainings asked of somebody else's loop."""
    problems, entry = [], catalog.SEARCHERS[searcher]
    if n_trials < entry.min_trials:
        allowed = f">= {entry.min_trials} for searcher {searcher}, which compares the trials of one round"
        problems.append(Problem("search.n_trials", n_trials, allowed))
    if entry.short_trials and trials == "external":
        whole = ", ".join(name for name, other in catalog.SEARCHERS.items() if not other.short_trials)
        allowed = f"with external trials, which are full trainings, one of {whole}"
        problems.append(Problem("search.searcher", searcher, allowed))
    return problems


WARM_SEARCHERS = ("model_newton",)
"""Searchers that can start warm: their surrogate is asked how far the earlier objective is related to the new one."""


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
