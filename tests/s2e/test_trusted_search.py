"""A search where some labels are known to be right: what they are worth without it stands beside it, and they train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import s2e
from s2e.door import parse_job
from s2e.door.stored import read_job
from s2e.jobs import loop
from s2e.jobs import trusted_rows as rows_of_trust
from s2e.jobs.search_report import TITLES
from s2e.jobs.trusted_rows import refitted, trusted_rows
from s2e.labels.given import given_labels
from s2e.labels.job_audit import audit
from s2e.labels.kept import CrossFitted
from s2e.prepare import prepared
from s2e.words import EstimatedNoise, JobSpec, SpecError, TrustedRows, replace, to_json

TRUSTED = {"rows": list(range(60)), "n_validation": 30, "n_test": 0}


def body(path: str = "own.npz", **report: Any) -> dict[str, Any]:
    data = {"name": "arrays", "params": {"path": path}, "n_validation": 20, "trusted": TRUSTED}
    quick = {"n_seeds": 2, "max_seeds": 4, "n_candidates": 1, "tuned_trials": 1, "tau": 0.2, **report}
    train = {"n_epochs": 3, "batch_size": 16, "network": "mlp_tabular"}
    return {"data": data, "train": train, "search": {"n_rounds": 1, "n_trials": 2}, "report": quick}


def counted(spec: JobSpec) -> JobSpec:
    return replace(spec, data=replace(spec.data, trusted=replace(spec.data.trusted, counted=TrustedRows(0, 30, 30))))


@pytest.fixture
def root(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    y = np.arange(240) % 4
    x = rng.normal(size=(240, 5)).astype(np.float32) + 2 * np.eye(4, 5, dtype=np.float32)[y]
    given = np.where((np.arange(240) >= 60) & (rng.random(240) < 0.25), (y + 1) % 4, y)
    np.savez(tmp_path / "own.npz", X=x, y=given, X_test=x[:40], y_test=y[:40])
    return str(tmp_path)


def test_the_report_has_the_rows_that_need_no_search_and_every_trusted_row_trains(root: str) -> None:
    report = s2e.search(body(), data_root=root, progress=False, workers=1)
    labels = [row.label for row in report.rows]
    assert labels == [*TITLES, "alone", "together", "anchored"]  # tau was given, so no matrix for gold
    seeds = {row.label: len(row.of_seeds) for row in report.rows}
    assert seeds["alone"] == seeds["together"] == seeds["anchored"] == 2
    assert all(row.difference is not None for row in report.rows[1:])
    assert "the trusted rows alone" in report.verdict
    assert "the 30 trusted rows that ranked the schedules also train" in report.basis


def test_gold_is_there_where_the_matrix_is_estimated() -> None:
    spec = counted(parse_job(body()))
    T = tuple(tuple(0.7 if i == j else 0.1 for j in range(4)) for i in range(4))
    known = replace(spec, data=replace(spec.data, estimate=EstimatedNoise(0.3, 0.2, 0.4, T)))
    assert list(trusted_rows(spec)) == ["alone", "together", "anchored"]
    assert list(trusted_rows(known)) == list(rows_of_trust.TITLES)
    assert trusted_rows(known)["gold"][1]["method"] == "gold"
    assert trusted_rows(known)["anchored"][0][-1] == pytest.approx(1 - 1.2 * 0.2 * min(1, 2 / spec.report.ramp_epochs))
    assert refitted(known).trusted.refit
    assert loop.n_trials(known) == loop.n_trials(replace(known, report=replace(known.report, trusted=False))) + 8


def test_a_job_without_trusted_rows_or_stored_before_there_was_the_option_is_as_it_was() -> None:
    without = parse_job({})
    assert without.report.trusted is False
    assert trusted_rows(without) == {}
    stored = to_json(counted(parse_job(body())))
    del stored["report"]["trusted"]
    old = read_job(stored, 2)
    assert trusted_rows(old) == {}
    assert refitted(old) == old.data


@pytest.mark.parametrize("more", [{"trials": "external"}, {"data": {}}])
def test_asked_for_without_rows_or_for_a_program_of_one_s_own_it_is_refused(more: dict[str, Any]) -> None:
    job = {**body(trusted=True), **more}
    if more.get("trials"):
        assert parse_job({**job, "report": {"tau": 0.2}}).report.trusted is False
    with pytest.raises(SpecError, match=r"report\.trusted"):
        parse_job(job)


def test_trusted_rows_do_not_dilute_the_noise_of_the_others(root: str) -> None:
    """30 of 60 trusted rows train beside 180 whose labels may be wrong: the estimate is of those alone, and the audit
    names as many of those as it says."""
    spec = prepared(parse_job({**body(), "report": {}}), root, n_folds=2)
    estimate = spec.data.estimate
    assert estimate is not None
    assert estimate.n_rows == 180
    labels = given_labels(spec.data, root)
    nothing = np.zeros(len(labels))
    fitted = CrossFitted(nothing, np.arange(len(labels)) / len(labels), labels.label_S, labels.label_S)
    named = audit(labels, 0.25, fitted=fitted)
    assert named.is_label_issue.sum() == 45
