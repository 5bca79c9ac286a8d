"""The part of a place that a cause of losses takes away, and the jobs that need it.

A circuit is of a place, a cause and a need: a data root that is gone on one node concerns no job that reads none, a
device that failed no job on processors, and a place too small for one network may hold another.
"""

from __future__ import annotations

from collections.abc import Callable

from s2e.parts import DATASETS
from s2e.words import DataSpec, JobSpec
from workers import backend

Needs = Callable[[str], str]
"""Cause -> the need of one job that it takes away."""
EVERYBODYS = ""
"""The need of every job, such as a process that lives and a disk to write to."""
NOBODYS = "nothing"
"""Of a job that does not need what fails; no circuit is of it."""


def need(cause: str, spec: JobSpec, job_id: str) -> str:
    """The part of a place that a job needs and ``cause`` takes away, in words; jobs of one need share the circuit."""
    match cause:
        case backend.DATA_MISSING:
            return "the data root" if reads_root(spec.data) else NOBODYS
        case backend.DEVICE_FAILED | backend.STALLED:
            return f"a working {spec.plan.device}"
        case backend.OUT_OF_MEMORY:
            train = spec.train
            return f"memory of {spec.plan.device} for {train.network}, {spec.data.name}, batches of {train.batch_size}"
        case backend.INCOMPLETE:
            return f"what {spec.train.method}, {spec.train.network} and {spec.data.name} import"
        case backend.PLACE_FAILED:
            return f"plan.step = {spec.plan.step}, {spec.plan.dtype}"
        case backend.NO_PLACE | backend.TOO_MANY:
            return f"room for job {job_id}"
    return EVERYBODYS


def reads_root(data: DataSpec) -> bool:
    """True if a job's data lie below the data root, all or in part."""
    part = DATASETS.get(data.name)
    return part is None or part.below_root or data.noise.kind in ("human", "open_set")
