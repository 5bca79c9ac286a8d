"""Samples on their way to the device: blocks of them are read by a thread while the last one trains.

Legend: K trials, B batch, M steps of an epoch, S rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import torch

from s2e.data.rows import BLOCK_BYTES, Rows, Samples

AHEAD = 2
"""Blocks that wait, read, for the one that trains."""
Arrange = Callable[[torch.Tensor], torch.Tensor]
"""Samples to the memory layout of a network."""


class Streamed(Rows):
    """Samples that stay where they are, in a file or in the host's memory, and come to the device as they are asked
    for: arranged, and with the same bits as those that live there."""

    def __init__(self, some: Samples, arrange: Arrange, device: torch.device) -> None:
        self._samples, self._arrange, self.device = some, arrange, device
        one = arrange(some.index_select(0, torch.zeros(1, dtype=torch.int64)))
        self.shape, self.dtype = torch.Size((len(some), *one.shape[1:])), one.dtype

    def index_select(self, dim: int, index: torch.Tensor) -> torch.Tensor:
        assert dim == 0
        return _selected(self._asked(index.cpu()).result())

    def split(self, n_rows: int) -> Iterator[torch.Tensor]:
        """All samples in their order, ``n_rows`` at a time; they are read in larger blocks."""
        for block in self.read_by(n_rows):
            yield from block.split(n_rows)

    def read_by(self, n_rows: int) -> Iterator[torch.Tensor]:
        """All samples in their order, in blocks of a multiple of ``n_rows``."""
        many = max(1, BLOCK_BYTES // (n_rows * self._row_bytes))
        return self.ahead(torch.arange(len(self)).split(many * n_rows))

    def ahead(self, indices: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
        """The samples of each index, the next ones read while the last are used."""
        waiting: deque[Future[torch.Tensor]] = deque()
        try:
            for index in indices:
                waiting.append(self._asked(index.cpu()))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()

    def steps_at_once(self, n_rows: int) -> int:
        """Steps of ``n_rows`` samples each that one block holds."""
        return max(1, BLOCK_BYTES // (n_rows * self._row_bytes))

    @property
    def _row_bytes(self) -> int:
        return max(1, self.n_bytes // max(1, len(self)))

    @cached_property
    def _reader(self) -> ThreadPoolExecutor:
        # A thread begins with its maker's treatment of denormal numbers, which training changes; reading must not.
        return ThreadPoolExecutor(1, "s2e-reader", torch.set_flush_denormal, (False,))

    def _asked(self, index: torch.Tensor) -> Future[torch.Tensor]:
        return self._reader.submit(self._read, index)

    def _read(self, index: torch.Tensor) -> torch.Tensor:
        arranged = self._arrange(self._samples.index_select(0, index)).contiguous()
        if self.device.type == "cuda":
            return arranged.pin_memory().to(self.device, non_blocking=True)
        return arranged


@dataclass(frozen=True, eq=False)
class Block:
    """The samples of some steps, on the device."""

    order: torch.Tensor
    """The sample numbers of the steps [M, B] or [M, K, B]."""
    x: torch.Tensor
    """Their samples, step by step."""

    def of(self, index: torch.Tensor) -> torch.Tensor | None:
        """The samples of a step, where ``index`` is one of ``order`` itself; None for any other index."""
        same = index.untyped_storage().data_ptr() == self.order.untyped_storage().data_ptr()
        if not same or index.shape != self.order.shape[1:] or not index.is_contiguous():
            return None
        step, rest = divmod(int(index.storage_offset()) - int(self.order.storage_offset()), index.numel())
        if rest or not 0 <= step < len(self.order):
            return None
        n_rows = len(self.x) // len(self.order)
        return self.x[step * n_rows : (step + 1) * n_rows]


def read_ahead(
    some: Samples, order: torch.Tensor, rows: Callable[[torch.Tensor], torch.Tensor]
) -> Iterator[tuple[torch.Tensor, Block | None]]:
    """The steps of ``order`` [M, ...] in parts, each with its samples, where those are streamed; else all of them, and
    no samples. ``rows``: the numbers of the samples behind some steps [M, ...]."""
    if not isinstance(some, Streamed):
        yield order, None
        return
    parts = order.split(some.steps_at_once(rows(order[:1]).numel()))
    for part, x in zip(parts, some.ahead(rows(part).flatten() for part in parts), strict=True):
        yield part, Block(part, _selected(x))


def _selected(x: torch.Tensor) -> torch.Tensor:
    """Samples with the strides that ``index_select`` gives those on the device: where there is one channel, its stride
    may be any, and tells a convolution which kernel to take."""
    return x.flatten().view(x.shape)
