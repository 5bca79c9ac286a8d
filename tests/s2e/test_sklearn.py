"""The estimator keeps scikit-learn's contract, and learns from labels that are partly wrong."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from s2e.door import parse_job
from s2e.sklearn import NoisyLabelClassifier
from s2e.words import DataError, SpecError

QUICK = {"n_rounds": 1, "n_trials": 2, "n_epochs": 12, "noise_rate": 0.1, "random_state": 0, "method": "coteaching"}
"""The checks fit some sixty times, often fewer rows than an estimate of the noise needs."""


CHOOSING = {"n_epochs": 8, "noise_rate": 0.1, "random_state": 0, "candidates": ("selfteaching", "svc")}


@parametrize_with_checks([NoisyLabelClassifier(**QUICK)])
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    """All of them; check_array_api_input skips itself where SCIPY_ARRAY_API is not set."""
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([NoisyLabelClassifier(**CHOOSING)])
def test_scikit_learns_own_checks_of_a_choice(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """700 rows, the labels given to them (a quarter wrong), the true ones, and which rows these are."""
    bunch = load_digits()
    rng = np.random.default_rng(3)
    true_S = bunch.target[:700]
    wrong_S = rng.random(700) < 0.25
    given_S = np.where(wrong_S, (true_S + rng.integers(1, 10, 700)) % 10, true_S)
    return bunch.data, given_S, bunch.target, wrong_S


@pytest.fixture(scope="module")
def fitted(digits: Any) -> NoisyLabelClassifier:
    x_SF, given_S, _, _ = digits
    return NoisyLabelClassifier(n_rounds=2, n_trials=3, random_state=0, method="coteaching").fit(x_SF[:700], given_S)


def test_it_learns_from_labels_of_which_nobody_knows_the_wrong_ones(fitted: Any, digits: Any) -> None:
    x_SF, given_S, true_S, wrong_S = digits
    assert fitted.noise_rate_ == pytest.approx(wrong_S.mean(), abs=0.04)
    estimate = fitted.report_["noise"]
    assert estimate.low < fitted.noise_rate_ < estimate.high
    agreement = (fitted.predict(x_SF[700:]) == true_S[700:]).mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        plain = MLPClassifier((256,), random_state=0).fit(x_SF[:700] / 16, given_S)  # else as it comes
    assert agreement > (plain.predict(x_SF[700:] / 16) == true_S[700:]).mean() + 0.05
    worst = fitted.label_issues_.worst(100)
    assert wrong_S[worst].mean() > 0.85
    assert fitted.label_issues_.given_label.tolist() == given_S.tolist()


def test_the_schedule_is_one_of_those_that_were_tried(fitted: Any) -> None:
    assert fitted.schedule_.shape == (40,)
    assert fitted.schedule_[0] == 1
    assert ((fitted.schedule_ > 0) & (fitted.schedule_ <= 1)).all()
    trials = fitted.report_["trials"]
    assert len(trials) == 6
    assert tuple(fitted.schedule_) in {trial["keep_rate"] for trial in trials}


def test_a_whole_number_fixes_everything(digits: Any) -> None:
    x_SF, given_S, _, _ = digits
    one, other = (NoisyLabelClassifier(**QUICK).fit(x_SF[:300], given_S[:300]) for _ in range(2))
    np.testing.assert_array_equal(one.predict_proba(x_SF), other.predict_proba(x_SF))
    assert (
        clone(one).set_params(random_state=1).fit(x_SF[:300], given_S[:300]).schedule_.tolist()
        != one.schedule_.tolist()
    )


def test_it_pickles_and_predicts_in_a_process_without_torch(fitted: Any, digits: Any, tmp_path: Any) -> None:
    x_SF, _, _, _ = digits
    (tmp_path / "clf.pickle").write_bytes(pickle.dumps(fitted))
    np.save(tmp_path / "x.npy", x_SF[:20])
    code = (
        "import sys, pickle, numpy as np; sys.path[:0] = sys.argv[1:];"
        "p = pickle.load(open('clf.pickle', 'rb')).predict_proba(np.load('x.npy'));"
        "assert 'torch' not in sys.modules; np.save('p.npy', p)"
    )
    subprocess.run([sys.executable, "-c", code, *filter(None, sys.path)], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), fitted.predict_proba(x_SF[:20]))


def test_it_works_in_a_pipeline_and_a_grid_search(digits: Any) -> None:
    x_SF, given_S, true_S, _ = digits
    labels = np.array([f"digit {c}" for c in given_S[:300]])
    pipeline = make_pipeline(MinMaxScaler(), NoisyLabelClassifier(**{**QUICK, "n_epochs": 30}))
    grid = GridSearchCV(pipeline, {"noisylabelclassifier__hidden": [(64,), (64, 64)]}, cv=2).fit(x_SF[:300], labels)
    assert grid.best_params_["noisylabelclassifier__hidden"] in [(64,), (64, 64)]
    assert (grid.predict(x_SF[700:]) == [f"digit {c}" for c in true_S[700:]]).mean() > 0.7


def test_a_data_frame_keeps_the_names_of_its_columns(digits: Any) -> None:
    pandas = pytest.importorskip("pandas")
    x_SF, given_S, _, _ = digits
    frame = pandas.DataFrame(x_SF[:200], columns=[f"pixel {j}" for j in range(64)])
    clf = NoisyLabelClassifier(**QUICK).fit(frame, pandas.Series(given_S[:200]))
    assert clf.feature_names_in_[1] == "pixel 1"
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame.rename(columns={"pixel 1": "other"}))


def test_a_noise_rate_that_cannot_be_estimated_is_said(digits: Any) -> None:
    x_SF, given_S, _, _ = digits
    clf = NoisyLabelClassifier(**{**QUICK, "noise_rate": None, "n_epochs": 3})
    with pytest.warns(UserWarning, match="noise_rate is taken as 0: a class needs at least 2 labels"):
        clf.fit(x_SF[:30], given_S[:30])
    assert clf.noise_rate_ == 0.0
    assert not clf.label_issues_.is_label_issue.any()


def test_with_a_known_noise_rate_labels_are_ranked_by_the_search_s_own_trainings(digits: Any) -> None:
    x_SF, given_S, _, wrong_S = digits
    quick = {**QUICK, "n_trials": 3, "n_epochs": 10, "noise_rate": float(wrong_S.mean())}
    clf = NoisyLabelClassifier(**quick)
    issues = clf.fit(x_SF[:700], given_S).label_issues_
    assert issues.split is not None
    validated = issues.split == "validation"
    assert validated.sum() == 140  # a fifth, ranked by networks that did not train on it
    for part in (validated, ~validated):
        assert issues.is_label_issue[part].sum() == pytest.approx(float(wrong_S.mean()) * part.sum(), abs=1)
        assert wrong_S[part & issues.is_label_issue].mean() > 0.7
    assert wrong_S[issues.worst(60)].mean() > 0.85
    assert (issues.predicted_label[issues.is_label_issue] != given_S[issues.is_label_issue]).mean() > 0.9
    assert np.isnan(issues.probability_wrong).all()


def test_settings_out_of_their_range_are_refused_by_name(digits: Any) -> None:
    x_SF, given_S, _, _ = digits
    with pytest.raises(SpecError, match=r"train\.n_epochs = 0"):
        NoisyLabelClassifier(n_epochs=0, noise_rate=0.1).fit(x_SF[:700], given_S)


def test_without_a_word_the_method_is_chosen_by_the_accuracy_to_expect_from_noisy_labels(digits: Any) -> None:
    x_SF, _, true_S, _ = digits
    rng = np.random.default_rng(4)
    pair_S = np.where(rng.random(700) < 0.4, (true_S[:700] + 1) % 10, true_S[:700])
    clf = NoisyLabelClassifier(n_rounds=2, n_epochs=8, random_state=0, candidates=["coteaching", "svc"])
    clf.fit(x_SF[:700] / 16, pair_S)
    assert clf.method == "auto"
    assert clf.method_ == "svc"
    assert clf.report_["chosen"] == "svc, reweighted"
    assert clf.report_["chosen_by"] == "the accuracy to expect from held-out given labels"
    rows = {row["candidate"]: row["n_seeds"] for row in clf.report_["candidates"]}
    assert rows == {"svc": 2, "svc, reweighted": 2, "coteaching": 2, "coteaching, 1.2 tau": 1}  # the default stays
    assert (clf.schedule_ == 1).all()
    assert (clf.predict(x_SF[700:] / 16) == true_S[700:]).mean() > 0.85
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(x_SF[700:]), clf.predict_proba(x_SF[700:]))


def test_candidates_that_need_what_is_not_known_are_none(digits: Any) -> None:
    x_SF, given_S, _, _ = digits
    with pytest.raises(SpecError, match=r"candidates = 'forward': among .*coteaching"):
        NoisyLabelClassifier(noise_rate=0.2, candidates=["forward"]).fit(x_SF[:100], given_S[:100])
    with pytest.raises(SpecError, match="at least two"):
        NoisyLabelClassifier(noise_rate=0.2, candidates=["svc"]).fit(x_SF[:100], given_S[:100])
    trained = {"noise_rate": 0.2, "candidates": ("svc", "forest"), "n_rounds": 1, "random_state": 0}
    clf = NoisyLabelClassifier(**trained).fit(x_SF[:200], given_S[:200])
    assert np.isnan(clf.label_issues_.label_quality).all()  # no network trained whose margins could say anything


# --- arrays as a data set of a job ------------------------------------------------------------------------------------


def load(tmp_path: Any, **arrays: Any) -> Any:
    from s2e.data.arrays import load_arrays

    np.savez(tmp_path / "a.npz", **arrays)
    return load_arrays(str(tmp_path), "a.npz", 0.25)


def test_arrays_are_a_data_set_of_a_job(tmp_path: Any) -> None:
    import s2e

    bunch = load_digits()
    np.savez(tmp_path / "a.npz", X=bunch.images[:300].astype(np.uint8), y=bunch.target[:300])
    job = {
        "data": {"name": "arrays", "params": {"path": "a.npz"}, "n_train": 64, "n_validation": 60},
        "train": {"network": "model2", "n_epochs": 1, "batch_size": 32},
        "search": {"searcher": "random", "n_rounds": 1, "n_trials": 1},
        "report": {"n_seeds": 2, "max_seeds": 2, "tuned_trials": 1, "n_candidates": 1, "tau": 0.1},
    }
    assert parse_job(job).data.labels == "given"
    report = s2e.search(job, data_root=tmp_path, output=tmp_path, progress=False, workers=1)
    model = s2e.load_model(tmp_path / report.recommended_model)
    assert model.classes_.tolist() == [str(c) for c in range(10)]
    assert model.predict_proba(bunch.images[:3]).shape == (3, 10)


def test_classes_may_be_text_and_test_rows_the_users_own(tmp_path: Any) -> None:
    data = load(
        tmp_path, X=np.eye(4), y=np.array(["b", "a", "b", "a"]), X_test=np.zeros((1, 4)), y_test=np.array(["b"])
    )
    assert (data.class_names, data.train_labels.tolist(), data.test_labels.tolist()) == (("a", "b"), [1, 0, 1, 0], [1])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.eye(4)}, "has no array 'y'"),
        ({"X": np.eye(4), "y": [0, 1, 0]}, "4 rows, but there are 3 labels"),
        ({"X": np.eye(4), "y": [0, 0, 0, 0]}, "all 4 labels are the same"),
        ({"X": np.eye(4), "y": [0.5, 1, 0, 1]}, "one whole number or text for each row"),
        ({"X": np.diag([1, 2, np.nan, 4]), "y": [0, 1, 0, 1]}, r"X, row 2 \(1 such rows\): not finite numbers"),
        ({"X": np.ones((4, 2, 2)), "y": [0, 1, 0, 1]}, "images are uint8"),
        ({"X": np.array([["a"], ["b"]]), "y": [0, 1]}, "features are numbers"),
        ({"X": np.array([[object()], [None]]), "y": [0, 1]}, "not an .npz file of plain arrays"),
        ({"X": np.eye(2), "y": [0, 1], "X_test": np.eye(2)}, "one of X_test and y_test"),
        ({"X": np.eye(2), "y": [0, 1], "X_test": np.eye(2), "y_test": [0, 7]}, "y_test, row 1: a label that is not"),
    ],
)
def test_arrays_that_are_no_samples_are_refused(tmp_path: Any, arrays: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path, **arrays)


def test_a_file_of_another_kind_and_a_path_outside_are_refused(tmp_path: Any) -> None:
    from s2e.data.arrays import load_arrays

    (tmp_path / "a.npz").write_text("1,2,3")
    with pytest.raises(DataError, match=r"not an \.npz file of plain arrays"):
        load_arrays(str(tmp_path), "a.npz", 0.2)
    with pytest.raises(SpecError, match="a path below the data root"):
        parse_job({"data": {"name": "arrays", "params": {"path": "../a.npz"}}})
