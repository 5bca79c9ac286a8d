"""/trials: one trial and its curves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from service.api import jobs, schemas
from service.api.deps import ExistingTrial, MaxPoints, ReadSession

router = APIRouter(prefix="/trials", tags=["trials"])


@router.get("/{trial_id}", operation_id="get_trial")
def get_trial(session: ReadSession, trial: ExistingTrial) -> schemas.TrialDetail:
    """A trial with its point, R(t), seeds and attempts."""
    return jobs.trial_detail(session, trial)


@router.get("/{trial_id}/epochs", operation_id="get_epochs")
def get_epochs(
    session: ReadSession,
    trial: ExistingTrial,
    max_points: MaxPoints = 200,
    attempt: Annotated[
        int | None, Query(ge=0, lt=2**31, description="which attempt; the current one unless given")
    ] = None,
) -> schemas.EpochsOut:
    """Curves of one attempt, thinned by the server."""
    return jobs.epochs_out(session, trial, attempt, max_points)
