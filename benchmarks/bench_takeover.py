"""Seconds from the kill of the leading dispatcher to the next epoch in the database, where a second one stands by on
another machine: neither sees the other's process, so a lease on one durable PostgreSQL has to run out.

    python -m benchmarks.bench_takeover [--kills 20] [--lease 4]

Trainings are simulated, ten epochs a second, and end with their dispatcher: this is the cost of the lease, the look for
it, and the first steps of who takes over, without that of Ray's trainers. ``false`` counts leases that changed hands
though nobody was killed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import structlog
from sqlalchemy import func, select

from benchmarks.measure import machine
from benchmarks.servers import ROOT, postgres
from benchmarks.universes import by_formula
from s2e.door import parse_job
from service.dispatch import neighbours
from service.dispatch.dispatcher import Dispatcher
from service.settings import Settings
from service.store import repository
from service.store.engine import Database, migrate
from service.store.models import DispatcherRow, Epoch, Job
from workers.backend import Event
from workers.simulated import SimulatedBackend

EPOCH_S = 0.1
LOOK_S = 0.005
JOB = {"train": {"n_epochs": 500}, "search": {"n_rounds": 1, "n_trials": 2}, "report": {"n_seeds": 2}}


class Paced(SimulatedBackend):
    """An epoch takes its time."""

    def poll(self, timeout_s: float = 0.0) -> list[Event]:
        time.sleep(min(timeout_s, EPOCH_S))
        return super().poll(timeout_s)


def serve(url: str, lease_s: float) -> None:
    """A dispatcher that takes itself for one of a machine of its own, until it is killed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    name = f"{os.getpid():08x}"[-8:]
    neighbours.here = lambda: name  # type: ignore[assignment]
    Dispatcher(Database(url), Paced(by_formula, n_workers=2), lease_s=lease_s).run(threading.Event())


@contextmanager
def dispatcher(url: str, lease_s: float) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "benchmarks.bench_takeover", "--serve", url, "--lease", str(lease_s)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=Path.cwd())
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Seen:
    """One job, as its database has it."""

    def __init__(self, database: Database, job_id: str) -> None:
        self._database, self._job_id = database, job_id

    def leader(self) -> int | None:
        """Process id of the dispatcher that has the lease."""
        with self._database.read() as session:
            owner = session.get_one(Job, self._job_id).lease_owner
        return None if owner is None else int(owner.rsplit(":", 2)[1])

    def stand_by(self, pids: Collection[int]) -> None:
        """Wait until all of these work."""
        while True:
            with self._database.read() as session:
                names = session.scalars(select(DispatcherRow.name).where(DispatcherRow.trouble == "")).all()
            if {int(name.rsplit(":", 2)[1]) for name in names} >= set(pids):
                return
            time.sleep(LOOK_S)

    def n_epochs(self) -> int:
        with self._database.read() as session:
            return session.scalar(select(func.count()).select_from(Epoch)) or 0

    def more_than(self, n: int) -> None:
        while self.n_epochs() <= n:
            time.sleep(LOOK_S)


def measure(url: str, n_kills: int, lease_s: float) -> dict[str, Any]:
    """Kills of whoever leads, at random moments of its heartbeat."""
    rng, took_s, n_false = random.Random(1), [], 0
    database = Database(url)
    with ExitStack() as stack:
        stack.callback(database.close)
        with database.write() as session:
            seen = Seen(database, repository.create_job(session, parse_job(JOB))[0])
        there = {one.pid: one for one in (stack.enter_context(dispatcher(url, lease_s)) for _ in range(2))}
        seen.more_than(0)
        for _ in range(n_kills):
            leads = seen.leader()
            seen.stand_by(there)
            time.sleep(1 + 3 * rng.random())
            n_false += seen.leader() != leads
            leads = seen.leader()
            assert leads is not None
            began_s = time.monotonic()
            os.kill(leads, signal.SIGKILL)
            there.pop(leads).wait()
            n = seen.n_epochs()
            seen.more_than(n)
            took_s.append(time.monotonic() - began_s)
            print(f"{took_s[-1]:.2f}", file=sys.stderr, flush=True)
            new = stack.enter_context(dispatcher(url, lease_s))
            there[new.pid] = new
    return {
        "kills": n_kills,
        "false": n_false,
        "median_s": round(median(took_s), 2),
        "p95_s": round(quantiles(took_s, n=20)[-1], 2),
        "max_s": round(max(took_s), 2),
        "min_s": round(min(took_s), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--lease", type=float, default=Settings.model_fields["lease_s"].default)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.lease)
        return
    with postgres() as (url, _):
        migrate(url)
        told = measure(url, args.kills, args.lease)
    print(json.dumps({"benchmark": "takeover", "machine": machine(), "lease_s": args.lease, **told}, indent=1))


if __name__ == "__main__":
    main()
