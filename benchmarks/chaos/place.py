"""Everything the service consists of, as processes of this machine: PostgreSQL, api, two dispatchers, two Ray nodes.

What is killed starts again as under ``s2e serve``: by the supervisor's own :class:`Child`. The surroundings are hostile
on purpose: a stale file of a Ray that is gone, and ``RAY_*`` variables of somebody else's.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.chaos.proxy import Proxy
from s2e.client import S2EClient
from service.dispatch.supervisor import Child, command
from service.store.engine import Database, migrate
from workers.ray_head import FILE, address_in, share_token

ROOT = Path(__file__).resolve().parents[2]
DISK_MB = 256
NODE_S = 5.0
"""A node that lived this long had joined the cluster."""
FOREIGN = {"RAY_ADDRESS": "127.0.0.1:1", "RAY_NAMESPACE": "theirs", "RAY_JOB_ID": "01000000", "RAY_TMPDIR": "/nowhere"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """A server of our own below ``folder``, run by its own user where we are root."""

    def __init__(self, folder: Path) -> None:
        self._bin = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self._folder, self.port = folder / "pg", free_port()
        self._folder.mkdir()
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(self._folder, "postgres")
        self._run(str(self._bin / "initdb"), "-D", "data", "-N", "-A", "trust", "-U", "s2e", "-E", "UTF8")
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self._folder}"
        self._control("-l", "log", "-o", options, "start")

    def stop(self, how: str = "fast") -> None:
        self._control("-m", how, "stop")

    def _control(self, *arguments: str) -> None:
        self._run(str(self._bin / "pg_ctl"), "-D", "data", "-w", *arguments)

    def _run(self, *arguments: str) -> None:
        subprocess.run([*self._as, *arguments], check=True, cwd=self._folder, stdout=subprocess.DEVNULL)


def clock_library(folder: Path) -> Path | None:
    """The library that gives a process a clock of its own, compiled from clock.c; None without a C compiler."""
    compiler, library = shutil.which("cc"), folder / "clock.so"
    if compiler is None:
        return None
    source = str(Path(__file__).with_name("clock.c"))
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), source, "-ldl"], check=True)
    return library


class Place:
    """The service under test. ``database`` reaches the database past the proxy. ``hold``: the share of their longest
    time that faults last. ``path``: further folders of every Python's path."""

    def __init__(self, hold: float = 1.0, *path: Path) -> None:
        self.hold, self._path = hold, path
        self._down: frozenset[str] = frozenset()
        self.folder = Path(tempfile.mkdtemp(prefix="s2e-c-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.postgres = Postgres(self.folder)
        self.proxy = Proxy(("127.0.0.1", self.postgres.port))
        straight = f"postgresql://s2e@127.0.0.1:{self.postgres.port}/postgres"
        migrate(straight)
        self.database = Database(straight)
        self.artifacts = self.folder / "home" / "artifacts"
        self.artifacts.mkdir(parents=True)
        self.has_disk = self._mount()
        self._clock_library = clock_library(self.folder)
        self.port = free_port()
        self.log = (self.folder / "log").open("ab")
        self._stop = threading.Event()
        self._children = {child.name: child for child in self._make(self._environment())}
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()
        self.client = S2EClient(f"http://127.0.0.1:{self.port}", patience_s=180)

    def pid(self, name: str) -> int | None:
        """The process of a role: ``api``, ``first``, ``second`` (dispatchers), ``head`` or ``node``."""
        process = self._children[name].process
        return None if process is None or process.poll() is not None else process.pid

    @contextmanager
    def kept_down(self, *names: str) -> Iterator[None]:
        """Roles killed, and not started again before the end of this."""
        self._down = frozenset(names)
        for name in names:
            if (pid := self.pid(name)) is not None:
                os.kill(pid, signal.SIGKILL)
        try:
            yield
        finally:
            self._down = frozenset()

    @property
    def has_clock(self) -> bool:
        """True if the clock of a process can be set."""
        return self._clock_library is not None

    def set_clock(self, name: str, ahead_s: int) -> None:
        """Set the seconds by which the clock of ``api``, ``first`` or ``second`` is ahead from now on."""
        with self._clock(name).open("r+b") as file:
            file.write(struct.pack("=q", ahead_s))

    def raylet_of_node(self) -> int | None:
        return self._below("node", "raylet")

    def gcs(self) -> int | None:
        return self._below("head", "gcs_server")

    def ours(self) -> list[psutil.Process]:
        """Every process that has our temporary folder in its environment, but this one."""
        mine = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                tmpdir = process.environ().get("TMPDIR")
                if tmpdir == str(self.folder) and process.pid != os.getpid() and process.status() != "zombie":
                    mine.append(process)
        return mine

    def trainers(self, what: str) -> list[psutil.Process]:
        """Training processes (``workers.trainer_process``) or their actors (``ray::Trainer``)."""
        return [process for process in self.ours() if any(what in word for word in process.cmdline()[:6])]

    def stop(self) -> list[str]:
        """End everything in order; the command lines of what is still there afterwards."""
        self._stop.set()
        self._thread.join()
        for names in (("api", "first", "second"), ("node",), ("head",)):
            for name in names:
                if (pid := self.pid(name)) is not None:
                    os.kill(pid, signal.SIGTERM)
            for name in names:
                self._wait(self._children[name])
        until_s = time.monotonic() + 20
        while (left := self.ours()) and time.monotonic() < until_s:
            time.sleep(0.5)
        told = [" ".join(process.cmdline())[:160] for process in left]
        for process in left:
            process.kill()
        return told

    def leave(self, *, keep_log: bool) -> None:
        """Stop everything and remove the folder; the log is copied beside it where somebody has to read it."""
        self.stop()
        if keep_log:
            kept = self.folder.with_suffix(".log")
            shutil.copy(self.folder / "log", kept)
            print(f"the log is {kept}", file=sys.stderr)
        self.remove()

    def remove(self) -> None:
        """Stop the database and remove the folder."""
        self.client.close()
        self.database.close()
        self.postgres.stop()
        if self.has_disk:
            subprocess.run(["umount", str(self.artifacts)], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make(self, environment: dict[str, str]) -> list[Child]:
        commands = {
            "api": command("api"),
            "head": command("ray-head"),
            "node": [sys.executable, "-m", "benchmarks.chaos.place"],
            "first": command("dispatcher"),
            "second": command("dispatcher"),
        }
        logged = ["sh", "-c", f'exec "$0" "$@" >> {self.folder}/log 2>&1']
        clocks = {name: self._clocked(name) for name in ("api", "first", "second")}
        children = [Child(n, [*logged, *line], environment | clocks.get(n, {})) for n, line in commands.items()]
        for child in children:
            if child.name == "node":  # Ray's own program does not say that it works
                child.healthy_s = NODE_S
        return children

    def _clock(self, name: str) -> Path:
        return self.folder / f"clock-{name}"

    def _clocked(self, name: str) -> dict[str, str]:
        """A clock of its own; time that only passes is nobody's to set, so that waits are as long as they are."""
        if self._clock_library is None:
            return {}
        self._clock(name).write_bytes(bytes(8))
        return {"LD_PRELOAD": str(self._clock_library), "S2E_CHAOS_CLOCK": str(self._clock(name))}

    def _environment(self) -> dict[str, str]:
        stale = self.folder / "ray"
        stale.mkdir()
        (stale / "ray_current_cluster").write_text("127.0.0.1:1")
        environment = FOREIGN | {
            "PYTHONPATH": os.pathsep.join(map(str, (*self._path, ROOT))),
            "TMPDIR": str(self.folder),
            "S2E_HOME": str(self.folder / "home"),
            "S2E_PORT": str(self.port),
            "S2E_DATABASE_URL": f"postgresql://s2e@127.0.0.1:{self.proxy.port}/postgres",
            "S2E_RAY_ADDRESS": f"{FILE}{self.folder / 'ray.json'}",
            "S2E_RAY_NUM_CPUS": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        share_token(environment)
        return environment

    def _mount(self) -> bool:
        if os.geteuid() != 0:
            return False
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(self.artifacts)]
        return subprocess.run(mount, check=False, stderr=subprocess.DEVNULL).returncode == 0

    def _keep(self) -> None:
        def say(text: str) -> None:
            self.log.write(f"{time.strftime('%H:%M:%S')} {text}\n".encode())
            self.log.flush()

        while not self._stop.wait(0.2):
            for child in self._children.values():
                if child.name not in self._down:
                    child.check(say)

    def _below(self, name: str, binary: str) -> int | None:
        with suppress(psutil.Error):
            if (pid := self.pid(name)) is not None:
                for child in psutil.Process(pid).children(recursive=True):
                    if child.name() == binary:
                        return child.pid
        return None

    def _wait(self, child: Child) -> None:
        if child.process is None:
            return
        try:
            child.process.wait(30)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        child.end_group()


def run_node() -> None:
    """A second node of the cluster, in the foreground."""
    address = address_in(Path(os.environ["S2E_RAY_ADDRESS"].removeprefix(FILE)))
    for name in (*FOREIGN, "S2E_DATABASE_URL"):
        os.environ.pop(name, None)
    start = ["start", f"--address={address}", "--num-cpus=1", f"--object-store-memory={100 * 2**20}", "--block"]
    os.execv(sys.executable, [sys.executable, "-m", "ray.scripts.scripts", *start])


if __name__ == "__main__":
    run_node()
