"""A warm start at submission: the trials of earlier jobs become plain data of the new one."""

from __future__ import annotations

import numpy as np
from sqlalchemy.orm import Session

from s2e.door import parse_job
from s2e.words import MOST_TRIALS, EarlierTrials, JobSpec, Problem, SpecError, UnreadableError, replace, to_json
from service.errors import NotFound
from service.store import queries
from service.store.rounds import load_spec


def resolved(session: Session, spec: JobSpec) -> JobSpec:
    """The job with the trials of ``search.warm_start`` in ``search.earlier``.

    Raises SpecError for a job that is unknown, has no succeeded trial of its own points, or searched another space.
    """
    if not spec.search.warm_start:
        return spec
    earlier = tuple(_trials(session, job_id) for job_id in spec.search.warm_start)
    return parse_job(to_json(replace(spec, search=replace(spec.search, earlier=earlier))))


def _trials(session: Session, job_id: str) -> EarlierTrials:
    try:
        search = load_spec(session, job_id).search
    except NotFound as error:
        raise SpecError(Problem("search.warm_start", job_id, "ids of jobs that exist")) from error
    except UnreadableError as error:
        raise SpecError(Problem("search.warm_start", job_id, f"jobs that this release can read: {error}")) from error
    found = queries.searched_points(session, job_id)
    if not found:
        raise SpecError(Problem("search.warm_start", job_id, "jobs with at least one succeeded full training"))
    kept = [found[i] for i in np.unique(np.rint(np.linspace(0, len(found) - 1, MOST_TRIALS)).astype(int))]
    return EarlierTrials(
        job_id,
        search.space,
        search.parameters,
        tuple(point for point, _ in kept),
        tuple(objective for _, objective in kept),
    )
