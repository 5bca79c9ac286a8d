"""The verdict of an audit on every row's label: a rank, a probability, and the class it more likely has.

Numpy alone. Legend: S samples, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.extras import needs
from s2e.labels.verdict import NoiseEstimate
from s2e.words import DataError

Values = NDArray[Any]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of every row by networks that did not train on it."""

    p_SC: Numbers
    """P(class); the given label is not used."""
    class_C: Values
    """The names of the classes, in the order of the columns."""


@dataclass(frozen=True, eq=False)
class LabelIssues:
    """One value for each row, by cleanlab's names of columns, and the estimate of the noise behind them."""

    is_label_issue: NDArray[np.bool_]
    """The worst rows by ``label_quality``, as many as labels are estimated to be wrong."""
    label_quality: Numbers
    """Rank among the rows: near 0 the label that is most likely wrong, 1 the one that is most likely right. The mean
    rank of ``probability_wrong`` and of the margin with which networks learned the label; where plain networks predict
    labels as well, those have a say too (the alarm ``plain_as_good``)."""
    given_label: Values
    predicted_label: Values
    """The most probable class by networks that did not train on the row; the given label is not used."""
    probability_wrong: Numbers
    """P(the label is wrong), from held-out predictions, the noise matrix and the given label. Its mean is
    the estimated noise rate; single rows are judged too surely where classes are hard to tell apart."""
    noise: NoiseEstimate | None
    """None where none was made."""
    id: Values | None = None
    """Of data in files: how their owner finds each row again, by its number, its own id or the name of its file."""
    split: Values | None = None
    """The part of each row, where parts are judged by other networks: train, validation or test. The last two are
    ranked among each other, because nobody trained on them."""
    held_out: HeldOut | None = None
    """Where folds have judged every row; not a column."""

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.label_quality)

    def columns(self) -> dict[str, Values]:
        """The columns by name, as ``pandas.DataFrame`` or ``pyarrow.table`` takes them."""
        beside = ("noise", "id", "held_out")
        named = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in beside}
        if self.split is None:
            del named["split"]
        return named if self.id is None else {"id": self.id, **named}

    def by_row(self, classes: Values) -> LabelIssues:
        """The verdict on rows that have numbers as their ids, in the order of these, and with labels that were given
        as numbers of ``classes``."""
        assert self.id is not None
        order = np.argsort(np.array([int(row) for row in self.id]), kind="stable")
        columns = {name: value[order] for name, value in self.columns().items() if name != "id"}
        for name in ("given_label", "predicted_label"):
            columns[name] = classes[columns[name].astype(np.int64)]
        held_out = self.held_out and HeldOut(self.held_out.p_SC[order], classes[self.held_out.class_C.astype(np.int64)])
        return LabelIssues(**columns, noise=self.noise, held_out=held_out)

    def by_cleanlab(self, filter_by: str = "prune_by_noise_rate", **options: Any) -> NDArray[np.bool_]:
        """The rows [S] whose labels cleanlab's own filter calls wrong, from these held-out predictions: they know of
        the noise, so they are better ones than cleanlab would be given elsewhere. ``options`` are those of
        ``cleanlab.filter.find_label_issues``.

        Raises DataError where no folds have predicted the rows, MissingExtraError where cleanlab is not installed,
        ValueError for a filter that it does not have.
        """
        if self.held_out is None:
            raise DataError("no folds have predicted these rows: s2e.find_label_issues(X, y) trains them")
        with needs("cleanlab"):
            from cleanlab.filter import find_label_issues
        order = np.argsort(self.held_out.class_C, kind="stable")
        label_S = order[np.searchsorted(self.held_out.class_C, self.given_label, sorter=order)]
        return np.asarray(find_label_issues(label_S, self.held_out.p_SC, filter_by=filter_by, **options))

    def worst(self, n: int | None = None) -> NDArray[np.int64]:
        """Indices of the n rows whose labels are most likely wrong, or of all issues, the worst first."""
        n = int(self.is_label_issue.sum()) if n is None else n
        return np.argsort(self.label_quality, kind="stable")[:n]


def label_quality(probability_wrong_S: Numbers, margin_S: Numbers) -> Numbers:
    """Mean rank of both, in (0, 1]: equal rows have equal ranks, and 1 is the surest."""
    from scipy.stats import rankdata  # takes a second to import

    ranks_S = rankdata(-probability_wrong_S) + rankdata(margin_S)
    return np.asarray(ranks_S / (2 * len(ranks_S)))


def ranks(score_S: Numbers) -> Numbers:
    """The rank of each number in (0, 1]: equal numbers have equal ranks, and 1 is the largest."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(score_S) / len(score_S))


def issues(quality_S: Numbers, n_wrong: int) -> NDArray[np.bool_]:
    """The ``n_wrong`` rows of the lowest quality; of equal ones the first."""
    is_issue_S = np.zeros(len(quality_S), dtype=bool)
    is_issue_S[np.argsort(quality_S, kind="stable")[:n_wrong]] = True
    return is_issue_S
