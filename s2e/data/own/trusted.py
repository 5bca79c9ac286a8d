"""Trusted rows, whose labels are known to be right: reading the marks, and dealing the rows out.

A label that ranks schedules must not have trained them, and one that tests must have done neither; so m trusted rows
are dealt out, and the rest of them train. Fifty labels tell accuracies apart that differ by some ten points (a
standard error of .05 at .85), fewer rank schedules by luck: then all of them train.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2e.data.splits import stratified
from s2e.words import DataError, TrustedRows, TrustedSpec

if TYPE_CHECKING:
    from s2e.data.own.source import Source

ENOUGH = 50
"""Labels that a use of its own needs."""
YES, NO = frozenset({"true", "yes", "1", "t", "y"}), frozenset({"false", "no", "0", "f", "n", "", "na", "nan", "null"})
Mask = NDArray[np.bool_]


def marked(source: Source, asked: TrustedSpec) -> Mask:
    """Mask of the trusted rows of the source [S]. Raises DataError for a cell that is neither yes nor no."""
    mark_S = np.zeros(len(source), dtype=bool)
    if asked.column is not None:
        mark_S |= _said(source, asked.column)
    beyond = [row for row in asked.rows if row >= len(source)]
    if beyond:
        raise DataError(
            f"data.trusted.rows: row {beyond[0]}, but {source.file} has {len(source)} rows, numbered from 0 "
            f"({len(beyond)} such rows)"
        )
    mark_S[list(asked.rows)] = True
    return mark_S


def _said(source: Source, name: str) -> Mask:
    cells = [cell.strip().lower() for cell in source.column(name)]
    odd = [i for i, cell in enumerate(cells) if cell not in YES and cell not in NO]
    if odd:
        raise DataError(
            f"{source.where(odd[0])}, column {name}: {cells[odd[0]][:40]!r} does not say whether the label is trusted "
            f"({len(odd)} such rows): true or false, yes or no, 1 or 0"
        )
    return np.array([cell in YES for cell in cells], dtype=bool)


def dealt(label_m: NDArray[np.int64], n_classes: int, asked: TrustedSpec, *, may_test: bool) -> TrustedRows:
    """Deal m trusted rows with the labels ``label_m`` out to testing, validation and training.

    None of them tests unless ``may_test``: other rows do already.
    Raises DataError for no row at all, rows of one class only, and more uses than there are rows.
    """
    m, count_C = len(label_m), np.bincount(label_m, minlength=n_classes)
    if not m:
        raise DataError("data.trusted: no row is marked as trusted; mark some, or leave data.trusted out")
    if (count_C > 0).sum() == 1:
        raise DataError(
            f"data.trusted: all {m} trusted rows are of class {int(count_C.argmax())}; they cannot tell schedules "
            "apart: check some rows of other classes too"
        )
    uses = 2 + may_test
    share = m // uses if m >= ENOUGH * uses else 0
    n_test = asked.n_test if asked.n_test is not None else share if may_test else 0
    n_validation = asked.n_validation
    if n_validation is None:
        n_validation = share or (m // 2 if m - n_test >= 2 * ENOUGH and not n_test else 0)
    if n_test + n_validation > m:
        raise DataError(
            f"data.trusted: {n_test} rows to test and {n_validation} to validate, but only {m} rows are trusted"
        )
    without = int((count_C == 0).sum())
    return TrustedRows(n_test, n_validation, m - n_test - n_validation, without)


def test_rows(
    label_S: NDArray[np.int64], is_trusted_S: Mask, n_test: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The trusted rows that test, stratified, as numbers among all rows."""
    trusted = np.flatnonzero(is_trusted_S)
    chosen, _ = stratified(label_S[trusted], n_test, rng)
    return trusted[chosen]


def words(counted: TrustedRows | None) -> str:
    """The use made of the trusted rows, in words for people; empty where there are none."""
    if counted is None or counted == TrustedRows():
        return ""
    m = counted.n_test + counted.n_validation + counted.n_train
    said = [
        f"{counted.n_validation} trusted rows rank the schedules, {counted.n_train} train."
        if counted.n_validation
        else f"{m - counted.n_test} trusted rows are too few to rank schedules ({2 * ENOUGH} are needed, or "
        "data.trusted.n_validation): all of them train, and validation is against the given labels."
    ]
    if counted.n_test:
        said.append(f"Accuracy is against {counted.n_test} trusted labels.")
    if counted.n_classes_without:
        said.append(f"{counted.n_classes_without} classes have no trusted row: nothing here speaks for them.")
    return " ".join(said)


def listed(names: Sequence[str], most: int = 5) -> str:
    """Some names, and how many there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"
