"""Use cases of a trial: its answer in a list and alone, and its curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any

from fastapi import Request, Response
from sqlalchemy.orm import Session

from s2e.artifacts import description_path
from s2e.files import ArtifactError
from s2e.words import EpochMetrics, FinalAccuracies, numbers_of, read
from s2e.words.answers import JobTrial, Numbers, TrialAttempt, TrialDetail, TrialEpochs
from service.api import kept
from service.api.formats import JSON, MEDIA_TYPES
from service.api.series import thin
from service.errors import NotFound, Unavailable
from service.store import queries
from service.store.models import EPOCH_NUMBERS, Epoch, Trial

ALL_EPOCHS = 10_000
"""No training has more."""
NETWORK_NUMBERS = tuple(number.name for number in numbers_of(EpochMetrics) if number.networks)


def trial_out(trial: Trial, wanted: Sequence[str] | None = None) -> Any:
    """A trial without its curves; with the fields ``wanted`` alone, a mapping of these."""
    if wanted is not None:
        return {name: getattr(trial, name) for name in wanted}
    return JobTrial(**{f.name: getattr(trial, f.name) for f in fields(JobTrial)})


def trial_detail(session: Session, trial: Trial) -> TrialDetail:
    """A trial with its point, schedule, seeds and attempts."""
    spec, point = trial.spec, trial.spec.get("point")
    names = [f.name for f in fields(TrialAttempt)]
    return TrialDetail(
        **vars(trial_out(trial)),
        point=None if point is None else tuple(point["values"]),
        final=None if trial.final is None else read(FinalAccuracies, trial.final),
        keep_rate=tuple(spec["keep_rate"]),
        init_seed=spec["init_seed"],
        order_seed=spec["order_seed"],
        noise_seed=spec["noise_seed"],
        attempts=tuple(
            TrialAttempt(**{name: getattr(row, name) for name in names}) for row in queries.attempts(session, trial.id)
        ),
    )


def epochs_out(session: Session, trial: Trial, attempt: int | None, max_points: int) -> TrialEpochs:
    """Curves of an attempt (the current one unless told), thinned: first and last epoch stay."""
    attempt = trial.attempt if attempt is None else attempt
    recorded = queries.epoch_numbers(session, trial.id, attempt)
    wanted = [recorded[i] for i in thin(len(recorded), max_points)]
    rows = queries.epochs(session, trial.id, attempt, wanted)
    return TrialEpochs(
        attempt=attempt,
        total=len(recorded),
        epochs=tuple(row.epoch for row in rows),
        series={name: tuple(getattr(row, name) for row in rows) for name in EPOCH_NUMBERS},
        networks=_network_series(rows),
    )


def table(epochs: TrialEpochs) -> tuple[list[str], Iterable[Sequence[Any]]]:
    """Head and rows of a table with one row for each epoch: its numbers, then those of each network."""
    columns = dict(epochs.series)
    for n, network in enumerate(epochs.networks):
        columns |= {f"network{n}_{name}": values for name, values in network.items()}
    return ["epoch", *columns], zip(epochs.epochs, *columns.values(), strict=True)


def model_answer(request: Request, root: str, trial: Trial, wanted: str) -> Response:
    """The file with a trial's networks, or the one beside it that describes them. Raises NotFound, Unavailable."""
    if trial.model is None:
        raise NotFound("model of trial", trial.id)
    path = description_path(trial.model) if wanted == JSON else trial.model
    name = f"trial-{trial.id}{PurePosixPath(path).suffix}"
    try:
        return kept.answer(request, root, path, MEDIA_TYPES[wanted], name)
    except (ArtifactError, FileNotFoundError) as error:
        raise NotFound("model file below the artifact root", trial.model) from error
    except OSError as error:
        raise Unavailable(f"the artifact store does not answer: {type(error).__name__}") from error


def _network_series(rows: Sequence[Epoch]) -> tuple[dict[str, Numbers], ...]:
    """The curves of each network; None at epochs without numbers of it."""
    of_epochs = [row.networks or [] for row in rows]
    blank: list[float | None] = [None] * len(NETWORK_NUMBERS)
    return tuple(
        dict(
            zip(NETWORK_NUMBERS, zip(*(of[n] if n < len(of) else blank for of in of_epochs), strict=True), strict=True)
        )
        for n in range(max(map(len, of_epochs), default=0))
    )
