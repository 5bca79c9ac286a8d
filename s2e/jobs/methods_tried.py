"""The candidates of ``auto`` where a job names none: methods that win somewhere, with the schedules that suit them."""

from __future__ import annotations

from s2e.door.overrides import overridden
from s2e.words import EntrySpec, JobSpec, ScheduleSpec, SpecError

_ALL, _SCALED = ScheduleSpec("all"), ScheduleSpec("scaled", factor=1.2)
PORTFOLIO = (
    EntrySpec("standard", "standard", schedule=_ALL),
    EntrySpec("selfteaching", "selfteaching"),
    EntrySpec("coteaching", "coteaching"),
    EntrySpec("coteaching", "coteaching, 1.2 tau", schedule=_SCALED),
    EntrySpec("elr", "elr"),
    EntrySpec("sce", "sce"),
    EntrySpec("gce", "gce"),
    EntrySpec("forward", "forward"),
    EntrySpec("dividemix", "dividemix"),
    EntrySpec("reweight", "reweight"),
)
"""Forward corrects by the noise's matrix, estimated where labels are given; reweight needs trusted samples."""


def portfolio(spec: JobSpec) -> tuple[EntrySpec, ...]:
    """Those of the portfolio that can train on the job's data with its network."""
    return tuple(entry for entry in PORTFOLIO if _fits(spec, entry))


def _fits(spec: JobSpec, entry: EntrySpec) -> bool:
    try:
        overridden(spec, entry.overrides)
    except SpecError:
        return False
    return True
