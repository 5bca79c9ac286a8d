"""A source: samples of one file or folder, with the labels that somebody gave them.

Legend: S rows, F features, D x H x W pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.rows import Samples, samples
from s2e.words import DataError

Indices = NDArray[np.int64]


class Source(ABC):
    """The interface of every kind of one's own data; rows are numbered from 0."""

    file: str
    """The file or folder, as errors name it."""
    label: str
    """The place of the labels, such as ``column y``."""
    labels: Sequence[str]
    """As they were given; empty cells where there is none."""
    labels_are_cells: bool = True
    """False where a label cannot be missing, such as the name of a folder."""

    @property
    @abstractmethod
    def input_names(self) -> Sequence[str]:
        """Names of the inputs of a sample; a second source must have the same."""

    @abstractmethod
    def where(self, i: int) -> str:
        """Row i for people: ``flowers.csv, row 18``."""

    def ids(self) -> NDArray[Any]:
        """The name by which people find each row [S]: its number, the row of the file, or the name of its file."""
        return np.arange(len(self))

    @abstractmethod
    def fit(self, rows: Indices) -> Any:
        """The encoder fitted on these rows, plain JSON that goes with every model; None if nothing is fitted."""

    @abstractmethod
    def encode(self, fitted: Any) -> NDArray[Any]:
        """All rows: features float32 [S, F], or pixels uint8 [S, D, H, W]. Raises DataError that names row and cell."""

    def samples(self, fitted: Any) -> Samples:
        """:meth:`encode` as samples, which stay in their file where they come from a large one."""
        return samples(self.encode(fitted))

    def column(self, name: str) -> Sequence[str]:
        """The cells of a column. Raises DataError where there is none of this name."""
        raise DataError(f"{self.file} has no column {name!r}")

    def missing(self) -> Mapping[str, int]:
        """Number of missing cells of each column that has any."""
        return {}

    def notes(self) -> Sequence[str]:
        """Sentences on how the source was read, where that is not plain."""
        return ()

    def skipped(self) -> Sequence[str]:
        """Files that were left out because a job asked for it."""
        return ()

    def __len__(self) -> int:
        return len(self.labels)
