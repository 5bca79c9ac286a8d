"""/trials: one trial, its curves and its model."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from s2e.words.answers import LogLine, Page, TrialDetail, TrialEpochs
from s2e.words.people import READ
from service.api import logs, trials
from service.api.deps import ExistingTrial, MaxPoints, ReadSession, SettingsDep
from service.api.formats import CSV, JSON, PARQUET, SAFETENSORS, TEXT, also, format_of, table_answer
from service.api.fresh import UNCHANGED
from service.api.paging import Paging
from service.api.scopes import needs
from service.store import trial_logs

router = APIRouter(prefix="/trials", tags=["trials"])


@router.get("/{trial_id}", operation_id="get_trial")
@needs(READ)
def get_trial(session: ReadSession, trial: ExistingTrial) -> TrialDetail:
    """A trial with its point, R(t), seeds and attempts."""
    return trials.trial_detail(session, trial)


@router.get("/{trial_id}/epochs", operation_id="get_epochs", response_model=TrialEpochs, responses=also(CSV, PARQUET))
@needs(READ)
def get_epochs(
    session: ReadSession,
    trial: ExistingTrial,
    wanted: Annotated[str, format_of(JSON, CSV, PARQUET)],
    max_points: MaxPoints = 200,
    attempt: Annotated[
        int | None, Query(ge=0, lt=2**31, description="which attempt; the current one unless given")
    ] = None,
) -> TrialEpochs | Response:
    """Curves of one attempt, thinned by the server; as CSV or Parquet every epoch, one row each."""
    if wanted != JSON:
        every = trials.epochs_out(session, trial, attempt, trials.ALL_EPOCHS)
        return table_answer(wanted, *trials.table(every), f"epochs-{trial.id}")
    return trials.epochs_out(session, trial, attempt, max_points)


@router.get("/{trial_id}/logs", operation_id="list_trial_logs", response_model=Page[LogLine], responses=also(TEXT))
@needs(READ)
def list_trial_logs(
    session: ReadSession, trial: ExistingTrial, paging: Paging, wanted: Annotated[str, format_of(JSON, TEXT)]
) -> Page[LogLine] | Response:
    """The log of a trial in order: what its trainers logged, and what became of every try. As text all of it."""
    return logs.answer(trial_logs.of_trial(session, trial), paging, wanted)


@router.get(
    "/{trial_id}/model",
    operation_id="get_model",
    response_class=Response,
    responses=UNCHANGED | also(SAFETENSORS, JSON),
)
@needs(READ)
def get_model(
    request: Request,
    settings: SettingsDep,
    trial: ExistingTrial,
    wanted: Annotated[str, format_of(SAFETENSORS, JSON)],
) -> Response:
    """The trained networks of a trial as a safetensors file or, as JSON, what they are. Ranges and ETags are honoured;
    404 where no model was kept."""
    return trials.model_answer(request, settings.artifacts, trial, wanted)
