"""Starting or joining a Ray cluster with every setting explicit: nothing is left to what ran on the machine before."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from typing import Any

from s2e.extras import needs


def set_environment(address: str | None) -> None:
    """Set what Ray reads when it is imported; a value already set by the user stands.

    Token authentication is on unless the user chose otherwise: Ray listens on every interface, and an open port runs
    anybody's code. A cluster of our own gets a token that lives and dies with this process. To join a cluster, set
    RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH as on its nodes; without either, the cluster is taken to be open.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    # The behaviour announced for the next release; unset, Ray warns at each start.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if "ray" in sys.modules:
        return  # Too late: the mode was read, and a change now would part this process from the cluster it starts.
    has_token = bool(os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"))
    os.environ.setdefault("RAY_AUTH_MODE", "token" if has_token or address is None else "disabled")
    if address is None and os.environ["RAY_AUTH_MODE"] == "token" and not has_token:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def connect(
    address: str | None, *, num_cpus: int | None, num_gpus: int | None, object_store_bytes: int
) -> tuple[Any, bool]:
    """The ``ray`` module, connected, and whether this call connected it (and so has to disconnect it)."""
    set_environment(address)
    with needs("worker"):
        import ray

    if ray.is_initialized():
        return ray, False
    on_sigterm = signal.getsignal(signal.SIGTERM)
    with _in_empty_folder():
        if address is None:
            ray.init(
                num_cpus=num_cpus,
                num_gpus=num_gpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.WARNING,
                object_store_memory=object_store_bytes,
            )
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    if callable(on_sigterm) and threading.current_thread() is threading.main_thread():
        # ray.init puts its own handler over that of the program it serves.
        signal.signal(signal.SIGTERM, on_sigterm)
    return ray, True


@contextmanager
def _in_empty_folder() -> Iterator[None]:
    """Ray puts the folder in which a driver connects first on its trainers' search path, and starts them there: a
    ``workers.py`` of the user's own would be taken for this package. So it is connected in a folder that holds nothing,
    which is left behind for as long as the trainers may live."""
    with chdir(tempfile.mkdtemp(prefix="s2e-empty-")):
        yield
