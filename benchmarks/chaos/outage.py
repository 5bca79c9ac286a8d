"""Ten minutes without the database, then without a dispatcher, then without the api, and what each costs.

    python -m benchmarks.chaos.outage [--seconds 600] [--epochs 3000] [--nice 19]

The place is that of :mod:`benchmarks.chaos`: api, two dispatchers, two Ray nodes, PostgreSQL. One job trains; an outage
begins when a training has just begun. A witness in each training process counts the epochs that it trains, so that one
trained twice is seen even where the database would hide it. Exit status 1 unless no attempt was lost, every epoch was
trained exactly once and is in the database, and theta, objectives and report are those of the undisturbed run, which
this program trains beside. ``--nice`` is for the trainings, on a machine that is shared.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.chaos import check
from benchmarks.chaos.place import Place
from benchmarks.measure import machine

JOB = check.JOB | {
    "data": {"n_train": 900},
    "train": {"batch_size": 64, "network": "mlp_tabular", "network_params": {"hidden": [512, 512]}},
    "search": {"n_rounds": 1, "n_trials": 2},
}
PATIENCE_S = 3600.0
JUST_BEGUN = 0.1
"""A training that has done less of its epochs."""
Epoch = tuple[str, int, int, int, int]
"""Job, round, k, attempt, epoch."""


@contextmanager
def no_database(place: Place) -> Iterator[None]:
    """PostgreSQL stopped, as by an administrator, and started again."""
    place.postgres.stop()
    try:
        yield
    finally:
        place.postgres.start()


@dataclass(frozen=True)
class Outage:
    name: str
    during: Callable[[Place], AbstractContextManager[None]]


OUTAGES = (
    Outage("database stopped", no_database),
    Outage("both dispatchers killed and kept down", lambda place: place.kept_down("first", "second")),
    Outage("api killed and kept down", lambda place: place.kept_down("api")),
)


class Run:
    """One job through all outages."""

    def __init__(self, place: Place, job: dict[str, Any]) -> None:
        self.place, self.job = place, job
        self.job_id = place.client.submit(job).id
        self.violations: list[str] = []
        self._met: set[tuple[str, int]] = set()

    def trained(self) -> Counter[Epoch]:
        """Times that each epoch was trained, by the account of the training processes."""
        lines = (self.place.folder / "trained").read_text().splitlines()
        told = (line.split() for line in lines)
        return Counter((job, int(m), int(k), int(attempt), int(epoch)) for job, m, k, attempt, epoch in told)

    def n_written(self) -> int:
        """Epochs in the database."""
        return sum(check.epochs_of_attempts(self.place.database).values())

    def wait_for_a_beginning(self) -> bool:
        """Wait until a training that no outage has met yet has just begun; False if the job ends first."""
        few = JUST_BEGUN * self.job["train"]["n_epochs"]
        while check.state(self.place.database, self.job_id) not in ("completed", "failed"):
            done = check.epochs_of_attempts(self.place.database)
            if any(n < few and key not in self._met for key, n in done.items()):
                self._met |= set(done)
                return True
            time.sleep(0.2)
        return False

    def through(self, outage: Outage, seconds: float) -> dict[str, Any]:
        """One outage; what was trained meanwhile, and the seconds until the service was whole again."""
        before, n_before = self.trained(), self.n_written()
        with outage.during(self.place):
            time.sleep(seconds)
            meanwhile = self.trained()
        over_s = time.monotonic()
        ready_s = self._ready_after(over_s)
        self._wait(lambda: self.n_written() >= meanwhile.total())
        caught_up_s = time.monotonic() - over_s
        return {
            "outage": outage.name,
            "seconds": seconds,
            "epochs_written_before": n_before,
            "epochs_trained_meanwhile": meanwhile.total() - before.total(),
            "trainings_that_ended_meanwhile": self._n_ended(meanwhile) - self._n_ended(before),
            "ready_s": round(ready_s, 2),
            "all_epochs_written_s": round(caught_up_s, 2),
        }

    def check(self, calm: Any) -> None:
        """Compare the job, once it has ended, with the undisturbed one."""
        self._wait(lambda: check.state(self.place.database, self.job_id) in ("completed", "failed", "cancelled"))
        self.violations += check.violations(self.place.client, self.place.database, self.job_id, calm)
        trained, written = self.trained(), check.epochs_of_attempts(self.place.database)
        twice = [epoch for epoch, n in trained.items() if n > 1]
        again = sorted({attempt for _, attempt in written if attempt > 1})
        if twice or again:
            self.violations.append(f"{len(twice)} epochs trained twice ({twice[:3]}), attempts {again}")
        if len(trained) != sum(written.values()):
            self.violations.append(f"{len(trained)} epochs were trained, {sum(written.values())} are written")

    def _n_ended(self, trained: Counter[Epoch]) -> int:
        return sum(epoch == self.job["train"]["n_epochs"] - 1 for *_, epoch in trained)

    def _ready_after(self, since_s: float) -> float:
        def ready() -> bool:
            with suppress(httpx.HTTPError):
                return httpx.get(f"http://127.0.0.1:{self.place.port}/readyz", timeout=10).is_success
            return False

        self._wait(ready)
        return time.monotonic() - since_s

    def _wait(self, done: Callable[[], bool]) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > until_s:
                raise TimeoutError(f"waited for {PATIENCE_S:g} s")
            time.sleep(0.1)


def keep_low(place: Place, nice: int) -> None:
    """Let the trainings of the service yield to everybody else."""

    def watch() -> None:
        while True:
            for process in place.trainers("workers.trainer_process"):
                with suppress(psutil.Error):
                    if process.nice() < nice:
                        process.nice(nice)
            time.sleep(2.0)

    if nice:
        threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="of each outage")
    parser.add_argument("--epochs", type=int, default=3000, help="of each training")
    parser.add_argument("--nice", type=int, default=0, help="of the trainings")
    args = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):  # whatever ends it, nothing is left behind
        signal.signal(number, lambda *_: sys.exit(2))
    job = JOB | {"train": JOB["train"] | {"n_epochs": args.epochs}}
    place, violations = Place(1.0, Path(__file__).parent / "witness"), ["it did not come to its end"]
    try:
        with get_context("spawn").Pool(1, os.nice, (args.nice,)) as beside:
            calm = beside.apply_async(check.undisturbed, (job,))
            keep_low(place, args.nice)
            while place.client.not_ready():
                time.sleep(0.5)
            run, rows = Run(place, job), []
            for outage in OUTAGES:
                if not run.wait_for_a_beginning():
                    run.violations.append(f"the job ended before: {outage.name}")
                    break
                rows.append(run.through(outage, args.seconds))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            run.check(calm.get())
            told = {"benchmark": "outage", "machine": machine(), "epochs": run.trained().total(), "outages": rows}
        violations = run.violations + [f"still running: {line}" for line in place.stop()]
        print(json.dumps(told | {"violations": violations}, indent=1))
    finally:
        place.leave(keep_log=bool(violations))
    sys.exit(bool(violations))


if __name__ == "__main__":
    main()
