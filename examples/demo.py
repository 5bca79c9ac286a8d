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
import sys
import time
import tomllib
from pathlib import Path

from s2e.client import S2EClient
from service.cli.options import out
from service.cli.reports import draw_report
from service.cli.saving import save_report
from service.cli.terminal import print_places, watch

HERE = Path(__file__).resolve().parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_service(home: Path, port: int) -> subprocess.Popen[bytes]:
    """`s2e serve` in a session of its own, so that ending it ends all that it started."""
    home.mkdir(parents=True, exist_ok=True)
    log = (home / "serve.log").open("ab")
    environment = os.environ | {"S2E_HOME": str(home), "S2E_PORT": str(port)}
    command = [str(Path(sys.executable).with_name("s2e")), "serve"]
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def wait_until_ready(client: S2EClient, process: subprocess.Popen[bytes], home: Path, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not client.ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the service did not come up; see {home / 'serve.log'}")
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the service up after the report")
    parser.add_argument("--home", type=Path, default=Path("s2e-data"), help="where database, models and logs lie")
    parser.add_argument("--port", type=int, default=0, help="port of the dashboard (0: a free one)")
    parser.add_argument("--job", type=Path, default=HERE / "digits.toml", help="the job file")
    args = parser.parse_args()
    home, port = args.home.resolve(), args.port or free_port()
    started = time.monotonic()
    print(f"Starting the service (SQLite and a local Ray) in {home} ...", flush=True)
    process = start_service(home, port)
    try:
        client = S2EClient(f"http://127.0.0.1:{port}")
        wait_until_ready(client, process, home)
        job = client.submit(tomllib.loads(args.job.read_text()))
        address = f"http://127.0.0.1:{port}/jobs/{job.id}"
        print(f"Submitted job {job.id}\nDashboard: {address}\n", flush=True)
        job = watch(client, job.id)
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
        print("\nStopping.")
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
