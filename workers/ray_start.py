"""Starting or joining a Ray cluster with every setting explicit, independent of earlier clusters on the machine."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import shutil
import signal
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from s2e.extras import needs

_OURS = frozenset(
    {
        "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_USAGE_STATS_ENABLED",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",
        "RAY_USE_TLS", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT",
    }
)  # fmt: skip
"""Variables by which a user may configure Ray, beside its tuning (``RAY_`` and a small letter). All others belong to
another cluster: its address, session, job or node."""
_PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|PYTHON\w*|VIRTUAL_ENV|CONDA_\w+|LD_\w+"
    r"|(OMP|MKL|OPENBLAS|KMP|GOMP|GOTO|NUMEXPR|ATEN|ONEDNN|DNNL|TORCH|PYTORCH|CUBLAS|CUDNN|NVIDIA|NCCL|ROCR|ROCM|HIP|RAY)"
    r"_\w+|TORCH\w+|CUDA\w*|XDG_\w+|S2E_DATA_ROOT|S2E_CACHE_ROOT"
)
"""The variables of this process that trainers see; its secrets and settings are none of their business."""
_EXTRAS = ("start_monitor", "start_log_monitor", "start_api_server")
_PREFIX = "s2e-ray-"
_LONGEST_FOLDER = 30
"""Ray puts sockets deep below its folder, and the path of a socket has at most 107 characters."""


@dataclass(frozen=True)
class Connection:
    """The ``ray`` module, connected; ``close`` undoes what connecting did, which is nothing where it was connected."""

    ray: Any
    is_own: bool
    close: Callable[[], None]


def set_environment(address: str | None) -> None:
    """Set the variables that Ray reads on import, and drop those that other clusters left; a user's own choice stands.

    Token authentication is on unless the user chose otherwise: Ray listens on every interface, and an open port runs
    anybody's code. A cluster of our own gets a token that lives and dies with this process. To join a cluster, set
    RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH as on its nodes; without either, the cluster is taken to be open.
    """
    for name in [name for name in os.environ if re.match("RAY_[^a-z]", name) and name not in _OURS]:
        del os.environ[name]
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
    address: str | None,
    *,
    num_cpus: int | None,
    num_gpus: int | None,
    object_store_bytes: int,
    pass_on: Iterable[str] = (),
) -> Connection:
    """Connect this process to the cluster at ``address``, or to one of its own, which cannot be mistaken for others on
    the machine. Trainers of its own cluster see the variables ``pass_on`` beside those they need."""
    set_environment(address)
    with needs("worker"):
        import ray

    if ray.is_initialized():
        return Connection(ray, False, lambda: None)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    folder = _Folder() if address is None else None
    try:
        if folder is not None:
            with chdir(folder.empty()), _without_secrets(frozenset(pass_on)), _without_extras():
                ray.init(
                    address="local",
                    _temp_dir=str(folder.path),
                    num_cpus=num_cpus,
                    num_gpus=num_gpus,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.WARNING,
                    object_store_memory=object_store_bytes,
                )
        else:
            with chdir(_nowhere()):
                ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except BaseException:
        if folder is not None:
            folder.remove()
        raise
    if callable(on_sigterm) and threading.current_thread() is threading.main_thread():
        # ray.init puts its own handler over that of the program it serves.
        signal.signal(signal.SIGTERM, on_sigterm)

    def close() -> None:
        ray.shutdown()
        if folder is not None:
            folder.remove()

    return Connection(ray, folder is not None, close)


def environment_without_secrets(pass_on: Iterable[str] = ()) -> dict[str, str]:
    """The variables that a process of ours may see when it reads data or trains: the harmless ones, and ``pass_on``."""
    named = frozenset(pass_on)
    return {name: value for name, value in os.environ.items() if _PASSED.fullmatch(name) or name in named}


@contextmanager
def _without_secrets(pass_on: frozenset[str]) -> Iterator[None]:
    """Ray's processes, and all trainers with them, inherit the environment as it is when the cluster starts."""
    hidden = {name: os.environ.pop(name) for name in set(os.environ) - set(environment_without_secrets(pass_on))}
    try:
        yield
    finally:
        for name, value in hidden.items():
            os.environ.setdefault(name, value)


@contextmanager
def _without_extras() -> Iterator[None]:
    """Let Ray start without its dashboard's server, the autoscaler's monitor and the copier of logs to drivers: nobody
    asks them anything here, and together they hold 170 MB and take a hundredth of a core. ray.init has no argument for
    them; a release that names them otherwise starts them."""
    from ray._private.node import Node

    extras = {name: getattr(Node, name) for name in _EXTRAS if hasattr(Node, name)}
    for name in extras:
        setattr(Node, name, _nothing)
    try:
        yield
    finally:
        for name, start in extras.items():
            setattr(Node, name, start)


def _nothing(*_: Any, **__: Any) -> None:
    """In place of a process."""


class _Folder:
    """Ray's temporary folder of one cluster of ours. A lock says that its process lives, so that the next one can
    remove what a killed one left behind."""

    def __init__(self) -> None:
        base = tempfile.gettempdir()
        base = base if len(base) <= _LONGEST_FOLDER else "/tmp"  # noqa: S108  mkdtemp's folders are nobody else's
        _sweep(Path(base))
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        self._lock: IO[bytes] = (self.path / "lock").open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def empty(self) -> Path:
        """Ray puts the folder in which a driver connects first on its trainers' search path, and starts them there: a
        ``workers.py`` of the user's own would be taken for this package. So it connects in one that holds nothing."""
        (self.path / "empty").mkdir()
        return self.path / "empty"

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _nowhere() -> Path:
    """An empty folder that only this user can write to, the same one each time: a driver that is killed leaves none."""
    path = Path(tempfile.gettempdir(), f"s2e-empty-{os.getuid()}")
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    about = path.lstat()
    ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o077
    return path if ours and not any(path.iterdir()) else Path(tempfile.mkdtemp(prefix="s2e-empty-"))


def _sweep(base: Path) -> None:
    """Remove the folders of clusters whose process is gone."""
    for lock in base.glob(f"{_PREFIX}*/lock"):
        with suppress(OSError), lock.open("rb") as file:  # another user's, or held: it lives
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
