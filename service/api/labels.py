"""Use case: which labels of a job are likely wrong."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from fastapi import Query, Response
from sqlalchemy.orm import Session

from s2e.labels.job_audit import (
    COLUMNS,
    SCORES,
    JobAudit,
    audit_of_files,
    chosen_rows,
    noise_rate_of,
    page_of,
    table_rows,
)
from s2e.labels.kept import SPLITS
from s2e.words import DataError, UnreadableError, replace
from s2e.words.answers import JobLabels
from service.api.formats import one_of, table_answer
from service.api.paging import Place
from service.errors import NoLabels, Unavailable
from service.store import queries, rounds
from service.store.models import Job

_Label = Annotated[str | None, Query(max_length=200, description="only rows with this label")]
_Likely = Annotated[str | None, Query(max_length=200, description="only rows that more likely have this one")]


class Asked:
    """The labels that a request wants, and the kind of audit that judges them."""

    def __init__(
        self,
        score: Annotated[
            str | None,
            Query(
                json_schema_extra={"enum": list(SCORES)},
                description="cross_fitted: by networks that did not train on the row; free: by the job's own "
                "trainings; the first of them that is there unless given",
            ),
            one_of(SCORES, "score"),
        ] = None,
        given: _Label = None,
        likely: _Likely = None,
        issues: Annotated[bool, Query(description="only rows whose label is taken to be wrong")] = False,
        split: Annotated[
            str | None,
            Query(json_schema_extra={"enum": list(SPLITS)}, description="only rows of this part of the data"),
            one_of(SPLITS, "split"),
        ] = None,
    ) -> None:
        self.score, self.given, self.likely, self.issues, self.split = score, given, likely, issues, split

    def of(self, audit: JobAudit) -> list[int]:
        """Places of these rows in the audit."""
        places: list[int] = chosen_rows(audit, self.given, self.likely, self.issues, self.split).tolist()
        return places


def audit_of(session: Session, artifact_root: str, job: Job, score: str | None) -> JobAudit:
    """The audit of a job. Raises NoLabels, Unavailable."""
    try:
        noise_rate = noise_rate_of(rounds.load_spec(session, job.id))
        return _audit(artifact_root, job.id, noise_rate, tuple(queries.trainings(session, job.id)), score)
    except (DataError, UnreadableError) as error:
        raise NoLabels(job.id, error) from error
    except OSError as error:
        raise Unavailable(f"the artifact store does not answer: {type(error).__name__}") from error


@lru_cache(maxsize=4)
def _audit(root: str, job_id: str, noise_rate: float | None, models: tuple[str, ...], score: str | None) -> JobAudit:
    """Files of trainings that have ended do not change."""
    return audit_of_files(root, job_id, noise_rate, models, score)


def page(audit: JobAudit, asked: Asked, paging: Place) -> JobLabels:
    """The labels behind the cursor, the worst first."""
    places, after = asked.of(audit), paging.after(int)
    following = [place for place in places if after is None or place > after[0]][: paging.limit + 1]
    cursor = paging.page(following, lambda place: (place,), lambda kept: kept).next_cursor
    return replace(page_of(audit, following, paging.limit), next_cursor=cursor, n_chosen=len(places))


def table(audit: JobAudit, asked: Asked, wanted: str, job_id: str) -> Response:
    """All rows that were asked for, as a file. Raises Invalid for Parquet without pyarrow."""
    return table_answer(wanted, COLUMNS, table_rows(audit, asked.of(audit)), f"labels-{job_id}")
