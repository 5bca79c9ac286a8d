"""Classes of labels that somebody gave: their numbers, and the slips among them that are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from s2e.data.encoder import is_missing
from s2e.data.own.slips import N_FOR_ID, differ_by_case, require_classes, written_twice
from s2e.data.own.source import Source
from s2e.words import DataError


class Merged(dict[str, int]):
    """Class numbers of labels in upper or lower case alike."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        super().__init__(numbers)
        self._folded = {label.casefold(): c for label, c in numbers.items()}

    def __contains__(self, label: object) -> bool:
        return str(label).casefold() in self._folded

    def __missing__(self, label: str) -> int:
        return self._folded[label.casefold()]


def classes_of(source: Source, label_case: str = "keep") -> dict[str, int]:
    """Class number of each label: whole numbers in their order, text in alphabetical order. Raises DataError.

    Of labels that differ by case only ``label_case`` says whether they are refused, classes of their own (keep), or one
    class (merge), under the spelling that most rows have."""
    labels, at = source.labels, f"{source.file}, {source.label}"
    _require_labels(source)
    distinct = set(labels)
    if label_case == "merge":
        distinct = set({label.casefold(): label for label, _ in reversed(Counter(labels).most_common())}.values())
    require_classes(len(distinct), len(labels), at)
    if pair := written_twice(distinct):
        _refuse_written_twice(source, pair, "write a class alike in all rows")
    if label_case == "refuse" and (pair := differ_by_case(distinct)):
        remedy = "write a class alike in all rows, or say data.params.label_case = 'merge' (one class) or 'keep' (two)"
        _refuse_written_twice(source, pair, remedy)
    whole = all(label.isdecimal() for label in distinct)
    numbers = {label: c for c, label in enumerate(sorted(distinct, key=(lambda s: (int(s), s)) if whole else None))}
    if label_case == "merge":
        numbers = Merged(numbers)
    _require_rows_of_each(source, numbers)
    return numbers


def _refuse_written_twice(source: Source, pair: tuple[str, str], remedy: str) -> None:
    count = Counter(source.labels)
    usual, rare = sorted(pair, key=lambda label: -count[label])
    at = source.where(source.labels.index(rare))
    raise DataError(
        f"{at}, {source.label}: label {rare[:40]!r} ({count[rare]} rows) is {usual[:40]!r} ({count[usual]} rows), "
        f"written in another way: {remedy}"
    )


def codes_among(source: Source, classes: dict[str, int]) -> NDArray[np.int64]:
    """Class numbers of another source [S]. Raises DataError for a label that is not among the training labels."""
    unknown = [i for i, label in enumerate(source.labels) if label not in classes]
    if unknown:
        label = source.labels[unknown[0]]
        close = get_close_matches(label, classes, n=1, cutoff=0.5)
        hint = f"; is it {close[0]!r}? Both files have to write a class alike" if close else ""
        raise DataError(
            f"{source.where(unknown[0])}, {source.label}: label {label[:40]!r} is not among the training labels "
            f"({len(unknown)} such rows){hint}"
        )
    return codes(source.labels, classes)


def codes(labels: Sequence[str], classes: dict[str, int]) -> NDArray[np.int64]:
    return np.array([classes[label] for label in labels], dtype=np.int64)


def _require_labels(source: Source) -> None:
    missing = [i for i, label in enumerate(source.labels) if is_missing(label)] if source.labels_are_cells else []
    if missing:
        raise DataError(
            f"{source.where(missing[0])} has no label: {source.labels[missing[0]]!r} in {source.label} "
            f"({len(missing)} such rows): fill it in, or leave the row out"
        )


def _require_rows_of_each(source: Source, classes: dict[str, int]) -> None:
    """Classes of one row beside larger ones: such a row cannot both train and test, and is often a slip."""
    count = Counter(classes[label] for label in source.labels)
    single = [label for label in dict.fromkeys(source.labels) if count[classes[label]] == 1]
    if single and len(source) >= N_FOR_ID:
        at = source.where(source.labels.index(single[0]))
        hint = "; if it holds column names, say header = true" if at.endswith("row 1") else ""
        raise DataError(
            f"{at}: the only one of class {single[0][:40]!r} ({len(single)} such classes): add rows of it, mend the "
            f"label, or leave the row out{hint}"
        )
