"""Two checkouts of the service against one durable PostgreSQL, in turns: CPU of a trial of 12 requests.

    python -m benchmarks.bench_turns /path/to/before /path/to/after [--turns 4] [--trials 300] [--clients 16] [--apis 1]

Both have the same schema. Wall time is the machine's other work as well; milliseconds of CPU, and transactions, are
what is compared: of the api, of PostgreSQL and of the load generator.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.bench_service import external_job, open_job
from benchmarks.load import run_trials
from benchmarks.measure import machine
from benchmarks.servers import Cpu, api, postgres
from service.store.engine import Database, migrate

SETTLED_S = 1.2
"""PostgreSQL counts transactions a second late."""
Apis = list[tuple[int, int]]
"""Ports and process ids."""


def turn(database: Database, url: str, pid: int, apis: Apis, n_clients: int, n_trials: int) -> dict[str, float]:
    """One turn of a checkout: milliseconds of CPU and transactions of a trial, and trials a second."""
    job_id, before = open_job(database, external_job(n_trials)), _transactions(url)
    served, stored, mine_s = Cpu(*(pid for _, pid in apis)), Cpu(pid), time.process_time()
    _, took_s = run_trials([port for port, _ in apis], job_id, n_clients, n_trials)
    cpu_s = {"api": served.used_s(), "postgres": stored.used_s(), "generator": time.process_time() - mine_s}
    told = {f"{name}_ms": 1000 * used_s / n_trials for name, used_s in cpu_s.items()}
    told["all_ms"] = sum(told.values())
    return told | {"transactions": (_transactions(url) - before) / n_trials, "trials_per_s": n_trials / took_s}


def _transactions(url: str) -> int:
    time.sleep(SETTLED_S)
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def measure(roots: Sequence[Path], args: argparse.Namespace) -> dict[str, Any]:
    """Medians of each checkout."""
    rows: dict[Path, list[dict[str, float]]] = {root: [] for root in roots}
    with ExitStack() as stack:
        url, pid = stack.enter_context(postgres())
        migrate(url)
        database, apis = Database(url), dict[Path, Apis]()
        stack.callback(database.close)
        for root in roots:
            homes = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(args.apis)]
            apis[root] = [stack.enter_context(api(url, home, root=root)) for home in homes]
            ports = [port for port, _ in apis[root]]
            run_trials(ports, open_job(database, external_job(64)), 16, 64)  # imports, caches, prepared statements
        for i in range(args.turns):
            for root in roots if i % 2 == 0 else reversed(roots):
                rows[root].append(turn(database, url, pid, apis[root], args.clients, args.trials))
                print(root, json.dumps(rows[root][-1]), file=sys.stderr, flush=True)
    return {str(root): {name: round(statistics.median(row[name] for row in of), 2) for name in of[0]}
            for root, of in rows.items()}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", type=Path, nargs=2)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--apis", type=int, default=1)
    args = parser.parse_args()
    told = measure([root.resolve() for root in args.roots], args)
    print(json.dumps({"benchmark": "turns", "machine": machine(), "clients": args.clients, "medians": told}, indent=1))


if __name__ == "__main__":
    main()
