"""Rows of a search's comparison for labels that are known to be right: what they are worth without any search.

    alone       the trusted rows and nothing else
    together    all rows alike, by cross entropy
    anchored    Co-teaching by eq. (1) at 1.2 tau that always keeps trusted rows
    gold        forward correction by the estimated matrix, trusted rows by their own label

The default schedule has trusted rows among the others, as plain samples. These rows are trained on the seeds of the
first look only: they are there to be seen, and decide nothing.
"""

from __future__ import annotations

from typing import Any

from s2e.jobs.trials import coteaching_schedule, default_tau
from s2e.parts import METHODS
from s2e.words import DataSpec, JobSpec, replace, to_json

Row = tuple[tuple[float, ...], dict[str, Any]]
TITLES = {
    "alone": "trusted rows alone",
    "together": "all rows alike",
    "anchored": "anchored eq. (1), 1.2 tau, no search",
    "gold": "gold loss correction",
}
IN_WORDS = TITLES | {"alone": "the trusted rows alone", "anchored": "anchored eq. (1) without a search"}
FACTOR, MOST_DROPPED = 1.2, 0.95


def has_rows(spec: JobSpec) -> bool:
    """True if the comparison has them, and all trusted rows train in it."""
    return bool(spec.report.trusted)


def trusted_rows(spec: JobSpec) -> dict[str, Row]:
    """R(t) and training settings of each row; gold only where the matrix is estimated."""
    if not has_rows(spec):
        return {}
    every = (1.0,) * spec.train.n_epochs
    anchored = coteaching_schedule(spec, min(FACTOR * default_tau(spec), MOST_DROPPED))
    rows = {
        "alone": (every, _settings("trusted_only")),
        "together": (every, _settings("standard")),
        "anchored": (anchored, _settings("anchored")),
        "gold": (every, _settings("gold")),
    }
    return rows if spec.data.estimate is not None else {name: row for name, row in rows.items() if name != "gold"}


def n_most_trainings(spec: JobSpec) -> int:
    """Most trainings that they need."""
    return len(TITLES) * spec.report.n_seeds if has_rows(spec) else 0


def refitted(spec: JobSpec) -> DataSpec:
    """The data of the comparison, in which trusted rows that ranked schedules train too."""
    data = spec.data
    if not (has_rows(spec) and data.trusted_rows.n_validation):
        return data
    return replace(data, trusted=replace(data.trusted, refit=True))


def words(spec: JobSpec) -> str:
    """A sentence on validation accuracy in such a comparison; empty where it is none."""
    if not refitted(spec).trusted.refit:
        return ""
    n = spec.data.trusted_rows.n_validation
    return (
        f"In the comparison the {n} trusted rows that ranked the schedules also train, so validation accuracy there is "
        "measured on training rows."
    )


def _settings(method: str) -> dict[str, Any]:
    return {"method": method, "params": to_json(METHODS[method].of({}))}
