"""Real servers for benchmarks: api processes, a durable PostgreSQL, and the CPU time that they have used."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Cpu:
    """CPU seconds of processes and of the children they have, or have had."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._began_s = self._now_s()

    def used_s(self) -> float:
        return self._now_s() - self._began_s

    def _now_s(self) -> float:
        total = 0.0
        for pid in self._pids:
            parent = psutil.Process(pid)
            times = parent.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
            for child in parent.children(recursive=True):
                try:
                    times = child.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                total += times.user + times.system
        return total


@contextmanager
def postgres() -> Iterator[tuple[str, int]]:
    """URL and process id of a PostgreSQL that writes durably (fsync on), with its defaults."""
    initdb = shutil.which("initdb") or next(iter(sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))))
    folder = Path(tempfile.mkdtemp(prefix="s2e-bench-pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    port, data = free_port(), folder / "data"
    control = [*as_user, str(Path(initdb).parent / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
    try:
        create = [str(initdb), "-D", str(data), "-A", "trust", "-U", "s2e", "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run([*as_user, *create], check=True, cwd=folder, stdout=subprocess.DEVNULL)
        subprocess.run([*control, "-o", options, "start"], check=True, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            pid = int((data / "postmaster.pid").read_text().splitlines()[0])
            yield f"postgresql://s2e@127.0.0.1:{port}/postgres", pid
        finally:
            subprocess.run([*control, "-m", "fast", "stop"], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def api(url: str, home: Path, *profiler: str, root: Path = ROOT) -> Iterator[tuple[int, int]]:
    """Port and process id of an api process on a migrated database, of the checkout ``root``."""
    port = free_port()
    settings = {"S2E_HOME": str(home), "S2E_DATABASE_URL": url, "PYTHONPATH": str(root)}
    command = [sys.executable, *profiler, "-m", "service.cli.main", "api", "--port", str(port)]
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=home, env={**os.environ, **settings}, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/healthz", process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def dispatcher(url: str) -> Iterator[int]:
    """Process id of a dispatcher on a migrated database, whose trainings are simulated."""
    with tempfile.TemporaryDirectory() as home:
        settings = {"S2E_HOME": home, "S2E_DATABASE_URL": url, "S2E_BACKEND": "simulated", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "service.cli.main", "dispatcher"]
        with (Path(home) / "log").open("ab") as log:
            process = subprocess.Popen(command, cwd=home, env={**os.environ, **settings}, stdout=log, stderr=log)
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + 300
    while time.monotonic() < until_s and process.poll() is None:
        try:
            if httpx.get(address).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"no api at {address}")
