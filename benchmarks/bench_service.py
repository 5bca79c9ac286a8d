"""The write path of the service: trials a second, latencies, and trials per CPU second of server and database.

A trial is what an external trainer does over HTTP: claim, ten reports of an epoch, finish. Real api processes on SQLite
and on a durable PostgreSQL, a raw asyncio load generator, and beside them Optuna's storages in the same run, used as
Optuna's users do: from processes of their own (``ask``, ten ``report``, ``tell``). Wall time means little on a machine
that is shared; trials per CPU second is what is compared. The load generator's own CPU time is shown apart; that of
Optuna's processes is in its figure, because there the client does the storage's work.

    python -m benchmarks.bench_service [--clients 1 16 64] [--trials 200] [--claims 100000] [--tiny]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.load import N_EPOCHS, Tally, run_claims, run_trials
from benchmarks.measure import machine, percentiles
from benchmarks.servers import Cpu, api, dispatcher, postgres
from s2e.door import parse_job
from s2e.words import EpochMetrics, JobSpec
from service.dispatch.orchestrator import Orchestrator
from service.store import leases, populations, repository, rounds
from service.store.engine import Database, migrate
from workers.backend import EpochReported, PopulationKey, PopulationStarted
from workers.simulated import SimulatedBackend

OWNER = "bench:1"
MOST_OF_ROUND = 1_000


def external_job(n_trials: int, n_epochs: int = N_EPOCHS) -> JobSpec:
    """One round of ``n_trials`` trials for external trainers."""
    search = {"searcher": "random", "n_rounds": 1, "n_trials": n_trials}
    return parse_job({"trials": "external", "train": {"n_epochs": n_epochs}, "search": search})


def open_job(database: Database, spec: JobSpec) -> str:
    """A job whose first round is written, as a dispatcher leaves it."""
    orchestrator = Orchestrator(database, SimulatedBackend(lambda _: None), OWNER)  # type: ignore[arg-type,return-value]
    with database.write() as session:
        job_id, _ = repository.create_job(session, spec)
        leases.acquire_lease(session, job_id, OWNER, 86_400)
    orchestrator.take_over(job_id)
    orchestrator.advance(job_id)
    return job_id


@contextmanager
def service(url: str, n_apis: int) -> Iterator[tuple[Database, list[int], list[int]]]:
    """A migrated database, and ports and process ids of api processes on it."""
    migrate(url)
    database = Database(url)
    try:
        with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
            apis = [stack.enter_context(api(url, Path(home))) for _ in range(n_apis)]
            yield database, [port for port, _ in apis], [pid for _, pid in apis]
    finally:
        database.close()


def trials(url: str, database_pid: int | None, n_apis: int, clients: list[int], n_trials: int) -> list[dict[str, Any]]:
    """A row for each number of clients."""
    with service(url, n_apis) as (database, ports, pids):
        run_trials(ports, open_job(database, external_job(8)), 2, 8)  # imports, caches, prepared statements
        return [
            _row(database, ports, pids, database_pid, n, max(20, n_trials if n > 1 else n_trials // 4)) for n in clients
        ]


def _row(
    database: Database, ports: list[int], pids: list[int], database_pid: int | None, n_clients: int, n_trials: int
) -> dict[str, Any]:
    job_id = open_job(database, external_job(n_trials))
    server, mine_s = Cpu(*pids), time.process_time()
    stored = None if database_pid is None else Cpu(database_pid)
    tally, took_s = run_trials(ports, job_id, n_clients, n_trials)
    server_s, database_s = server.used_s(), 0.0 if stored is None else stored.used_s()
    return {
        "clients": n_clients,
        "trials": tally.n_trials,
        "trials_per_s": round(tally.n_trials / took_s, 1),
        "trials_per_cpu_s": round(tally.n_trials / (server_s + database_s), 1),
        "server_cpu_s": round(server_s, 2),
        "database_cpu_s": round(database_s, 2),
        "generator_cpu_s": round(time.process_time() - mine_s, 2),
        "seconds": {kind: percentiles(values) for kind, values in tally.seconds.items()},
        **_seen(tally),
    }


def _seen(tally: Tally) -> dict[str, Any]:
    return {
        "statuses": {str(status): n for status, n in sorted(tally.statuses.items())},
        "doubled_leases": len(tally.leased) - len(set(tally.leased)),
    }


def led_job(database: Database, spec: JobSpec) -> str:
    """A job whose first round a dispatcher process has written."""
    with database.write() as session:
        job_id, _ = repository.create_job(session, spec)
    until_s = time.monotonic() + 300
    while time.monotonic() < until_s:
        with database.read() as session:
            if rounds.job_status(session, job_id).n_rounds:
                return job_id
        time.sleep(0.05)
    raise RuntimeError(f"no dispatcher has written the round of job {job_id}")


def claims(url: str, database_pid: int, n_claims: int) -> dict[str, Any]:
    """Two api and two dispatcher processes on one PostgreSQL: every trial is leased once."""
    with service(url, 2) as (database, ports, pids), dispatcher(url) as first, dispatcher(url) as second:
        cpu, took_s, asked, left = Cpu(*pids, first, second, database_pid), 0.0, 0, n_claims
        tally = Tally()
        while left:
            n = min(left, MOST_OF_ROUND)
            job_id = led_job(database, external_job(n, 1))
            of_job, part_s = run_claims(ports, job_id, 16, 5)
            took_s, left, asked = took_s + part_s, left - n, asked + n
            tally.leased += of_job.leased
            tally.statuses += of_job.statuses
        return {
            "asked": asked,
            "leased": len(tally.leased),
            "dispatchers_alive": sum(psutil.pid_exists(pid) for pid in (first, second)),
            "claims_per_s": round(asked / took_s),
            "cpu_s": round(cpu.used_s(), 1),
            **_seen(tally),
        }


def epoch_rows(url: str, database_pid: int | None, n_polls: int) -> dict[str, Any]:
    """Epochs taken in as a dispatcher does: all events of a poll in one transaction, eight trials of 25 epochs each."""
    migrate(url)
    database, ks, n_epochs = Database(url), range(8), 25
    job_id = open_job(database, external_job(8, n_polls * n_epochs))
    with database.write() as session:
        keys = populations.lease_populations(session, job_id, OWNER, 0, ks)
    record(database, job_id, [PopulationStarted(key, "bench") for key in keys])
    polls = [_poll(keys, range(i * n_epochs, (i + 1) * n_epochs)) for i in range(n_polls)]
    stored = None if database_pid is None else Cpu(database_pid)
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    for events in polls:
        record(database, job_id, events)
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    database.close()
    n_rows, database_s = n_polls * len(ks) * n_epochs, 0.0 if stored is None else stored.used_s()
    return {
        "rows": n_rows,
        "rows_per_s": round(n_rows / took_s),
        "rows_per_cpu_s": round(n_rows / (cpu_s + database_s)),
        "database_cpu_s": round(database_s, 2),
    }


def _poll(keys: list[PopulationKey], epochs: range) -> list[EpochReported]:
    one = EpochMetrics(k=0, epoch=0, keep_rate=0.8, loss=0.4, kept=0.8, validation_accuracy=0.9, test_accuracy=0.89)
    return [EpochReported(key, (replace(one, k=key.group, epoch=t),)) for t in epochs for key in keys]


def record(database: Database, job_id: str, events: list[Any]) -> None:
    with database.write() as session:
        populations.record_events(session, job_id, OWNER, events, 3)


def optuna_trials(url: str, database_pid: int | None, n_processes: int, n_trials: int) -> dict[str, Any]:
    """The same trials through Optuna's storage, from processes that share a study."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = f"bench-{n_processes}"
    optuna.create_study(storage=url, study_name=study)
    stored = None if database_pid is None else Cpu(database_pid)
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(n_processes + 1), context.Queue()
    share = [n_trials // n_processes + (i < n_trials % n_processes) for i in range(n_processes)]
    workers = [context.Process(target=_optuna_worker, args=(url, study, n, ready, results)) for n in share]
    for worker in workers:
        worker.start()
    ready.wait()
    began_s = time.perf_counter()
    seen = [results.get() for _ in workers]
    took_s = time.perf_counter() - began_s
    for worker in workers:
        worker.join()
    cpu_s, database_s = sum(cpu_s for cpu_s, _ in seen), 0.0 if stored is None else stored.used_s()
    n_failed = sum(failed for _, failed in seen)
    return {
        "processes": n_processes,
        "trials": n_trials - n_failed,
        "failed": n_failed,
        "trials_per_s": round((n_trials - n_failed) / took_s, 2),
        "trials_per_cpu_s": round((n_trials - n_failed) / (cpu_s + database_s), 2),
        "client_cpu_s": round(cpu_s, 2),
        "database_cpu_s": round(database_s, 2),
    }


def _optuna_worker(url: str, name: str, n_trials: int, ready: Any, results: Any) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(storage=url, study_name=name, sampler=optuna.samplers.RandomSampler(seed=0))
    ready.wait()
    began_s, failed = time.process_time(), 0
    for _ in range(n_trials):
        try:
            trial = study.ask()
            trial.suggest_float("tau", 0, 1)
            for step in range(N_EPOCHS):
                trial.report(0.9, step)
            study.tell(trial, 0.1)
        except Exception:  # a lock error of its storage: the trial is lost, and counted
            failed += 1
    results.put((time.process_time() - began_s, failed))


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark as one JSON object; each part goes to standard error as soon as it is there."""
    clients, n, n_optuna = ([2], 20, 4) if args.tiny else (args.clients, args.trials, args.optuna)
    n_polls = 2 if args.tiny else 40
    result: dict[str, Any] = {"benchmark": "service", "machine": machine()}
    with tempfile.TemporaryDirectory() as folder:
        at = f"sqlite:///{folder}"
        result["sqlite"] = _parts(
            {
                "epoch_rows": lambda: epoch_rows(f"{at}/rows.db", None, n_polls),
                "trials": lambda: trials(f"{at}/s2e.db", None, 1, clients, n),
                "optuna": lambda: [optuna_trials(f"{at}/o{k}.db", None, k, n_optuna) for k in args.processes],
            }
        )
    if not args.no_postgres:
        with postgres() as (url, pid):
            parts: dict[str, Callable[[], Any]] = {
                "epoch_rows": lambda: epoch_rows(url, pid, n_polls),
                "trials": lambda: trials(url, pid, 1, clients, n),
                "trials_two_apis": lambda: trials(url, pid, 2, clients[-2:], n),
            }
            if args.claims:
                parts["claims_two_apis"] = lambda: claims(url, pid, args.claims)
            result["postgres"] = _parts(parts)
        with postgres() as (own, own_pid):  # Optuna's own server, as both keep a table of Alembic
            optuna = {"optuna": lambda: [optuna_trials(own, own_pid, k, n_optuna) for k in args.processes]}
            result["postgres"] |= _parts(optuna)
    return result


def _parts(parts: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    results = {}
    for name, part in parts.items():
        results[name] = part()
        print(json.dumps({name: results[name]}), file=sys.stderr, flush=True)
    return results


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    options.add_argument("--trials", type=int, default=400, help="trials of one row; a quarter of them for one client")
    options.add_argument("--processes", type=int, nargs="*", default=[1, 16], help="processes of Optuna")
    options.add_argument("--optuna", type=int, default=96, help="trials of one row of Optuna's")
    options.add_argument(
        "--claims", type=int, default=0, help="claims by two api and two dispatcher processes on one PostgreSQL"
    )
    options.add_argument("--no-postgres", action="store_true")
    options.add_argument("--tiny", action="store_true", help="a few trials: checks the path, not the speed")
    return options


if __name__ == "__main__":
    print(json.dumps(measure(parser().parse_args()), indent=2))
