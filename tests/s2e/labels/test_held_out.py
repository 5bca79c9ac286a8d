"""Rows that validate and test are judged too, by networks that did not train on them, and steer nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from s2e.data.datasets import load_split
from s2e.door import parse_job
from s2e.jobs.loop import next_round, population_of
from s2e.labels.free import TrialMargins
from s2e.labels.given import given_labels
from s2e.labels.job_audit import JobAudit, audit, audit_of_folder
from s2e.labels.kept import CrossFitted, GivenLabels, cross_fitted_path, labels_path, load, save
from s2e.local import run
from s2e.prepare import prepared
from s2e.train.trial import PopulationEnd, train_population
from s2e.words import DataError, JobSpec, Population, replace, to_json

N, N_VALIDATION, N_TEST = 400, 100, 150
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits with a fifth of the labels wrong; in ``b`` those of the test rows are right."""
    folder, digits, rng = tmp_path_factory.mktemp("arrays"), load_digits(), np.random.default_rng(0)
    x, true = digits.data[: N + N_TEST] / 16, digits.target[: N + N_TEST]
    given = np.where(rng.random(len(true)) < 0.2, (true + rng.integers(1, 10, len(true))) % 10, true)
    for name, test in {"a": given[N:], "b": true[N:]}.items():
        np.savez(folder / f"{name}.npz", X=x[:N], y=given[:N], X_test=x[N:], y_test=test, true=true)
    return folder


@pytest.fixture(scope="module")
def ran(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole search on ``a``."""
    output = tmp_path_factory.mktemp("ran")
    run(job(), data_root=root, output=output, progress=False, workers=1)
    return output / "search"


@pytest.fixture(scope="module")
def with_right_tests(root: Path) -> tuple[JobSpec, CrossFitted]:
    """The same job on ``b`` before its first round, and the verdict of its folds."""
    kept: list[CrossFitted] = []
    return prepared(job("b"), str(root), kept.append), kept[0]


def job(file: str = "a", **report: Any) -> JobSpec:
    return parse_job(
        {
            "data": {"name": "arrays", "params": {"path": f"{file}.npz"}, "n_validation": N_VALIDATION},
            "train": {"network": "mlp_tabular", "network_params": {"hidden": [32]}, "n_epochs": 30, "batch_size": 20},
            "search": {"searcher": "random", "n_rounds": 1, "n_trials": 2},
            "report": {"n_seeds": 2, "max_seeds": 2, "tuned_trials": 1, "n_candidates": 1, **report},
            "plan": {"population": 2},
        }
    )


def population(file: str = "a") -> Population:
    spec = job(file, tau=0.2)
    round_ = next_round(spec, [])
    assert round_ is not None
    return population_of(spec, round_, round_.trials)


def end_of(population: Population, root: Path) -> PopulationEnd:
    *_, end = train_population(population, data_root=str(root))
    assert isinstance(end, PopulationEnd)
    return end


def truth(root: Path, judged: JobAudit) -> Any:
    """Of each row whether its label is wrong."""
    with np.load(root / "a.npz") as arrays:
        true = arrays["true"]
    at = judged.id + np.where(judged.split == "test", N, 0)
    return judged.given_label != true[at].astype(str)


def test_margins_of_held_out_rows_are_those_of_the_model_that_is_kept(root: Path) -> None:
    """Against the model's own layers, written out."""
    end, split = end_of(population(), root), load_split(population().data, str(root))
    margins, model = end.margins[1], end.models[1]
    assert margins is not None
    assert model is not None
    x = torch.cat([split.validation.images, split.test.images]).double().numpy()
    label_H = torch.cat([split.validation.labels, split.test.labels]).tolist()
    assert margins.held_margin_NH.shape == (2, N_VALIDATION + N_TEST)
    for n in range(2):
        layers = [tensor.double().numpy() for name, tensor in model.items() if name.startswith(f"network{n}.")]
        bias, weight = layers[1::2], layers[::2]
        if weight[0].ndim == 1:
            bias, weight = weight, bias
        logits_HC = np.maximum(x @ weight[0].T + bias[0], 0) @ weight[1].T + bias[1]
        for h, logits in enumerate(logits_HC.tolist()):
            assert margins.held_voted_NH[n, h] == int(np.argmax(logits))
            own = logits.pop(label_H[h])
            assert margins.held_margin_NH[n, h] == pytest.approx(own - max(logits), rel=1e-5, abs=1e-5)


def test_test_labels_steer_nothing(root: Path, ran: Path, with_right_tests: tuple[JobSpec, CrossFitted]) -> None:
    """With other ones the same networks, objectives, estimate and verdict on all other rows."""
    ours, theirs = (end_of(population(file), root) for file in "ab")
    assert [r.objective for r in ours.results] == [r.objective for r in theirs.results]
    for one, other in zip(ours.margins, theirs.margins, strict=True):
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.margin_NS, other.margin_NS)
        same = one.held_margin_NH == other.held_margin_NH
        assert same[:, :N_VALIDATION].all()
        assert not same[:, N_VALIDATION:].all()
    spec, theirs_fitted = with_right_tests
    ours_fitted = load(ran.parent, cross_fitted_path("search"), CrossFitted)
    stored = json.loads((ran / "search.json").read_text())["spec"]["data"]["estimate"]
    assert ours_fitted is not None
    assert stored == to_json(spec.data.estimate)
    np.testing.assert_array_equal(ours_fitted.score_S[:N], theirs_fitted.score_S[:N])
    assert (ours_fitted.probability_wrong_S[N:] != theirs_fitted.probability_wrong_S[N:]).any()


