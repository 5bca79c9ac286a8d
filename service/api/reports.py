"""Use case: the report of a finished job."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from s2e.words import read
from s2e.words.answers import REPORTS, ComparisonReport, SearchReport
from service.errors import NoReport
from service.store import queries
from service.store.models import Job
from service.store.retention import model_files

AnyReport = Annotated[SearchReport | ComparisonReport, Field(discriminator="kind")]


def report_out(session: Session, job: Job) -> AnyReport:
    """The stored report. Raises NoReport while there is none."""
    row = queries.report(session, job.id)
    if row is None:
        raise NoReport(job.id, job.state)
    kind = row.report.get("kind", SearchReport.kind)
    models = queries.trials_of_models(session, job.id, model_files(row.report))
    return read(REPORTS[kind], {**row.report, "created_at": row.created_at.isoformat(), "models": models})
