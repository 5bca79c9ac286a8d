"""The demo: start the service, submit a real search through the REST API, watch it, print what it found.

    make demo            everything it starts is gone afterwards
    make demo KEEP=1     the service stays up until Ctrl-C

It is a client like any other: it speaks HTTP to `s2e serve` and draws what comes back.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import threading
import time
import tomllib
from pathlib import Path
from types import FrameType

from s2e.client import S2EClient
from s2e.client.errors import ClientError
from service.cli.options import out
from service.cli.reports import draw_report
from service.cli.saving import save_report
from service.cli.terminal import print_places, watch
from service.dispatch.supervisor import PARENT_PID, command

HERE = Path(__file__).resolve().parent
PATIENCE_S = 90.0
"""The demo waits no longer for a service that does not work, or for a job that no place can train."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_service(home: Path, port: int) -> subprocess.Popen[bytes]:
    """`s2e serve` in a session of its own, so that ending it ends all that it started. It ends with this process."""
    home.mkdir(parents=True, exist_ok=True)
    log = (home / "serve.log").open("ab")
    environment = os.environ | {"S2E_HOME": str(home), "S2E_PORT": str(port), PARENT_PID: str(os.getpid())}
    return subprocess.Popen(command("serve"), env=environment, stdout=log, stderr=log, start_new_session=True)


def wait_until_ready(client: S2EClient, process: subprocess.Popen[bytes]) -> None:
    """Raises SystemExit with the reason when the service does not come up."""
    deadline = time.monotonic() + PATIENCE_S
    while why := client.not_ready():
        if process.poll() is not None:
            raise SystemExit("the service ended before it was ready")
        if time.monotonic() > deadline:
            raise SystemExit(f"the service is not ready after {PATIENCE_S:.0f} s: {why}")
        time.sleep(0.2)


class Watchman(threading.Thread):
    """Looks whether the job still gets on while the terminal is drawn; interrupts the main thread when it does not."""

    def __init__(self, client: S2EClient, process: subprocess.Popen[bytes], job_id: str) -> None:
        super().__init__(daemon=True)
        self._client, self._process, self._job_id = client, process, job_id
        self.trouble = ""
        self.over = threading.Event()

    def run(self) -> None:
        since, told = time.monotonic(), ""
        while not self.over.wait(1.0):
            why = self._why_not()
            if why == "":
                since = time.monotonic()
            elif why != told and told == "":
                print(f"waiting: {why}", flush=True)
            told = why
            if self._process.poll() is not None or time.monotonic() - since > PATIENCE_S:
                self.trouble = why or "the service has ended"
                os.kill(os.getpid(), signal.SIGINT)
                return

    def _why_not(self) -> str:
        if why := self._client.not_ready():
            return why
        try:
            job = self._client.job(self._job_id)
        except ClientError as error:
            return str(error)
        return f"the job is blocked: {job.reason}" if job.state == "blocked" else ""


def end_on_sigterm(_number: int, _frame: FrameType | None) -> None:
    """As by Ctrl-C: what was started is ended."""
    raise SystemExit(143)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the service up after the report")
    parser.add_argument("--home", type=Path, default=Path("s2e-data"), help="where database, models and logs lie")
    parser.add_argument("--port", type=int, default=0, help="port of the dashboard (0: a free one)")
    parser.add_argument("--job", type=Path, default=HERE / "digits.toml", help="the job file")
    args = parser.parse_args()
    home, port = args.home.resolve(), args.port or free_port()
    signal.signal(signal.SIGTERM, end_on_sigterm)
    started = time.monotonic()
    watchman = None
    print(f"Starting the service (SQLite and a local Ray) in {home} ...", flush=True)
    process = start_service(home, port)
    try:
        client = S2EClient(f"http://127.0.0.1:{port}")
        wait_until_ready(client, process)
        job = client.submit(tomllib.loads(args.job.read_text()))
        address = f"http://127.0.0.1:{port}/jobs/{job.id}"
        print(f"Submitted job {job.id}\nDashboard: {address}\n", flush=True)
        watchman = Watchman(S2EClient(client.url), process, job.id)
        watchman.start()
        job = watch(client, job.id)
        watchman.over.set()
        if job.state != "completed":
            raise SystemExit(f"the job ended as {job.state}: {job.reason}")
        console = out()
        draw_report(client.any_report(job.id), console)
        console.print()
        print_places(console, save_report(client, job.id, home / "demo"))
        print(f"\nFinished in {time.monotonic() - started:.0f} s. Dashboard: {address}")
        if args.keep:
            print("The service stays up; Ctrl-C ends it.", flush=True)
            process.wait()
        else:
            print("The service ends now; `make demo KEEP=1` leaves it up, and its files stay in", home)
    except KeyboardInterrupt:
        if watchman is not None and watchman.trouble:
            raise SystemExit(f"\nThe job does not get on: {watchman.trouble}\nSee {home / 'serve.log'}") from None
        print("\nStopping.")
    except ClientError as error:
        raise SystemExit(f"{error}\nSee {home / 'serve.log'}") from None
    except SystemExit as end:
        if isinstance(end.code, str):
            raise SystemExit(f"{end.code}\nSee {home / 'serve.log'}") from None
        raise
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], timeout_s: float = 20) -> None:
    """Ask the service to end; after a while end its whole process group."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    main()
