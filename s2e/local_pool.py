"""Populations trained on all cores of this machine: a process for each core, one population in each, no service.

A worker is a fresh interpreter (:mod:`s2e.local_worker`) that reads populations as lines of JSON and writes one line
for each epoch, so it does not matter how this process was started: a notebook, a script without a main guard. Its
numbers are those of this process, bit for bit, because they depend on nothing but the population and its plan. This
process trains beside its workers: it has begun long before they have imported torch.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
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


Trainer = Callable[[Sequence[Population]], Iterator[Rows | Ended]]
"""Trains the populations of a round."""
Message = dict[str, Any]


class LocalPool:
    """Worker processes on this machine, for as long as the ``with`` block lasts. ``here`` trains in this process too,
    so that one worker fewer will do."""

    def __init__(self, n_workers: int, kept: Kept, here: Trainer | None = None) -> None:
        self._n_workers, self._kept, self._here = n_workers, kept, here
        self._messages: queue.SimpleQueue[tuple[_Worker, _Task | None, Message | None]] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._n_stillborn = 0
        self._start_missing()

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def train(self, populations: Sequence[Population]) -> Iterator[Rows | Ended]:
        """Every population to its end, in whatever order they get there; the rows of one come in order.

        Restarts a population whose process dies. Raises the training's own error, or TrialError for a population under
        which processes keep dying. Whoever stops early stops the trainings under way.
        """
        tasks = _Tasks(populations, self._kept)
        self._start_missing()
        try:
            for worker in self._workers:
                worker.join(tasks)
            yield from self._steps(tasks)
        finally:
            tasks.stop()
            self._end([worker for worker in self._workers if worker.is_busy()])

    def close(self) -> None:
        """End every worker, whatever it does."""
        self._end(self._workers)

    def _end(self, workers: Sequence[_Worker]) -> None:
        for worker in workers:
            worker.end()
        for worker in workers:
            worker.wait()
        self._workers = [worker for worker in self._workers if worker not in workers]

    def _start_missing(self) -> None:
        if self._n_stillborn < MAX_ATTEMPTS:  # else those that live go on
            self._workers += [_Worker(self._messages) for _ in range(self._n_workers - len(self._workers))]

    def _steps(self, tasks: _Tasks) -> Iterator[Rows | Ended]:
        mine, n_left = self._trained_here(tasks), len(tasks)
        while n_left:
            step = next(mine, None)
            if step is None:  # a process that dies leaves something to do
                mine = self._trained_here(tasks)
            arrived = [] if step is None else [step]
            for worker, task, message in self._arrived(wait=step is None):
                if message is None:
                    self._begin_anew(worker, tasks)
                elif task is not None and task.of is tasks:
                    arrived.append(_step(task.index, message))
            n_left -= sum(isinstance(step, Ended) for step in arrived)
            yield from arrived

    def _trained_here(self, tasks: _Tasks) -> Iterator[Rows | Ended]:
        while self._here is not None and (task := tasks.take()) is not None:
            for step in self._here((task.population,)):
                yield replace(step, index=task.index)

    def _arrived(self, *, wait: bool) -> Iterator[tuple[_Worker, _Task | None, Message | None]]:
        """Messages of workers: those that are there, or else the next one if there is nothing to do meanwhile."""
        with suppress(queue.Empty):
            yield self._messages.get(block=wait)
            while True:
                yield self._messages.get_nowait()

    def _begin_anew(self, dead: _Worker, tasks: _Tasks) -> None:
        """A new process for one that died, and its population once more."""
        if dead not in self._workers:  # it was told to end
            return
        dead.wait()
        self._workers.remove(dead)
        if not dead.is_ready:
            self._n_stillborn += 1
        self._start_missing()
        if self._here is None and not self._workers:
            _require_another(self._n_stillborn)
        if dead.task is not None and dead.task.of is tasks:
            tasks.give_back(dead.task)
        for worker in self._workers:
            worker.join(tasks)


@dataclass(frozen=True)
class _Task:
    """Population ``index`` of a call of ``train``."""

    of: _Tasks
    index: int
    population: Population


class _Tasks:
    """The populations of a call of ``train`` that nobody trains yet; safe for all threads."""

    def __init__(self, populations: Sequence[Population], kept: Kept) -> None:
        self.kept = kept
        self._waiting = [_Task(self, index, population) for index, population in enumerate(populations)][::-1]
        self._attempts = [0] * len(populations)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._attempts)

    def take(self) -> _Task | None:
        """The next task, None when there are no more."""
        with self._lock:
            return self._waiting.pop() if self._waiting else None

    def give_back(self, task: _Task) -> None:
        """After a process died under it. Raises TrialError where that happens again and again."""
        self._attempts[task.index] += 1
        _require_another(self._attempts[task.index])
        with self._lock:
            self._waiting.append(task)

    def stop(self) -> None:
        """Nobody takes any more."""
        with self._lock:
            self._waiting.clear()


class _Worker:
    """One process; its output arrives in the pool's queue with the task it is about, None at its end.

    It takes tasks from the time on when it says that it is ready, which is when it has imported torch; others may have
    trained all by then. The thread that reads the output gives it the next one, so it waits for nobody who trains.
    """

    def __init__(self, messages: queue.SimpleQueue[tuple[_Worker, _Task | None, Message | None]]) -> None:
        self.task: _Task | None = None
        self.is_ready = False
        self._tasks: _Tasks | None = None
        self._lock = threading.Lock()
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

    def join(self, tasks: _Tasks) -> None:
        """Work on these tasks from now on."""
        with self._lock:
            self._tasks = tasks
            if self.is_ready and self.task is None:
                self._next()

    def is_busy(self) -> bool:
        """True if it trains; asked when there are no more tasks, so that it stays true or false."""
        with self._lock:
            return self.task is not None

    def _next(self) -> None:
        self.task = None if self._tasks is None else self._tasks.take()
        if self.task is not None:
            self._send({"population": to_json(self.task.population), "kept": to_json(self.task.of.kept)})

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

    def _send(self, message: Message) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # its end is in the queue already, or soon
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def _read(self, messages: queue.SimpleQueue[tuple[_Worker, _Task | None, Message | None]]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError):  # the half line of a process that was killed
                message, task = json.loads(line), self.task
                if "epochs" not in message:
                    with self._lock:
                        self.is_ready = True
                        self._next()
                if task is not None:
                    messages.put((self, task, message))
        messages.put((self, None, None))


def _step(index: int, message: Message) -> Rows | Ended:
    """A worker's message. Raises the error in it."""
    if "error" in message:
        raise _error_of(message["error"])
    if "epochs" in message:
        return Rows(index, read(tuple[EpochMetrics, ...], message["epochs"]))
    return Ended(index, read(tuple[TrialResult, ...], message["results"]))


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
