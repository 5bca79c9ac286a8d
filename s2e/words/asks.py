"""Bodies of requests beside a job's: what a program sends that trains with its own loop, and a browser that logs in."""

from __future__ import annotations

from dataclasses import dataclass

from s2e.words.fields import param
from s2e.words.results import EpochNumbers

LEASE_S = 600.0
_LEASE_DOC = "seconds until the trial is taken back; every report starts them anew"


@dataclass(frozen=True)
class SessionIn:
    """The API key, traded for a session cookie."""

    key: str = param(max_length=400, doc="the API key of the service")


@dataclass(frozen=True)
class ChangeIn:
    """The fields of a submitted job that can still be changed."""

    priority: int = param(ge=-100, le=100, doc="among the jobs of one owner, the highest has places first")


@dataclass(frozen=True)
class AskIn:
    """The number of trials to lease, and the length of the lease."""

    n_trials: int = param(1, ge=1, le=100, doc="most trials to lease")
    worker: str = param("", max_length=200, doc="a name of who trains, for people")
    lease_s: float = param(LEASE_S, ge=1, le=604_800, doc=_LEASE_DOC)


@dataclass(frozen=True)
class EpochIn(EpochNumbers):
    """One epoch of an external training; what was not measured is null, and ``kept`` then R(t) as asked."""

    epoch: int = param(ge=0, le=9_999, doc="t, from 0")


@dataclass(frozen=True)
class EpochsIn:
    """Epochs of a leased trial; an empty list only prolongs the lease."""

    lease: str = param(max_length=64, doc="the lease of the trial")
    epochs: tuple[EpochIn, ...] = param((), max_length=1_000, doc="epochs, each once; one told again changes nothing")
    lease_s: float = param(LEASE_S, ge=1, le=604_800, doc=_LEASE_DOC)


@dataclass(frozen=True)
class ResultIn:
    """The end of a leased trial."""

    lease: str = param(max_length=64, doc="the lease of the trial")
    outcome: str = param(
        "succeeded",
        choices=("succeeded", "failed", "lost"),
        doc="failed: the training itself went wrong; lost: the place did, and somebody else shall try",
    )
    reason: str = param("", max_length=4_000, doc="why it failed or was lost")
    validation_accuracy: float | None = param(
        None, ge=0, le=1, doc="mean over the last epochs; null: from the epochs reported"
    )
