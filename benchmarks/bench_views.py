"""The cost of every list and view of the API with a big job (10,000 trials x 200 epochs) and with 1,000 jobs, and the
memory of an api process that five readers ask for all of them at once.

    python -m benchmarks.bench_views [--trials 10000] [--epochs 200] [--jobs 1000] [--postgres] [--tiny]
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import math
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text, update

from benchmarks.load import Connection
from benchmarks.measure import machine
from benchmarks.servers import Cpu, api, postgres
from s2e.door import parse_job
from s2e.jobs import loop
from s2e.words import EpochMetrics, JobSpec, RoundRecord, TrialResult
from service.store import leases, repository, rounds
from service.store.changes import utc_now
from service.store.engine import Database, migrate
from service.store.many import insert_many
from service.store.models import Base, Epoch, Trial
from service.store.populations import epoch_row

OWNER = "bench:1"
PER_ROUND = 100
_RUN = "UPDATE jobs SET state = 'running', n_trials_done = :n WHERE id = :id"
_EPOCHS = Base.metadata.tables[Epoch.__tablename__]


def big_job(database: Database, n_trials: int, n_epochs: int) -> str:
    """A search under way, whose trials have all succeeded but those of the last round."""
    n_rounds = -(-n_trials // PER_ROUND) + 1
    search = {"searcher": "random", "n_rounds": n_rounds, "n_trials": PER_ROUND}
    spec = parse_job({"train": {"n_epochs": n_epochs}, "search": search})
    with database.write() as session:
        job_id, _ = repository.create_job(session, spec)
        leases.acquire_lease(session, job_id, OWNER, 86_400)
        repository.check_job_first(session, job_id, OWNER)
    history: list[RoundRecord] = []
    for m in range(n_rounds):
        history.append(_ended_round(database, job_id, spec, history, n_epochs, ended=m + 1 < n_rounds))
    with database.write() as session:
        if database.engine.dialect.name == "sqlite":
            session.execute(text("ANALYZE"))
        session.execute(text(_RUN), {"n": n_trials, "id": job_id})
    return job_id


def _ended_round(
    database: Database, job_id: str, spec: JobSpec, history: list[RoundRecord], n_epochs: int, *, ended: bool
) -> RoundRecord:
    asked = loop.next_round(spec, history)
    assert asked is not None
    results = tuple(
        TrialResult(asked.index, trial.k, objective=_error(asked.index, trial.k), validation_accuracy=0.8)
        for trial in asked.trials
    )
    with database.write() as session:
        rounds.insert_round(session, job_id, OWNER, spec, asked)
        if ended:
            _end_trials(session, asked.index, results, n_epochs)
    return RoundRecord(asked, results)


def _end_trials(session: Any, m: int, results: tuple[TrialResult, ...], n_epochs: int) -> None:
    ids = {k: i for i, k in session.execute(text("SELECT id, k FROM trials WHERE round = :m"), {"m": m})}
    for result in results:
        values = {"objective": result.objective, "validation_accuracy": 1 - (result.objective or 0)}
        session.execute(
            update(Trial)
            .where(Trial.id == ids[result.k])
            .values(state="succeeded", attempt=1, started_at=utc_now(), finished_at=utc_now(), **values)
        )
        rows = [epoch_row(ids[result.k], 1, _metrics(result, t, n_epochs)) for t in range(n_epochs)]
        insert_many(session.connection(), _EPOCHS, rows)


def _error(m: int, k: int) -> float:
    return 0.2 + 0.1 * math.sin(7.0 * m + 3.0 * k)


def _metrics(result: TrialResult, t: int, n_epochs: int) -> EpochMetrics:
    accuracy = (1 - (result.objective or 0)) * (t + 1) / n_epochs
    return EpochMetrics(
        k=result.k, epoch=t, keep_rate=0.8, kept=0.8, loss=0.4, label_precision=0.9, label_recall=0.9,
        train_accuracy=accuracy, validation_accuracy=accuracy, test_accuracy=accuracy - 0.01,
        networks=((accuracy, accuracy, accuracy), (accuracy, accuracy, accuracy)),
    )  # fmt: skip


def views(job_id: str, trial_id: str, since: int) -> dict[str, str]:
    """Every list and view that pages and clients ask for."""
    job = f"/jobs/{job_id}"
    return {
        "jobs, first page of 50": "/jobs?limit=50",
        "jobs, page of 200": "/jobs?limit=200",
        "job": job,
        "rounds, page of 200": f"{job}/rounds?limit=200",
        "trials, page of 200": f"{job}/trials?limit=200",
        "trials, last round": f"{job}/trials?round=99",
        "trials, by objective": f"{job}/trials?limit=200&sort=objective",
        "trials, three fields": f"{job}/trials?limit=200&fields=round,k,objective",
        "trials, all as NDJSON": f"{job}/trials?format=ndjson&fields=round,k,state,objective",
        "schedules, 60 points": f"{job}/schedules?max_points=60",
        "schedules, 4 digits": f"{job}/schedules?max_points=60&digits=4",
        "schedules, news of a round": f"{job}/schedules?max_points=60&digits=4&since={since}",
        "schedule": f"{job}/schedule",
        "curves": f"{job}/curves?metric=test_accuracy",
        "trial": f"/trials/{trial_id}",
        "epochs of a trial": f"/trials/{trial_id}/epochs",
        "epochs of a trial as CSV": f"/trials/{trial_id}/epochs?format=csv",
    }


async def cost(port: int, pid: int, path: str) -> dict[str, Any]:
    """Of the first answer and of a second one."""
    connection, times = Connection(port), {}
    for which in ("first", "again"):
        cpu, began_s = Cpu(pid), time.perf_counter()
        status, body, _ = await connection.request("GET", path)
        times[which] = {"s": round(time.perf_counter() - began_s, 4), "cpu_s": round(cpu.used_s(), 3)}
        if status != 200:
            raise RuntimeError(f"{path} answered {status}")
    connection.close()
    return {**times, "bytes": len(body), "gzip_bytes": len(gzip.compress(body, 4))}


async def five_readers(port: int, pid: int, paths: list[str], seconds: float) -> dict[str, float]:
    """Memory of the server before and while five readers ask for everything."""
    server, until_s, most = psutil.Process(pid), time.monotonic() + seconds, 0
    before = server.memory_info().rss

    async def read(first: int) -> None:
        connection = Connection(port)
        for i in range(10_000):
            if time.monotonic() > until_s and i >= len(paths):
                break
            await connection.request("GET", paths[(first + i) % len(paths)], headers="Accept-Encoding: gzip\r\n")
        connection.close()

    async def watch() -> None:
        nonlocal most
        while not all(reader.done() for reader in readers):
            most = max(most, server.memory_info().rss)
            await asyncio.sleep(0.1)

    readers = [asyncio.create_task(read(3 * i)) for i in range(5)]
    await asyncio.gather(watch(), *readers)
    return {"before_mb": round(before / 2**20, 1), "most_mb": round(most / 2**20, 1)}


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark as one JSON object."""
    n_trials, n_epochs, n_jobs = (100, 5, 3) if args.tiny else (args.trials, args.epochs, args.jobs)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        url = stack.enter_context(postgres())[0] if args.postgres else f"sqlite:///{folder}/s2e.db"
        if args.database:
            url = f"sqlite:///{args.database.resolve()}"
        migrate(url)
        database, seeded_s = Database(url), 0.0
        with database.read() as session:
            there = session.execute(text("SELECT count(*) FROM trials")).scalar_one()
        if not there:
            seeded_s = _seed(database, n_trials, n_epochs, n_jobs)
        with database.read() as session:
            trial_id, job_id = session.execute(text("SELECT id, job_id FROM trials ORDER BY id LIMIT 1")).one()
            since = session.execute(text("SELECT max(id) FROM job_events WHERE kind = 'round'")).scalar_one() - 1
        size = None if args.postgres else Path(database.engine.url.database or "").stat().st_size
        database.close()
        port, pid = stack.enter_context(api(url, Path(folder)))
        asked = views(job_id, trial_id, since)
        costs = {name: asyncio.run(cost(port, pid, path)) for name, path in asked.items()}
        memory = asyncio.run(five_readers(port, pid, list(asked.values()), 2 if args.tiny else 20))
    return {
        "benchmark": "views",
        "machine": machine(),
        "database": "postgresql" if args.postgres else "sqlite",
        "trials": n_trials,
        "epochs": n_epochs,
        "jobs": n_jobs,
        "database_mb": None if size is None else round(size / 2**20, 1),
        "seeded_s": round(seeded_s, 1),
        "views": costs,
        "memory_of_the_server": memory,
    }


def _seed(database: Database, n_trials: int, n_epochs: int, n_jobs: int) -> float:
    """The big job and the others; the seconds it took."""
    began_s = time.perf_counter()
    for _ in range(n_jobs):
        with database.write() as session:
            repository.create_job(session, parse_job({}))
    big_job(database, n_trials, n_epochs)
    return time.perf_counter() - began_s


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trials", type=int, default=10_000)
    options.add_argument("--epochs", type=int, default=200)
    options.add_argument("--jobs", type=int, default=1_000)
    options.add_argument("--postgres", action="store_true", help="on a PostgreSQL of its own instead of SQLite")
    options.add_argument(
        "--database", type=Path, help="SQLite file to keep the rows in: a second run need not write them"
    )
    options.add_argument("--tiny", action="store_true", help="a small job: checks the path, not the cost")
    return options


if __name__ == "__main__":
    print(json.dumps(measure(parser().parse_args()), indent=2))
