"""The audit of given labels: wrong ones come first, whatever names, scales and orders the arrays have."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score

import s2e
from s2e.data.noise import corrupt
from s2e.data.transition import pair, symmetric
from s2e.labels.audit import _indices
from s2e.labels.issues import HeldOut, issues, label_quality
from s2e.words import DataError, SpecError, TrainSpec, replace

SMALL = TrainSpec(method="standard", network="mlp_tabular", network_params={"hidden": [32]}, batch_size=64)
PROBABILITIES = arrays(np.float64, 30, elements=st.floats(0, 1, allow_subnormal=False))
MARGINS = arrays(np.float64, 30, elements=st.floats(-50, 50, allow_subnormal=False))


@given(PROBABILITIES, MARGINS)
def test_quality_is_a_rank_that_never_contradicts_both_scores(wrong_S, margin_S):
    quality_S = label_quality(wrong_S, margin_S)
    assert ((quality_S > 0) & (quality_S <= 1)).all()
    assert quality_S.mean() == pytest.approx(31 / 60)
    for s in range(30):
        surer = (wrong_S <= wrong_S[s]) & (margin_S >= margin_S[s])
        assert (quality_S[surer] >= quality_S[s]).all()
    monotone_S = label_quality(wrong_S / 2, 4 * margin_S)  # powers of two: no two values become one
    np.testing.assert_array_equal(quality_S, monotone_S)


@given(PROBABILITIES, st.integers(0, 30))
def test_issues_are_the_worst_rows(quality_S, n_wrong):
    is_issue_S = issues(quality_S, n_wrong)
    assert is_issue_S.sum() == n_wrong
    if 0 < n_wrong < 30:
        assert quality_S[is_issue_S].max() <= quality_S[~is_issue_S].min()


def clouds(T_CC, n=450, seed=0):
    """Features of very unlike scales, their labels through T, and the classes behind them."""
    rng = np.random.default_rng(seed)
    class_S = rng.integers(0, len(T_CC), n)
    X = 5.0 * np.eye(len(T_CC), 6)[class_S] + rng.normal(size=(n, 6))
    return X * 10.0 ** np.arange(-3, 3) + 40, corrupt(class_S, T_CC, seed + 1), class_S


@pytest.mark.parametrize(("T_CC", "least"), [(pair(10, 0.4), 0.95), (symmetric(10, 0.2), 0.97)], ids=["pair", "sym"])
def test_wrong_labels_of_digits_come_first(T_CC, least):
    """1,000 images. On pair noise confidence in the given label hardly tells a label from its pair: .6 and less."""
    images, class_S = load_digits().images[:1_000], load_digits().target[:1_000]
    y = corrupt(class_S, T_CC, seed=3)
    wrong_S = y != class_S
    result = s2e.find_label_issues(images, y, seed=1)
    assert average_precision_score(wrong_S, -result.label_quality) > least
    assert result.is_label_issue.mean() == pytest.approx(wrong_S.mean(), abs=0.03)
    assert (result.is_label_issue == wrong_S).mean() > 0.94
    assert (result.predicted_label == class_S).mean() > 0.9
    assert result.probability_wrong.mean() == pytest.approx(result.noise.noise_rate, abs=0.01)
    np.testing.assert_array_equal(result.given_label, y)


def test_columns_are_cleanlabs_and_rows_the_users():
    X, y, _ = clouds(symmetric(3, 0.2))
    names = np.array(["ash", "birch", "oak"])
    result = s2e.find_label_issues(X, names[y], n_folds=3, train=SMALL)
    columns = result.columns()
    assert list(columns) == [
        *("is_label_issue", "label_quality", "given_label", "predicted_label", "probability_wrong"),
    ]
    assert {len(column) for column in columns.values()} == {len(result)} == {450}
    np.testing.assert_array_equal(result.given_label, names[y])
    assert set(result.predicted_label) == set(names)
    worst = result.worst()
    assert len(worst) == result.is_label_issue.sum() > 0
    assert result.is_label_issue[worst].all()
    assert (np.diff(result.label_quality[worst]) >= 0).all()
    np.testing.assert_array_equal(result.worst(5), worst[:5])


def test_cleanlabs_filters_read_the_held_out_predictions():
    pytest.importorskip("cleanlab")
    X, y, class_S = clouds(symmetric(3, 0.2))
    names = np.array(["oak", "ash", "birch"])
    result = s2e.find_label_issues(X, names[y], n_folds=3, train=SMALL)
    for filter_by in ("prune_by_noise_rate", "confident_learning"):
        issue_S = result.by_cleanlab(filter_by)
        assert (issue_S == (y != class_S)).mean() > 0.9
    backwards = np.arange(len(result))[::-1]
    numbered = replace(result, given_label=y, predicted_label=y, id=backwards.astype(str))
    numbered = replace(numbered, held_out=HeldOut(result.held_out.p_SC, np.array([1, 2, 0])))
    np.testing.assert_array_equal(numbered.by_row(names).by_cleanlab(filter_by), issue_S[::-1])
    with pytest.raises(DataError, match="no folds have predicted these rows"):
        replace(result, held_out=None).by_cleanlab()


def test_scales_of_features_and_names_of_labels_do_not_matter():
    X, y, _ = clouds(pair(3, 0.3), n=300)
    one = s2e.find_label_issues(X, y, n_folds=3, train=SMALL, seed=2)
    scaled = s2e.find_label_issues(
        (X - 7) * np.array([1, 10, 100, 1e3, 1e-4, 1]), 10 * y + 5, n_folds=3, train=SMALL, seed=2
    )
    np.testing.assert_allclose(one.probability_wrong, scaled.probability_wrong, atol=0.02)
    np.testing.assert_array_equal(10 * one.predicted_label + 5, scaled.predicted_label)


def test_a_seed_fixes_everything():
    X, y, _ = clouds(symmetric(3, 0.3), n=240)
    shares: list[float] = []
    one = s2e.find_label_issues(X, y, n_folds=2, train=SMALL, seed=4, progress=shares.append)
    same, other = (s2e.find_label_issues(X, y, n_folds=2, train=SMALL, seed=seed) for seed in (4, 5))
    for name, column in one.columns().items():
        np.testing.assert_array_equal(column, same.columns()[name])
    assert (one.label_quality != other.label_quality).any()
    assert shares[-1] == 1
    assert all(earlier <= later for earlier, later in pairwise(shares))


def test_trusted_rows_are_never_issues():
    X, y, class_S = clouds(pair(3, 0.4), n=400)
    y[:200] = class_S[:200]
    mask = np.arange(400) < 200
    result = s2e.find_label_issues(X, y, trusted=mask, n_folds=3, train=SMALL)
    assert not result.is_label_issue[mask].any()
    assert (result.probability_wrong[mask] == 0).all()
    assert result.label_quality[mask].min() > result.label_quality[result.is_label_issue].max()
    assert result.noise.n_rows == 200


def test_trusted_rows_are_a_mask_or_indices():
    np.testing.assert_array_equal(_indices(np.array([False, True, True]), 3), [1, 2])
    np.testing.assert_array_equal(_indices([2, 1, 2], 3), [1, 2])
    assert len(_indices(None, 3)) == len(_indices([], 3)) == 0


def test_images_keep_their_layout_for_networks_that_look_at_them():
    """A network of the project by its name; colours first, as torch has them."""
    rng = np.random.default_rng(0)
    class_S = np.arange(90) % 3
    X = rng.normal(size=(90, 1, 12, 12))
    for c in range(3):
        X[class_S == c, 0, 4 * c : 4 * c + 4] += 3
    y = corrupt(class_S, symmetric(3, 0.2), 5)
    train = TrainSpec(method="standard", network="mlp", batch_size=16)
    result = s2e.find_label_issues(X, y, train=train, n_folds=3)
    assert (result.predicted_label == class_S).mean() > 0.9
    with pytest.raises(SpecError, match=r"train\.network"):
        s2e.find_label_issues(X[:, 0, 0], y, train=TrainSpec(method="standard", network="cnn9"), n_folds=3)


@pytest.mark.parametrize(
    ("X", "y", "settings", "message"),
    [
        (np.array([["a"], ["b"]]), [0, 1], {}, "X must hold numbers: encode text and categories first"),
        (np.zeros(4), [0, 1, 0, 1], {}, r"X has shape \(4,\)"),
        (np.zeros((0, 3)), [], {}, r"X has shape \(0, 3\)"),
        (np.array([[0.0], [np.nan], [np.inf]]), [0, 1, 0], {}, "NaN or infinity in 2 rows, the first is row 1"),
        (np.zeros((3, 2)), [0, 1], {}, "3 rows of X, but 2 labels in y"),
        (np.zeros((2, 2)), [[0], [1]], {}, r"y has shape \(2, 1\)"),
        (np.zeros((3, 2)), [0.0, np.nan, 1.0], {}, "y is missing in 1 rows, the first is row 1"),
        (np.zeros((3, 2)), np.array(["a", None, "b"], dtype=object), {}, "y is missing in 1 rows, the first is row 1"),
        (np.eye(9, 2), [0] * 9, {}, "all 9 labels are the same"),
        (np.eye(9, 2), [0] * 8 + [1], {}, r"a class needs at least 2 labels, in two folds: 1 \(1\)"),
        (np.zeros((9, 2)), [0, 1, 2] * 3, {"trusted": [9]}, "trusted must be a mask, or indices of rows from 0 to 8"),
        (np.zeros((9, 2)), [0, 1, 2] * 3, {"trusted": [True]}, r"trusted is a mask of shape \(1,\), X has 9 rows"),
        (np.eye(90, 2), [0, 1, 2] * 30, {"train": SMALL}, "the noise of these 90 labels cannot be estimated"),
    ],
)
def test_arrays_that_cannot_be_audited_are_refused(X, y, settings, message):
    with pytest.raises(DataError, match=message):
        s2e.find_label_issues(X, y, **settings)
