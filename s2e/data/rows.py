"""Samples that stay in a file: rows of memory-mapped arrays, read when somebody asks for them.

Legend: S rows.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.machine import usable_bytes
from s2e.words import DataError

SMALL = 256 * 2**20
"""Bytes of samples that are read into memory at once, whatever the file: below, nothing is gained by leaving them."""
BLOCK_BYTES = 32 * 2**20
"""About the bytes of samples that are read at a time."""
Read = Callable[[NDArray[Any]], NDArray[Any]]
"""From rows as a file has them to samples, row by row."""
Index = torch.Tensor | NDArray[Any] | slice


@dataclass(frozen=True, eq=False)
class Stored:
    """An array, on a disk or not, and how its rows become samples."""

    array: NDArray[Any]
    read: Read | None = None

    def __len__(self) -> int:
        return len(self.array)

    def at(self, row: NDArray[np.int64]) -> NDArray[Any]:
        """The samples of these rows, read in the order of the file."""
        order = np.argsort(row, kind="stable")
        values = np.empty((len(row), *self.array.shape[1:]), dtype=self.array.dtype)
        values[order] = self.array[row[order]]
        forget(self.array)
        return values if self.read is None else self.read(values)


class Rows:
    """Samples [S, ...] of one or more arrays, in any order. To whoever trains they are a tensor whose rows are asked
    for by number."""

    def __init__(self, parts: Sequence[Stored], index: NDArray[np.int64] | None = None) -> None:
        self._parts = tuple(parts)
        self._starts = np.cumsum([0, *map(len, self._parts)])
        self._index = np.arange(self._starts[-1]) if index is None else index
        sample = torch.from_numpy(self._parts[0].at(np.zeros(1, dtype=np.int64)))
        self.shape = torch.Size((len(self._index), *sample.shape[1:]))
        self.dtype = sample.dtype

    device = torch.device("cpu")
    """The place of samples that are asked for."""

    def __len__(self) -> int:
        return self.shape[0]

    def dim(self) -> int:
        """Number of axes, that of the rows included."""
        return len(self.shape)

    @property
    def n_bytes(self) -> int:
        """Of all samples, in memory."""
        return self.shape.numel() * self.dtype.itemsize

    def __getitem__(self, index: Index) -> Rows:
        """The rows of an index or a mask; nothing is read."""
        chosen = index.cpu().numpy() if isinstance(index, torch.Tensor) else index
        return Rows(self._parts, self._index[chosen])

    def index_select(self, dim: int, index: torch.Tensor) -> torch.Tensor:
        """The samples at ``index`` [R], read now."""
        assert dim == 0
        row = self._index[index.cpu().numpy()]
        if len(self._parts) == 1:
            return torch.from_numpy(np.ascontiguousarray(self._parts[0].at(row)))
        samples = torch.empty((len(row), *self.shape[1:]), dtype=self.dtype)
        of = np.searchsorted(self._starts, row, side="right") - 1
        for i in np.unique(of):
            mine = np.flatnonzero(of == i)
            samples[torch.from_numpy(mine)] = torch.from_numpy(self._parts[i].at(row[mine] - self._starts[i]))
        return samples

    def split(self, n_rows: int) -> Iterator[torch.Tensor]:
        """All samples in their order, ``n_rows`` at a time."""
        for index in torch.arange(len(self)).split(n_rows):
            yield self.index_select(0, index)

    def blocks(self) -> Iterator[torch.Tensor]:
        """All samples in their order, as many at a time as are read well."""
        return self.split(max(1, BLOCK_BYTES // max(1, self.n_bytes // max(1, len(self)))))

    def followed_by(self, other: Rows) -> Rows:
        """These rows, and those of another file."""
        return Rows((*self._parts, *other._parts), np.concatenate([self._index, other._index + self._starts[-1]]))


Samples = torch.Tensor | Rows
"""Samples [S, ...] in memory, or in a file."""


def samples(array: NDArray[Any], read: Read | None = None) -> Samples:
    """An array as samples: on its disk if it is memory-mapped and not small."""
    rows = Rows([Stored(array, read)])
    stays = max(array.nbytes, rows.n_bytes) > SMALL and is_mapped(array)
    if stays:
        return rows
    values = np.asarray(array) if read is None else read(np.asarray(array))
    return torch.from_numpy(np.array(values) if is_mapped(values) else np.ascontiguousarray(values))


def joined(parts: Sequence[Samples]) -> Samples:
    """The samples of all parts, one after another."""
    if all(isinstance(part, torch.Tensor) for part in parts):
        return torch.cat(list(parts))  # type: ignore[arg-type]
    of_files = [part if isinstance(part, Rows) else Rows([Stored(part.numpy())]) for part in parts]
    whole = of_files[0]
    for part in of_files[1:]:
        whole = whole.followed_by(part)
    return whole


def in_memory(some: Samples, purpose: str = "this") -> torch.Tensor:
    """The samples as a tensor. Raises DataError where the machine has no memory for them: ``purpose`` needs them."""
    if isinstance(some, torch.Tensor):
        return some
    there = usable_bytes()
    if there is not None and some.n_bytes > there:
        raise DataError(
            f"{purpose} needs all samples in memory: {some.n_bytes / 2**30:.1f} GiB, of {there / 2**30:.1f} GiB that "
            "are free"
        )
    tensor = torch.empty(some.shape, dtype=some.dtype)
    at = 0
    for block in some.blocks():
        tensor[at : at + len(block)] = block
        at += len(block)
    return tensor


def n_bytes(some: Samples) -> int:
    """Of the samples in memory."""
    return some.n_bytes if isinstance(some, Rows) else some.numel() * some.itemsize


def blocks_of(some: Samples) -> Iterator[torch.Tensor]:
    """All samples in their order, a part at a time where they are in a file."""
    return iter([some]) if isinstance(some, torch.Tensor) else some.blocks()


def write_array(file: Path, n_rows: int, parts: Iterable[NDArray[Any]]) -> None:
    """Write rows to a .npy file as they come, which never holds them all. Raises ValueError for rows that differ in
    shape."""
    mapped: Any = None
    at = 0
    for part in parts:
        if mapped is None:
            shape = (n_rows, *part.shape[1:])
            mapped = np.lib.format.open_memmap(file, mode="w+", dtype=part.dtype, shape=shape)
        mapped[at : at + len(part)] = part
        at += len(part)
        mapped.flush()
        forget(mapped)
    assert at == n_rows


def not_finite(x: NDArray[Any]) -> NDArray[np.int64]:
    """The rows of an array [S, F] that hold NaN or infinity, as float32."""
    most, bad = max(1, BLOCK_BYTES // max(1, x[:1].nbytes)), []
    for start in range(0, len(x), most):
        with np.errstate(over="ignore"):  # too large for float32: infinite as a sample
            part = np.asarray(x[start : start + most]).astype(np.float32, copy=False)
        bad.append(start + np.flatnonzero(~np.isfinite(part).all(1)))
        forget(x)
    return np.concatenate(bad) if bad else np.arange(0)


def all_alike(x: NDArray[Any]) -> bool:
    """True if every row of an array [S, F] is the same; it stops reading at the first that is not."""
    most = max(1, BLOCK_BYTES // max(1, x[:1].nbytes))
    return all(bool((x[start : start + most] == x[:1]).all()) for start in range(0, len(x), most))


def is_mapped(array: NDArray[Any]) -> bool:
    """True if the array's numbers are in a file."""
    return _mapping(array) is not None


def forget(array: NDArray[Any]) -> None:
    """Give the pages of the file that were read back; else they count as this process's memory for as long as no
    other wants it."""
    mapping = _mapping(array)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def _mapping(array: Any) -> mmap.mmap | None:
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array
