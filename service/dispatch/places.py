"""Room for populations at the places that train."""

from __future__ import annotations

from collections.abc import Sequence

from s2e.words import PlanSpec
from workers.backend import WorkerInfo


def capacity(workers: Sequence[WorkerInfo], plan: PlanSpec) -> int:
    """Populations of a job that may be under way at once: one for each place, and one more so that none waits for us.

    Not all of a round, because a population that has been given away can no longer be held back by a pause.
    """
    if plan.device == "cuda":
        places = sum(worker.gpus for worker in workers)
    else:
        places = sum(worker.cpus for worker in workers) / plan.threads
    return max(1, int(places)) + 1


def share(other: PlanSpec, plan: PlanSpec, workers: Sequence[WorkerInfo]) -> float:
    """Number of places for populations of ``plan`` that one of ``other`` takes up. A population that fits nowhere takes
    places from its like only."""
    if other.device != plan.device or not _fits(other, workers):
        return float((other.device, other.threads) == (plan.device, plan.threads))
    return other.threads / plan.threads if plan.device == "cpu" else 1.0


def _fits(plan: PlanSpec, workers: Sequence[WorkerInfo]) -> bool:
    """True if some place could hold a population of ``plan``."""
    if plan.device == "cuda":
        return any(worker.gpus >= 1 for worker in workers)
    return any(worker.cpus >= plan.threads for worker in workers)
