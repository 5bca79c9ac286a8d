"""Stored jobs as this release can still read them, even if another release wrote their spec.

A spec that cannot be read is shown as it is; a name that no longer exists costs only the answers that depend on it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from s2e.door import read_job
from s2e.parts import KINDS, JobKind
from s2e.words import JobSpec, S2EError, UnreadableError
from service.store.models import Job

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)


def spec_of(job: Job) -> tuple[JobSpec | None, str]:
    """The spec of a job; None, and why, for one that this release cannot read."""
    try:
        return read_job(job.spec, job.spec_version), ""
    except UnreadableError as error:
        return None, str(error)


def kind_of(job: Job) -> JobKind | None:
    """The kind of a job; None for one that another release has."""
    kind = job.spec.get("kind", "search")
    return KINDS.get(kind)


def recommends(job: Job) -> bool:
    """True if the job is of a kind that ends with a recommended schedule, or of one that might."""
    kind = kind_of(job)
    return kind is None or kind.recommends


def if_known(compute: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """The value of ``compute()``; None where a stored spec asks for something that this release does not have."""
    try:
        return compute(*args, **kwargs)
    except (S2EError, LookupError, ValueError) as error:
        log.warning("a stored job is shown without what this release cannot compute: %s", error)
        return None
