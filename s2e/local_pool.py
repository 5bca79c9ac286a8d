"""Populations trained on all cores of this machine: a process for each core, one population in each, no service.

A worker is a fresh interpreter (:mod:`s2e.local_worker`) that reads populations as lines of JSON and writes one line
for each epoch, so it does not matter how this process was started: a notebook, a script without a main guard. Its
numbers are those of this process, bit for bit, because they depend on nothing but the population and its plan.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from s2e.words import DataError, EpochMetrics, Population, Problem, SpecError, TrialError, TrialResult, read, to_json

MAX_ATTEMPTS = 3
"""Processes that may die under one population."""
CLOSE_S = 2.0
_ROOT = Path(__file__).resolve().parents[1]
_START = "import sys; sys.path.append(sys.argv[1]); from s2e.local_worker import main; main()"


@dataclass(frozen=True)
class Kept:
    """The folder of a job below a root, where workers keep checkpoints, and models too if asked."""

    root: str
    job_id: str
    models: bool
    data_root: str | None


@dataclass(frozen=True)
class Rows:
    """An epoch of population ``index``: a row for each trial that is still training."""

    index: int
    epochs: tuple[EpochMetrics, ...]


@dataclass(frozen=True)
class Ended:
    """The end of population ``index``."""

    index: int
    results: tuple[TrialResult, ...]


class LocalPool:
    """Worker processes on this machine, for as long as the ``with`` block lasts."""

    def __init__(self, n_workers: int, kept: Kept) -> None:
        self._kept = kept
        self._messages: queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]] = queue.SimpleQueue()
        self._workers = [_Worker(self._messages) for _ in range(n_workers)]

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def train(self, populations: Sequence[Population]) -> Iterator[Rows | Ended]:
        """Every population to its end, in whatever order they get there; the rows of one come in order.

        Restarts a population whose process dies. Raises the training's own error, or TrialError for a population under
        which processes keep dying.
        """
        waiting = list(range(len(populations)))[::-1]
        attempts = [0] * len(populations)
        running: dict[_Worker, int] = {}
        for worker in self._workers:
            self._give(worker, populations, waiting, running)
        while running:
            worker, message = self._messages.get()
            index = running.get(worker)
            if message is None:
                running.pop(worker, None)
                worker = self._replace(worker)
                if index is not None:
                    attempts[index] += 1
                    _require_another(attempts[index])
                    waiting.append(index)
                self._give(worker, populations, waiting, running)
            elif index is not None:
                if "epochs" in message:
                    yield Rows(index, read(tuple[EpochMetrics, ...], message["epochs"]))
                    continue
                del running[worker]
                if "error" in message:
                    raise _error_of(message["error"])
                self._give(worker, populations, waiting, running)
                yield Ended(index, read(tuple[TrialResult, ...], message["results"]))

    def close(self) -> None:
        """End every worker, whatever it does."""
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            worker.wait()
        self._workers = []

    def _give(
        self, worker: _Worker, populations: Sequence[Population], waiting: list[int], running: dict[_Worker, int]
    ) -> None:
        """The next waiting population for an idle worker."""
        if waiting:
            index = running[worker] = waiting.pop()
            worker.send({"population": to_json(populations[index]), "kept": to_json(self._kept)})

    def _replace(self, worker: _Worker) -> _Worker:
        worker.wait()
        self._workers.remove(worker)
        self._workers.append(_Worker(self._messages))
        return self._workers[-1]


class _Worker:
    """One process; its output arrives in the pool's queue, None at its end."""

    def __init__(self, messages: queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]]) -> None:
        # -P: nothing in the current folder stands in for this package. A session of its own: Ctrl-C is the caller's.
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-c", _START, str(_ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(messages,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # its end is in the queue already, or soon
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def end(self) -> None:
        self._process.terminate()

    def wait(self) -> None:
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def _read(self, messages: queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError):  # the half line of a process that was killed
                messages.put((self, json.loads(line)))
        messages.put((self, None))


def _require_another(n_attempts: int) -> None:
    if n_attempts >= MAX_ATTEMPTS:
        raise TrialError(f"its process died {n_attempts} times, perhaps for want of memory", retryable=True)


def _error_of(error: dict[str, Any]) -> Exception:
    """The error that :func:`s2e.local_worker.described` wrote down."""
    match error["kind"]:
        case "SpecError":
            return SpecError(*(Problem(**problem) for problem in error["problems"]))
        case "DataError":
            return DataError(error["message"])
        case "TrialError":
            return TrialError(error["message"], retryable=error["retryable"])
        case kind:
            return TrialError(f"{kind}: {error['message']}")
