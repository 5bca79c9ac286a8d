"""A local Ray in a process of its own, which outlives the drivers that connect to it and ends with any of its parts.

A file holds its address, rewritten after every start, or the reason why it does not start.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from s2e.files import write_atomic
from workers.ray_start import connect

log = logging.getLogger(__name__)

FILE = "file:"
"""An address that is not known yet: it is going to be in the file of this path."""
WAIT_S = 120.0
_LOOK_S = 0.2
_ALIVE_S = 0.5
"""Between two looks at Ray's processes."""


class HeadAwayError(Exception):
    """The local Ray did not come up."""


def share_token(environment: MutableMapping[str, str]) -> None:
    """Give a head and its drivers one fresh token, where the user has not chosen how they know each other."""
    if not any(environment.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE")):
        environment["RAY_AUTH_TOKEN"], environment["RAY_AUTH_MODE"] = secrets.token_hex(32), "token"


def run_head(
    path: Path,
    stop: threading.Event,
    *,
    num_cpus: int | None,
    object_store_bytes: int,
    pass_on: Iterable[str] = (),
    on_ready: Callable[[], None] = lambda: None,
) -> int:
    """Start Ray, call ``on_ready``, and keep it until ``stop``: 0, or 1 when it could not start or one of its processes
    died."""
    try:
        connection = connect(
            None, num_cpus=num_cpus, num_gpus=None, object_store_bytes=object_store_bytes, pass_on=pass_on
        )
    except Exception as error:
        _leave(path, {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"})
        raise
    try:
        _leave(path, {"address": connection.ray.get_runtime_context().gcs_address, "pid": os.getpid()})
        on_ready()
        while not stop.wait(_ALIVE_S):
            if dead := _dead(connection.ray):
                log.error("Ray lost %s", dead)
                path.unlink(missing_ok=True)
                os._exit(1)  # an orderly end would ask the dead one first
    finally:
        path.unlink(missing_ok=True)
        connection.close()
    return 0


def address_in(path: Path, wait_s: float = WAIT_S) -> str:
    """The address that a head leaves in a file, as soon as it does; one that has died since counts for nothing. Raises
    HeadAwayError."""
    until_s = time.monotonic() + wait_s
    while time.monotonic() < until_s:
        with suppress(FileNotFoundError):
            told = json.loads(path.read_text())
            if "error" in told:
                raise HeadAwayError(f"the local Ray did not start: {told['error']}")
            if _lives(told["pid"]):
                return str(told["address"])
        time.sleep(_LOOK_S)
    raise HeadAwayError(f"the local Ray did not start within {wait_s:g} s")


def _leave(path: Path, told: dict[str, str | int]) -> None:
    write_atomic(path, json.dumps(told).encode())


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _dead(ray: Any) -> str:
    """The processes without which there is no cluster, as far as they are gone."""
    node = ray._private.worker._global_node
    return ", ".join(name for name, _ in node.dead_processes() if name in ("gcs_server", "raylet"))
