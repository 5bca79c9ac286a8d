"""Events of the backend port as plain JSON: what a trainer process sends and a driver reads, never a pickled object."""

from __future__ import annotations

from typing import Any

from s2e.words import EpochMetrics, Estimate, PlanSpec, Sizes, TrialResult, read, to_json
from workers.backend import (
    EpochReported,
    Event,
    LoggedLine,
    PopulationChecked,
    PopulationFinished,
    PopulationHeld,
    PopulationKey,
    PopulationLogged,
    PopulationLost,
    PopulationStarted,
)

EPOCHS = "epochs"
_KINDS: dict[type[Event], str] = {
    PopulationStarted: "started",
    EpochReported: EPOCHS,
    PopulationFinished: "finished",
    PopulationHeld: "held",
    PopulationLost: "lost",
    PopulationLogged: "logged",
    PopulationChecked: "checked",
}


def encode(event: Event) -> dict[str, Any]:
    """An event as plain JSON, with its ``kind``."""
    return {"kind": _KINDS[type(event)], **to_json(event)}


def decode(data: dict[str, Any]) -> Event:
    """The event ``encode`` wrote. Both ends run the same release, so nothing is checked again here."""
    key = PopulationKey(**data["key"])
    match data["kind"]:
        case "started":
            return PopulationStarted(key, data["worker"], data["place"], data["share"])
        case "epochs":
            return EpochReported(key, tuple(_epoch(row) for row in data["epochs"]))
        case "finished":
            return PopulationFinished(key, read(tuple[TrialResult, ...], data["results"]))
        case "lost":
            return PopulationLost(key, data["reason"], data["retryable"], data["cause"], data["place"])
        case "held":
            return PopulationHeld(key, data["reason"], data["cause"])
        case "logged":
            return PopulationLogged(key, data["first"], tuple(LoggedLine(**line) for line in data["lines"]))
        case "checked":
            plan, sizes = data["plan"], data["sizes"]
            return PopulationChecked(
                key,
                read(Estimate, data["estimate"]),
                plan and read(PlanSpec, plan),
                sizes and read(Sizes, sizes),
            )
        case kind:
            raise ValueError(f"unknown kind of event: {kind!r}")


def _epoch(row: dict[str, Any]) -> EpochMetrics:
    """Built without a look at each number: there is one row for every trial and epoch."""
    return EpochMetrics(**row | {"networks": tuple(map(tuple, row["networks"]))})
