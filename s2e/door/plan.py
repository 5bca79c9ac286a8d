"""The plan of a job: what ``auto`` stands for is settled at submission, so the stored plan says which step trains."""

from __future__ import annotations

from dataclasses import replace

from s2e.words import Problem
from s2e.words.job import JobSpec, PlanSpec


def plan_problems(spec: JobSpec) -> list[Problem]:
    """Nobody here can measure what trains elsewhere."""
    if spec.plan.auto and spec.trials == "external":
        return [Problem("plan.auto", True, "false where trials are external: your own program trains them")]
    return []


def settled(plan: PlanSpec) -> PlanSpec:
    """The plan with ``step`` torch or native: native where this host has the compiled library for such a plan.

    The two round differently, so leaving the choice to each worker would let the numbers of a job depend on who is
    free. A worker without the library does not train a native plan (:func:`s2e.train.fused.trains`).
    """
    if plan.step != "auto":
        return plan
    from s2e.networks.library import instruction_set  # loads the library

    types = {False, plan.dtype == "bfloat16"}  # re-training is in float32, whatever the search is in
    here = plan.device == "cpu" and plan.threads == 1 and all(instruction_set(half=half) for half in types)
    return replace(plan, step="native" if here else "torch")