def test_the_folder_of_outputs_will_do_where_it_holds_one_job(ran: Path, tmp_path: Path) -> None:
    np.testing.assert_array_equal(audit_of_folder(ran.parent).id, audit_of_folder(ran).id)
    with pytest.raises(DataError, match=r"cannot be read, which s2e search writes"):
        audit_of_folder(tmp_path)


@pytest.mark.parametrize("score", ["free", "cross_fitted"])
def test_wrong_labels_of_every_part_are_called(root: Path, ran: Path, score: str) -> None:
    judged = audit_of_folder(ran, score)
    wrong, sizes = truth(root, judged), dict(zip(SPLITS, (N - N_VALIDATION, N_VALIDATION, N_TEST), strict=True))
    assert (np.diff(judged.label_quality) >= 0).all()
    for split, n_rows in sizes.items():
        mine = judged.split == split
        called = judged.is_label_issue & mine
        assert mine.sum() == n_rows
        assert called.sum() == pytest.approx(wrong[mine].sum(), abs=0.08 * n_rows)
        assert wrong[called].mean() > 0.6  # by chance 0.2
        assert (judged.predicted_label != judged.given_label)[called].all()


def test_fewer_labels_of_a_right_test_set_are_called(
    root: Path, ran: Path, with_right_tests: tuple[JobSpec, CrossFitted]
) -> None:
    """Its share of wrong labels is not taken from the rows that train."""
    right = audit(given_labels(job("b").data, str(root)), 0.2, fitted=with_right_tests[1])
    n_right, n_noisy = (
        int(each.is_label_issue[each.split == "test"].sum()) for each in (right, audit_of_folder(ran, "cross_fitted"))
    )
    assert n_right < 0.5 * n_noisy


# --- by hand ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def labels() -> GivenLabels:
    return GivenLabels(
        np.array([0, 1, 0, 1, 0, 1]),
        np.array([7, 8, 9, 7, 8, 9]),
        np.array(["n", "y"]),
        np.zeros(6, dtype=bool),
        np.repeat(SPLITS, 2),
    )


