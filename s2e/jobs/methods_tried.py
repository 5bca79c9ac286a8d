"""The candidates of ``auto`` where a job names none: methods that win somewhere, with the schedules that suit them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from s2e.door.overrides import overridden
from s2e.parts import METHODS, NETWORKS
from s2e.prepare import BY_MATRIX
from s2e.words import EntrySpec, JobSpec, ScheduleSpec, SpecError, TrainSpec

_ALL = ScheduleSpec("all")


def _scaled(factor: float) -> ScheduleSpec:
    return ScheduleSpec("scaled", factor=factor)


def _reweighted(method: str) -> EntrySpec:
    return EntrySpec(method, f"{method}, reweighted", {"transition": "reweighted"})


_LARGE_LEAVES = {"leaf": 10}
_SMALL_STEPS: dict[str, Any] = {"n_rounds": 60, "step": 0.05, "leaves": 8}
"""Trees that do not repeat wrong labels, as those of scikit-learn's defaults do."""


PORTFOLIO = (
    EntrySpec("standard", "standard", schedule=_ALL),
    EntrySpec("selfteaching", "selfteaching"),
    EntrySpec("coteaching", "coteaching"),
    EntrySpec("coteaching", "coteaching, 1.2 tau", schedule=_scaled(1.2)),
    EntrySpec("elr", "elr"),
    EntrySpec("sce", "sce"),
    EntrySpec("gce", "gce"),
    EntrySpec("forward", "forward"),
    EntrySpec("dividemix", "dividemix"),
    EntrySpec("svc", "svc"),
    _reweighted("svc"),
    EntrySpec("forest", "forest"),
    _reweighted("forest"),
    EntrySpec("forest", "forest, leaves of 10", _LARGE_LEAVES),
    EntrySpec("extra_trees", "extra trees"),
    EntrySpec("boosting", "boosting", _SMALL_STEPS),
    EntrySpec("boosting", "boosting, corrected", {**_SMALL_STEPS, "transition": "corrected"}),
    _reweighted("logistic"),
    EntrySpec("blend", "blend"),
    EntrySpec("blend", "blend, corrected", {"transition": "corrected"}),
    EntrySpec("complement_nb", "complement_nb"),
    _reweighted("complement_nb"),
    EntrySpec("reweight", "reweight"),
    EntrySpec("trusted_only", "trusted rows alone"),
    EntrySpec("anchored", "anchored"),
    EntrySpec("anchored", "anchored, 1.2 tau", schedule=_scaled(1.2)),
    EntrySpec("anchored", "anchored, 1.4 tau", schedule=_scaled(1.4)),
    EntrySpec("gold", "gold"),
)
"""Forward, gold and what is reweighted use the noise's matrix, estimated where labels are given; the last six need
trusted samples."""


STEADY = "blend"
"""The method that a choice holds to where no other shows a clear lead: a mean is seldom far from its best member."""


def steady(spec: JobSpec, entries: Sequence[EntrySpec]) -> str | None:
    """It, where it is a candidate, the network is a dense one, and the job has no method of its own."""
    is_own = spec.train.method != TrainSpec().method
    is_dense = NETWORKS.find(spec.train.network, "train.network").dense
    return STEADY if is_dense and not is_own and STEADY in {entry.method for entry in entries} else None


def portfolio(spec: JobSpec) -> tuple[EntrySpec, ...]:
    """Those of the portfolio that can train on the job's data with its network, and the methods that other packages
    declare as candidates. Given labels whose rate the job says are not estimated: nothing that needs the matrix."""
    others = (EntrySpec(name, name) for name, part in METHODS.items() if part.candidate and not part.is_ours())
    return those_that_fit(spec, (*PORTFOLIO, *others))


def those_that_fit(spec: JobSpec, entries: Sequence[EntrySpec]) -> tuple[EntrySpec, ...]:
    """The entries that can train on the job's data with its network."""
    return tuple(entry for entry in entries if _fits(spec, entry))


def _fits(spec: JobSpec, entry: EntrySpec) -> bool:
    try:
        train = overridden(spec, entry.overrides)
    except SpecError:
        return False
    data = spec.data
    is_unknown = not data.truth_is_known and data.estimate is None and spec.report.tau is not None
    if is_unknown and train.params.get("transition") in BY_MATRIX:
        return False
    method = METHODS[entry.method].stored(train.params)
    try:
        return method.suits(spec.data)
    except SpecError:
        raise
    except (Exception, SystemExit):  # a candidate of another package that fails must not take the others with it
        if method.is_ours():
            raise
        return False
