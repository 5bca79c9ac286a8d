"""Slips in rows and labels that are handed over in Python: the estimator and the audit name them alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import s2e
from s2e.sklearn import NoisyLabelClassifier
from s2e.words import DataError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = np.where(X[:, 0] > 0, "cat", "dog")
FRAME = pd.DataFrame(X, columns=list("abc")).assign(kind=np.where(RNG.random(60) > 0.5, "u", "v"))


def with_value(i: int, value: Any) -> Any:
    labels = Y.astype(object)
    labels[i] = value
    return labels


def with_cell(value: float) -> Any:
    x = X.copy()
    x[7, 1] = value
    return x


BOTH = [
    (X, with_value(4, None), r"y is missing in 1 rows, the first is row 4"),
    (X, with_value(4, np.nan), r"y is missing in 1 rows, the first is row 4"),
    (X, with_value(4, pd.NA), r"y is missing in 1 rows, the first is row 4"),
    (X, with_value(4, " "), r"y is missing in 1 rows, the first is row 4"),
    (X, with_value(4, 7), r"y mixes text and other values: '...' in row 0, 7 in row 4"),
    (X, with_value(5, "cat "), r"y, row 5: label 'cat ' is 'cat', written in another way"),
    (X, np.where(X[:, 0] > 0, "1", np.where(X[:, 1] > 0, "0", "0.0")), r"y, row \d+: label '0.0' is '0'"),
    (X, np.arange(60), r"y: 60 different labels in 60 rows look like an id or a measurement"),
    (np.ma.masked_greater(with_cell(99), 50), Y, r"X is masked in 1 cells, the first in row 7"),
    (["an old oak"] * 60, Y, r"X holds a text in each row: pandas\.DataFrame\({'text': X}\)"),
    (FRAME.assign(name="old oak").name, Y, r"X holds a text in each row"),
    ("table.csv", Y, r"X is a path: s2e\.from_files\('table', 'table\.csv'\)"),
    (with_cell(1e300), Y, r"X, row 7, column 1: 1e\+300 is too large to be standardised"),
    (FRAME.assign(a=with_cell(np.inf)[:, 1]), Y, r"X, row 7, column a: 'inf' is not a finite number"),
    (FRAME.assign(name=[f"n{i}" for i in range(60)]), Y, r"X, column name \(60\): .* X\.drop\(columns=\['name'\]\)$"),
    (FRAME.set_axis(list("abca"), axis=1), Y, r"X has two columns called 'a'"),
]


@pytest.mark.filterwarnings("ignore:The number of unique classes")
@pytest.mark.parametrize(("rows", "labels", "message"), BOTH)
def test_the_estimator_and_the_audit_name_a_slip_alike(rows: Any, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        s2e.find_label_issues(rows, labels)
    with pytest.raises((ValueError, DataError), match=message):
        NoisyLabelClassifier(noise_rate=0.1, method="coteaching").fit(rows, labels)


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (csr_matrix(X), Y, r"X is sparse: X\.toarray\(\)"),
        (X + 1j, Y, "complex numbers"),
        (np.ones((60, 2)), Y, "all 60 rows of X are the same"),
        ([[1, 2], [3]] * 30, Y, "X must hold numbers"),
        (X, np.eye(2)[(Y == "cat").astype(int)], r"y\.argmax\(1\)"),
        (X, Y[:-1], "60 rows of X, but 59 labels in y"),
        (X[:0], [], r"X has shape \(0, 3\)"),
        ([[]] * 60, Y, r"X has shape \(60, 0\)"),
        (X, with_value(3, "emu"), r"a class needs at least 2 labels, in two folds: emu \(1\)"),
    ],
)
def test_the_audit_names_what_scikit_learn_would(rows: Any, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        s2e.find_label_issues(rows, labels)


def test_the_audit_takes_a_frame_with_text_and_knows_its_rows() -> None:
    kind = RNG.integers(0, 2, 120)
    frame = pd.DataFrame({"a": 3 * kind + RNG.normal(size=120), "kind": np.array(["u", "v"])[kind]})
    truth = np.array(["cat", "dog"])[kind]
    labels = truth.copy()
    wrong = np.arange(0, 120, 10)
    labels[wrong] = np.array(["dog", "cat"])[kind[wrong]]
    issues = s2e.find_label_issues(frame, labels, trusted=[1, 2, 3])
    assert issues.given_label.tolist() == labels.tolist()
    assert set(issues.worst(12)) == set(wrong)
    assert issues.predicted_label[wrong].tolist() == truth[wrong].tolist()
