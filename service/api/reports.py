"""Use case: the report of a finished job."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy.orm import Session

from s2e.words import read
from s2e.words.answers import ComparisonReport, SearchReport
from service.errors import NoReport
from service.store import queries
from service.store.models import Job

AnyReport = Annotated[SearchReport | ComparisonReport, Field(discriminator="kind")]
_SHAPES: dict[str, type[SearchReport | ComparisonReport]] = {"search": SearchReport, "compare": ComparisonReport}


def report_out(session: Session, job: Job) -> AnyReport:
    """The stored report. Raises NoReport while there is none."""
    row = queries.report(session, job.id)
    if row is None:
        raise NoReport(job.id, job.state)
    kind = row.report.get("kind", "search")
    models = queries.trials_of_models(session, job.id, _model_files(row.report))
    return read(_SHAPES[kind], {**row.report, "created_at": row.created_at.isoformat(), "models": models})


def _model_files(report: dict[str, Any]) -> list[str]:
    """The model files that a report of any kind names."""
    named = [
        report.get("recommended_model"),
        report.get("best_run_model"),
        *(row.get("model") for row in report["rows"]),
    ]
    return [path for path in named if path]
