"""Requests that schemathesis makes from the OpenAPI document: no answer is a 5xx, or one the document does not allow.

    python -m benchmarks.fuzz [--cases 10000]

A real API on SQLite that has some jobs is asked without keys, then with a key of each scope. Two operations are left
out: the event stream of a queued job has no end, and a service without a dispatcher is not ready (503). Exit status 1
where an answer was wrong.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from benchmarks.measure import machine
from s2e.client import S2EClient
from s2e.words.people import SCOPES
from service.api.server import make_server
from service.settings import Settings
from service.store.engine import migrate

ST = Path(sys.executable).with_name("st")
MASTER = "fuzz-" + "0" * 40
JOBS: tuple[dict[str, Any], ...] = (
    {"train": {"n_epochs": 3}, "search": {"n_rounds": 1, "n_trials": 2}},
    {"trials": "external", "train": {"n_epochs": 3}, "search": {"n_rounds": 1, "n_trials": 2}},
    {"kind": "compare", "compare": {"n_seeds": 2, "entries": [{"method": "standard"}, {"method": "coteaching"}]}},
)
ALLOWED = "[400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, 431]"
"""Of a request that breaks the schema; a body or headers beyond their limit are refused before anybody reads them."""


def command(url: str, most: int, seed: int | None = None) -> list[str]:
    """Its command line: ``most`` examples of each operation and phase, the same ones unless there is a seed.

    One check is left out: that whatever fits the schema is accepted. A cursor is opaque, and rules that join two fields
    (K >= 2 for newton) cannot be written in it.
    """
    choice = "--generation-deterministic" if seed is None else f"--seed={seed}"
    return [
        str(ST), "run", f"{url}/openapi.json", choice, f"--max-examples={most}",
        "--phases=examples,coverage,fuzzing", "--exclude-checks=positive_data_acceptance",
        "--exclude-operation-id=follow_job", "--exclude-operation-id=readyz", "--no-color",
    ]  # fmt: skip


def configure(folder: Path) -> None:
    """The settings that schemathesis reads in the folder where it runs."""
    text = f"[checks.negative_data_rejection]\nexpected-statuses = {ALLOWED}\n"
    (folder / "schemathesis.toml").write_text(text, encoding="utf-8")


@contextmanager
def api(folder: Path, key: str = "") -> Iterator[str]:
    """A real API on a database of its own; its address."""
    folder.mkdir()
    settings = Settings(home=folder, port=0, key_rate_per_s=0.0, api_key=SecretStr(key) if key else None)
    migrate(settings.database_url)
    server = make_server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    with S2EClient(url, key or None) as client:
        for job in JOBS:
            client.submit(job)
    yield url
    server.handle_exit(15, None)
    thread.join(10)


def cases_of(printed: str) -> int:
    """Number of cases that a run made, by its own count."""
    return sum(map(int, re.findall(r"^\s*(\d+) generated", printed, re.M)))


def run(folder: Path, url: str, key: str, n_cases: int, seed: int) -> tuple[int, str]:
    """Cases of one caller, at least ``n_cases`` of them unless an answer is wrong: how many, and what was wrong."""
    made, most = 0, 5
    while made < n_cases:
        line = command(url, most, seed + made)
        line += ["-H", f"Authorization: Bearer {key}"] if key else []
        done = subprocess.run(line, capture_output=True, text=True, cwd=folder, check=False)
        made += (now := cases_of(done.stdout))
        right = "an answer was wrong" if done.returncode else "every answer was right"
        print(f"{made} of {n_cases} cases: {right}", file=sys.stderr, flush=True)
        if done.returncode or not now:
            return made, done.stdout[-20_000:] + done.stderr[-2_000:]
        most = min(200, max(5, round(most * (n_cases - made) / now)))
    return made, ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    made, wrong, share = dict[str, int](), dict[str, str](), args.cases // (1 + len(SCOPES)) + 1
    with tempfile.TemporaryDirectory(prefix="s2e-fuzz-") as name:
        folder = Path(name)
        configure(folder)
        with api(folder / "open") as url:
            made["no keys"], wrong["no keys"] = run(folder, url, "", share, args.seed)
        with api(folder / "keys", MASTER) as url, S2EClient(url, MASTER) as master:
            for scope in SCOPES:
                key = master.create_key("fuzz", "ada", (scope,)).secret
                made[scope], wrong[scope] = run(folder, url, key, share, args.seed)
    for caller, said in wrong.items():
        if said:
            print(f"--- {caller} ---\n{said}", file=sys.stderr)
    told = {"benchmark": "fuzz", "machine": machine(), "cases": made, "wrong": [c for c, said in wrong.items() if said]}
    print(json.dumps(told | {"all": sum(made.values())}, indent=1))
    sys.exit(any(wrong.values()))


if __name__ == "__main__":
    main()
