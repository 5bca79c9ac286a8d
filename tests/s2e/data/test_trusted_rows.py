"""Rows whose labels are known to be right: named in three ways, dealt out, and never a label that both trains and
judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from s2e.data.datasets import load_split, noisy_validation_labels
from s2e.data.own.trusted import dealt, words
from s2e.data.validation import validation_warning
from s2e.door import parse_job, read_job
from s2e.local import run
from s2e.prepare import prepared
from s2e.train.seen import see
from s2e.words import DataError, DataSpec, SpecError, TrustedRows, TrustedSpec, replace, to_json

N_CLASSES = 10


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """900 digits in one table, a third of the labels wrong, 300 checked rows marked; and 200 checked ones beside it."""
    folder, digits, rng = tmp_path_factory.mktemp("trusted"), load_digits(), np.random.default_rng(0)
    true_S = digits.target[:900]
    given_S = np.where(rng.random(900) < 0.33, (true_S + rng.integers(1, N_CLASSES, 900)) % N_CLASSES, true_S)
    sure_S = np.arange(900) % 3 == 0
    given_S[sure_S] = true_S[sure_S]
    names = [f"p{j}" for j in range(64) if digits.data[:, j].any()]
    kept = [j for j in range(64) if digits.data[:, j].any()]

    def write(name: str, rows: Any, labels: Any, sure: Any) -> None:
        lines = [
            ",".join([*(f"{row[j]:.0f}" for j in kept), "yes" if s else "no", str(y)])
            for row, y, s in zip(rows, labels, sure, strict=True)
        ]
        (folder / name).write_text("\n".join([",".join([*names, "sure", "y"]), *lines]))

    write("digits.csv", digits.data[:900], given_S, sure_S)
    write("checked.csv", digits.data[900:1100], digits.target[900:1100], [True] * 200)
    np.savez(folder / "digits.npz", X=digits.data[:900], y=given_S, sure=sure_S)
    return folder


def own(trusted: dict[str, Any], **params: Any) -> DataSpec:
    more = {"path": "digits.csv", "label": "y", **params}
    return parse_job({"data": {"name": "table", "params": more, "trusted": trusted, "n_validation": 100}}).data


def of(values: torch.Tensor) -> list[int]:
    return values.tolist()


@pytest.mark.parametrize(
    "trusted",
    [{"column": "sure"}, {"rows": list(range(0, 900, 3))}],
    ids=["column", "rows"],
)
def test_a_third_tests_a_third_ranks_and_a_third_trains(root: Path, trusted: dict[str, Any]) -> None:
    data = own(trusted, exclude=[] if "column" in trusted else ["sure"])
    split = load_split(data, str(root))
    assert split.counted == TrustedRows(100, 100, 100, 0)
    assert (len(split.test.labels), len(split.validation.labels), len(split.train.labels)) == (100, 100, 700)
    assert int(split.trusted.sum()) == 100
    by_number = parse_job({"data": {"name": "arrays", "params": {"path": "digits.npz"}, "trusted": {"column": "sure"}}})
    arrays = load_split(by_number.data, str(root))
    assert arrays.counted == split.counted
    true_of = {tuple(row.astype(int)): y for row, y in zip(*load_digits(return_X_y=True), strict=True)}
    for part in (arrays.test, arrays.validation):
        assert of(part.labels) == [true_of[tuple(map(int, row))] for row in part.images.tolist()]
    kept = [tuple(map(int, row)) for row in arrays.train.images[arrays.trusted].tolist()]
    assert of(arrays.train.labels[arrays.trusted]) == [true_of[row] for row in kept]


def test_a_second_source_is_all_trusted(root: Path) -> None:
    split = load_split(own({"path": "checked.csv"}, exclude=["sure"]), str(root))
    assert split.counted == TrustedRows(66, 66, 68, 0)
    assert len(split.train.labels) + len(split.validation.labels) + len(split.test.labels) == 1_100


def test_few_trusted_rows_all_train_and_the_report_says_so(root: Path) -> None:
    data = own({"rows": list(range(0, 240, 3))}, exclude=["sure"])
    split = load_split(data, str(root))
    assert split.counted == TrustedRows(0, 0, 80, 0)
    assert (int(split.trusted.sum()), len(split.validation.labels), len(split.test.labels)) == (80, 100, 180)
    assert words(split.counted) == (
        "80 trusted rows are too few to rank schedules (100 are needed, or data.trusted.n_validation): all of them "
        "train, and validation is against the given labels."
    )
    asked = load_split(own({"rows": list(range(0, 240, 3)), "n_validation": 30}, exclude=["sure"]), str(root))
    assert asked.counted == TrustedRows(0, 30, 50, 0)


LABELS = np.arange(300) % 3


@pytest.mark.parametrize(
    ("m", "asked", "may_test", "dealt_out"),
    [
        (300, {}, True, (100, 100, 100)),
        (300, {}, False, (0, 150, 150)),
        (149, {}, True, (0, 74, 75)),
        (99, {}, True, (0, 0, 99)),
        (99, {}, False, (0, 0, 99)),
        (300, {"n_test": 0}, True, (0, 100, 200)),
        (300, {"n_validation": 0}, True, (100, 0, 200)),
        (40, {"n_test": 20, "n_validation": 20}, True, (20, 20, 0)),
    ],
)
def test_rows_are_dealt_out_once(m: int, asked: dict[str, int], may_test: bool, dealt_out: tuple[int, ...]) -> None:
    counted = dealt(LABELS[:m], 3, TrustedSpec(**asked), may_test=may_test)
    assert (counted.n_test, counted.n_validation, counted.n_train) == dealt_out


@pytest.mark.parametrize(
    ("trusted", "message"),
    [
        ({"rows": [3, 900]}, r"data\.trusted\.rows: row 900, but digits\.csv has 900 rows, numbered from 0"),
        ({"rows": [0, 3, 6], "n_validation": 4}, "0 rows to test and 4 to validate, but only 3 rows are trusted"),
        ({"column": "p3"}, r"digits\.csv, row \d+, column p3: '\d+' does not say whether the label is trusted"),
        ({"column": "certain"}, r"digits\.csv has no column 'certain'"),
        ({"path": "nowhere.csv"}, r"data\.trusted\.path not found"),
    ],
)
def test_what_cannot_be_trusted_is_refused(root: Path, trusted: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_split(own(trusted, exclude=["sure"]), str(root))


def test_trusted_rows_of_one_class_are_refused() -> None:
    with pytest.raises(DataError, match="all 4 trusted rows are of class 2; they cannot tell schedules apart"):
        dealt(np.array([2, 2, 2, 2]), 3, TrustedSpec(rows=(1,)), may_test=True)
    with pytest.raises(DataError, match="no row is marked as trusted"):
        dealt(np.arange(0), 3, TrustedSpec(column="sure"), may_test=True)
    assert dealt(np.array([0, 1]), 3, TrustedSpec(rows=(1,)), may_test=True).n_classes_without == 1


@pytest.mark.parametrize(
    ("data", "field", "allowed"),
    [
        ({"name": "digits", "trusted": {"rows": [1]}}, "data.trusted", "only for data of your own"),
        ({"labels": "trusted", "trusted": {"rows": [1]}}, "data.trusted", "the others are taken for right"),
        ({"trusted": {"path": "../t.csv"}}, "data.trusted.path", "without '..'"),
        ({"trusted": {"rows": [1]}, "split": "s2e"}, "data.split", "holdout, where some rows are trusted"),
    ],
)
def test_trust_that_makes_no_sense_is_refused_at_the_door(data: dict[str, Any], field: str, allowed: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_job({"data": {"name": "table", **({} if "name" in data else {"params": {"path": "t.csv"}}), **data}})
    assert allowed in {problem.field: problem.allowed for problem in refused.value.problems}[field]


def test_validation_labels_that_are_right_are_not_corrected(root: Path) -> None:
    data = own({"column": "sure"})
    corrected = DataSpec(**{**vars(data), "validation_labels": "noisy_corrected"})
    split = load_split(corrected, str(root))
    seen = see(corrected, split, torch.arange(700), [1], str(root), torch.device("cpu"))
    assert seen.score_CC is None
    assert torch.equal(noisy_validation_labels(data, 1, str(root)), split.validation.labels)


def test_a_search_ranks_and_reports_by_trusted_labels(root: Path) -> None:
    job = {
        "data": {"name": "table", "params": {"path": "digits.csv", "label": "y"}, "trusted": {"column": "sure"}},
        "train": {"network": "mlp_tabular", "network_params": {"hidden": [32]}, "n_epochs": 4, "batch_size": 50},
        "search": {"searcher": "random", "n_rounds": 1, "n_trials": 2},
        "report": {"n_seeds": 2, "max_seeds": 2, "tuned_trials": 1, "n_candidates": 1, "tau": 0.25},
    }
    spec = prepared(parse_job(job), str(root))
    assert spec.data.trusted.counted == TrustedRows(100, 100, 100, 0)
    assert read_job(to_json(spec), 2) == spec
    _, report = run(parse_job(job), data_root=root, progress=False, workers=1)
    assert report.accuracy == "accuracy against trusted labels"
    assert "100 trusted rows rank the schedules, 100 train. Accuracy is against 100 trusted labels." in report.basis
    assert "given labels" not in report.verdict
    assert validation_warning(spec.data) == ""
    assert all(row.label_precision is None for row in report.rows)


def test_in_a_choice_every_round_ranks_by_other_trusted_rows_and_by_noisy_ones_beside(root: Path) -> None:
    spec = own({"column": "sure", "n_validation": 90})
    plain = load_split(spec, str(root))
    folds = [load_split(replace(spec, trusted=replace(spec.trusted, fold=m)), str(root)) for m in range(4)]
    assert of(folds[0].validation_rows) == of(plain.validation_rows)
    ranking = [set(of(fold.validation_rows)) for fold in folds]
    n_parts = plain.counted.n_validation + plain.counted.n_train
    assert n_parts // 90 == 2
    assert not ranking[0] & ranking[1]
    assert (ranking[2], ranking[3]) == (ranking[0], ranking[1])
    for fold in folds:
        beside = fold.beside
        assert beside is not None
        assert len(beside.labels) == min(100, len(plain.train.labels) // 5)
        assert torch.equal(beside.images, folds[0].beside.images)
        assert len(fold.train.labels) + len(beside.labels) == len(plain.train.labels)
        trained = set(of(fold.train_rows))
        assert not trained & set(of(fold.validation_rows))
        assert int(fold.trusted.sum()) == n_parts - 90
    turned = load_split(replace(spec, trusted=replace(spec.trusted, fold=0), fold=1), str(root))
    assert turned.beside is not None
    assert not set(of(turned.train_rows)) >= set(of(folds[0].train_rows))  # other noisy rows have their turn
    assert of(turned.validation_rows) == of(folds[0].validation_rows)
    refit = load_split(replace(spec, trusted=replace(spec.trusted, refit=True)), str(root))
    assert refit.beside is None
    assert len(refit.train.labels) == len(plain.train.labels) + 90


def test_a_choice_with_trusted_rows_is_judged_by_both_and_trains_on_all_in_the_end(root: Path) -> None:
    entries = [{"method": "standard"}, {"method": "anchored"}, {"method": "gold"}]
    job = {
        "kind": "auto",
        "data": {
            "name": "table",
            "params": {"path": "digits.csv", "label": "y"},
            "trusted": {"column": "sure"},
            "n_validation": 60,
        },
        "train": {"network": "mlp_tabular", "network_params": {"hidden": [16]}, "n_epochs": 2, "batch_size": 64},
        "compare": {"n_seeds": 2, "entries": entries},
    }
    history, report = run(parse_job(job), data_root=root, progress=False)
    kept = [result.final.evidence for record in history[:-1] for result in record.results]
    assert {(one.n_right, one.n_noisy) for one in kept} == {(100, 60)}
    assert all(result.final.evidence is None for result in history[-1].results)
    assert "validation accuracy on 100 right labels in each round and the accuracy to expect from 60" in report.basis
    assert "also trains on the 100 trusted rows" in report.basis
