"""Sizes that a job on data of one's own leaves to its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import s2e
from s2e.data.own.look import look
from s2e.data.own.propose import proposed_sizes
from s2e.door import parse_job
from s2e.labels.cross_fit import cross_fitted_audit
from s2e.local import run
from s2e.sizes import needs_sizes, sized, sizes_of, with_sizes
from s2e.words import DataError, OpenSizes, to_json


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """60 rows of three classes that lie well apart, as a table with a column that tells nothing."""
    rng = np.random.default_rng(0)
    lines = [
        f"{3 * (i % 3) + x:.3f},{y:.3f},Alba,{'abc'[i % 3]}" for i, (x, y) in enumerate(rng.normal(size=(60, 2)) / 4)
    ]
    (tmp_path / "rows.csv").write_text("\n".join(["x,y,place,kind", *lines]))
    return tmp_path


def job(**sections: Any) -> dict[str, Any]:
    return {"data": {"name": "table", "params": {"path": "rows.csv"}}, **sections}


SMALL = {
    "search": {"searcher": "random", "n_rounds": 1, "n_trials": 2},
    "report": {"n_seeds": 2, "max_seeds": 2, "tuned_trials": 1, "n_candidates": 1},
}


def test_sizes_that_a_job_names_are_kept_and_the_others_proposed(root: Path) -> None:
    spec = parse_job(job(train={"batch_size": 5}))
    assert spec.data.sizes == OpenSizes(("n_validation", "n_epochs", "network"))
    ready = sized(spec, str(root))
    assert (ready.data.n_validation, ready.train.batch_size, ready.train.n_epochs) == (15, 5, 100)
    assert ready.data.sizes is not None
    assert ready.data.sizes.n_test == 12
    assert ready.data.sizes.reasons[0] == "15 rows validate: a tenth, and five of each class or more"
    assert ready.data.sizes.reasons[-1] == "network mlp_tabular with 256 hidden units: rows of 2 features"
    assert ready.data.sizes.notes == ("column place is left out: it holds 'Alba' in all rows",)
    assert (ready.train.network, ready.train.network_params) == ("mlp_tabular", {"hidden": [256]})
    assert not needs_sizes(ready)
    assert sized(ready, None) is ready  # nothing is looked at again
    assert parse_job(to_json(ready)) == ready


def test_benchmarks_and_own_loops_have_no_open_sizes() -> None:
    assert parse_job({}).data.sizes is None
    assert parse_job(job(trials="external", report={"tau": 0.2})).data.sizes is None


def test_epochs_stay_where_the_job_counts_in_them(root: Path) -> None:
    for section in ({"search": {"tail_epochs": 30}}, {"report": {"ramp_epochs": 4}}, {"budget": {"epochs": 4_000}}):
        assert sized(parse_job(job(**section)), str(root)).train.n_epochs == 40
    every = {"kind": "list", "keep_rate": [1.0] * 40}
    entries = [{"method": "standard"}, {"method": "coteaching", "schedule": every}]
    ready = sized(parse_job(job(kind="compare", compare={"entries": entries})), str(root))
    assert (ready.data.n_validation, ready.train.n_epochs) == (15, 40)


def test_the_network_that_a_job_names_stays(root: Path) -> None:
    named = sized(parse_job(job(train={"network": "mlp"})), str(root))
    assert (named.train.network, named.train.network_params) == ("mlp", parse_job({}).train.network_params)
    beside = {"entries": [{"method": "standard"}, {"method": "forest"}]}
    ready = sized(parse_job(job(kind="compare", compare=beside, report={"tau": 0.1})), str(root))
    assert (ready.train.network, ready) == ("mlp_tabular", parse_job(to_json(ready)))


def test_the_network_is_the_one_of_the_same_data_registered(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    np.savez(tmp_path / "images.npz", X=rng.integers(0, 255, (60, 1, 16, 16), dtype=np.uint8), y=y)
    data = {"name": "arrays", "params": {"path": "images.npz"}}
    ready = sized(parse_job({"data": data}), str(tmp_path))
    assert ready.train.network == look(ready.data, str(tmp_path))["proposed"]["train"]["network"] == "model1"
    assert ready == parse_job(to_json(ready))


def test_rows_left_out_of_training_validate(root: Path) -> None:
    data = {**job()["data"], "n_train": 40}
    sizes = sizes_of(parse_job({"data": data}).data, str(root))
    assert (sizes.n_validation, sizes.batch_size) == (8, 10)


@pytest.mark.parametrize("n_rows", [2, 3, 4, 7, 30, 2_000, 10**6])
@pytest.mark.parametrize("n_classes", [2, 40, 1_000])
def test_there_is_always_a_batch_left_to_train_on(n_rows: int, n_classes: int) -> None:
    sizes = proposed_sizes(n_rows, n_classes)
    assert 1 <= sizes.n_validation < n_rows
    assert n_rows - sizes.n_validation >= sizes.batch_size >= 1


def test_without_a_look_at_the_data_the_defaults_stand() -> None:
    spec = parse_job(job())
    blind = with_sizes(spec, None)
    assert (blind.data.n_validation, blind.train) == (300, spec.train)
    assert not needs_sizes(blind)


def test_a_minimal_job_on_sixty_rows_ends_with_a_report_that_says_how_few_they_are(root: Path) -> None:
    known = {**SMALL["report"], "tau": 0.1}
    history, report = run(parse_job(job(**{**SMALL, "report": known})), data_root=root, progress=False)
    assert len(history[0].round.trials[0].keep_rate) == 100
    assert "Only 12 rows test, so one of them is 8.3 points" in report.verdict
    assert "15 rows validate" in report.basis
    assert report.basis.startswith("How the data were read: column place is left out: it holds 'Alba' in all rows. Pro")


def test_an_audit_without_a_search_has_the_same_sizes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def estimate(samples: Any, *_args: Any, **_settings: Any) -> None:
        asked.append(len(samples))
        raise DataError("enough")

    monkeypatch.setattr("s2e.labels.cross_fit.estimate_noise", estimate)
    with pytest.raises(DataError, match="enough"):
        cross_fitted_audit(parse_job(job()), str(root))
    assert asked == [33]


def test_few_labels_that_say_nothing_do_not_end_a_search(tmp_path: Path) -> None:
    """The noise of 27 of them is not known; a guess stands in, and is said."""
    rng = np.random.default_rng(0)
    lines = [f"{x:.3f},{y:.3f},{'ab'[i % 2]}" for i, (x, y) in enumerate(rng.normal(size=(40, 2)))]
    (tmp_path / "rows.csv").write_text("\n".join(["x,y,kind", *lines]))
    report = s2e.search(job(**SMALL, train={"n_epochs": 2}), data_root=tmp_path, progress=False)
    assert "cannot be estimated" in report.basis
    assert "Schedules take 20 % of the labels for wrong, which is a guess." in report.basis