def said(train: tuple[float, ...], *held_out: float) -> TrialMargins:
    held = np.array([held_out], dtype=np.float32) if held_out else np.empty((0, 0), dtype=np.float32)
    return TrialMargins(
        np.array([train], dtype=np.float32), np.zeros((1, 2), dtype=np.int16), held, np.zeros_like(held, dtype=np.int16)
    )


def test_held_out_rows_are_ranked_among_those_that_validate(labels: GivenLabels) -> None:
    judged = audit(labels, 0.5, [said((-1, 9), -5, 2, -6, 1)])
    by_row = dict(zip(judged.row.tolist(), judged.label_quality.tolist(), strict=True))
    assert by_row == pytest.approx({0: 1 / 3, 1: 2 / 3, 2: 1 / 3, 3: 2 / 3, 4: 0.5 / 3, 5: 1.5 / 3})
    # half of the validation rows: those up to a margin of -5, and the one test row that lies below
    assert sorted(judged.row[judged.is_label_issue].tolist()) == [0, 2, 4]
    assert judged.split[judged.row == 5].tolist() == ["test"]
    right = audit(labels, 0.5, [said((-1, 9), -5, 2, 6, 1)])
    assert sorted(right.row[right.is_label_issue].tolist()) == [0, 2]  # however many of the others are wrong


def test_with_trusted_validation_rows_those_that_test_have_only_themselves(labels: GivenLabels) -> None:
    trusted = replace(labels, is_trusted_S=labels.split_S == "validation")
    judged = audit(trusted, 0.5, [said((-1, 9), -5, 2, -6, 1)])
    assert sorted(judged.row[judged.is_label_issue].tolist()) == [0, 4]
    assert judged.label_quality[judged.split == "validation"].tolist() == [1, 1]
    assert sorted(judged.label_quality[judged.split == "test"].tolist()) == pytest.approx([1 / 3, 2 / 3])


def test_folds_call_as_many_as_their_probabilities_add_up_to(labels: GivenLabels) -> None:
    wrong = np.array([0.6, 0.4, 0.9, 0.8, 0.1, 0.2])
    codes = np.array([0, 1, 1, 0, 0, 1])
    judged = audit(labels, 0.5, fitted=CrossFitted(wrong, 1 - wrong, codes, 1 - labels.label_S))
    assert sorted(judged.row[judged.is_label_issue].tolist()) == [0, 2, 3]
    assert np.isnan(judged.probability_wrong).all()  # of two classes


def test_files_of_earlier_releases_are_of_rows_that_train(tmp_path: Path, labels: GivenLabels) -> None:
    old = {
        "label_S": labels.label_S[:2],
        "id_S": labels.id_S[:2],
        "name_C": labels.name_C,
        "is_trusted_S": np.zeros(2, bool),
    }
    path = tmp_path / labels_path("job")
    path.parent.mkdir()
    np.savez(path, **old)
    read = load(tmp_path, labels_path("job"), GivenLabels)
    assert read is not None
    assert (read.n_train, len(read)) == (2, 2)
    save(tmp_path, "job/m.npz", said((-1, 9)))
    margins = load(tmp_path, "job/m.npz", TrialMargins)
    assert margins is not None
    # a job that began under the earlier release, and one of whose trainings an earlier trainer ended
    for given, trainings in ((read, [margins]), (labels, [margins]), (read, [said((-1, 9), -5, 2, -6, 1)])):
        judged = audit(given, 0.5, trainings)
        assert (judged.split.tolist(), judged.row.tolist()) == (["train", "train"], [0, 1])
    mixed = audit(labels, 0.5, [margins, said((-1, 9), -5, 2, -6, 1)])
    assert len(mixed) == 2
    fitted = CrossFitted(*np.array([[0.9, 0.1], [0.1, 0.9]]), *np.array([[1, 1], [1, 0]]))
    assert audit(labels, 0.5, fitted=fitted).split.tolist() == ["train", "train"]
