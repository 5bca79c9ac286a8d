"""The files of a data set, and one fingerprint of their contents."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable
from hashlib import blake2b
from pathlib import Path

from s2e.data.own.cache import entries_below, files_below, fingerprint
from s2e.data.root import leaves_root, not_found, required_root
from s2e.parts import DatasetPart
from s2e.words import DataError, DataSpec, S2EError

QUICK_S = 0.1
"""Seconds of a look at some 20,000 files: what takes no longer is looked at every time."""
REST = 10
"""A longer look holds for so many times as long as it took."""


def fingerprint_of(part: DatasetPart, data: DataSpec, data_root: str | None) -> str:
    """SHA-256 over names and contents of all files of the data. Raises DataError where one is missing."""
    root = required_root(data_root, data.name, "the files of the data")
    return fingerprint(_files(part, data, root), root)


def n_bytes_of(part: DatasetPart, data: DataSpec, data_root: str) -> int:
    """Of all files of the data."""
    return sum(file.stat().st_size for file in _files(part, data, Path(data_root)))


def state_of(part: type[DatasetPart], data: DataSpec, data_root: str) -> str:
    """Digest of the sizes and times of change of everything that the data's settings name, or that lies in a folder
    they name: it sees a file that was edited in place, added or removed, and reads none."""
    digest = blake2b(digest_size=16)
    try:
        for path in part.stored(data.params).paths(data, Path(data_root)):
            named = Path(data_root) / path
            for one in entries_below(named) if named.is_dir() else (named,):
                digest.update(_state(one))
    except S2EError:  # reading says what is wrong
        return ""
    return digest.hexdigest()


def _state(file: os.DirEntry[str] | Path) -> bytes:
    try:
        stat = file.stat()
    except OSError:
        return os.fsencode(file) + b" is gone"
    return os.fsencode(file) + f" {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} ".encode()


class Looks:
    """Files as they were when they were last looked at. Of very large folders a change is seen a little later, so that
    looking never costs more than a tenth of the time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[Hashable, tuple[str, float]] = {}
        """State, and the time until which it holds."""

    def saw_change(self, key: Hashable, look: Callable[[], str]) -> bool:
        """True if the files of ``key`` are not as ``look`` saw them last."""
        began = self._clock()
        before, holds_until = self._last.get(key, ("", began))
        if began < holds_until:
            return False
        is_first, state = key not in self._last, look()
        took = self._clock() - began
        self._last[key] = state, began + took + (REST * took if took > QUICK_S else 0.0)
        return not is_first and state != before


def require_unchanged(part: DatasetPart, data: DataSpec, data_root: str | None) -> None:
    """Raises DataError where the files are not those that were fingerprinted."""
    now = fingerprint_of(part, data, data_root)
    if now != data.fingerprint:
        name = f"data set {data.registered!r}" if data.registered else f"the data of {data.name}"
        raise DataError(
            f"{name} has changed: its files have the fingerprint {now[:12]}, the job was made for "
            f"{str(data.fingerprint)[:12]}. Put the files back, or register the data anew (s2e data add) and submit "
            "again"
        )


def _files(part: DatasetPart, data: DataSpec, root: Path) -> list[Path]:
    files: dict[Path, None] = {}
    for path in part.paths(data, root):
        if leaves_root(path) or not (root / path).exists():
            raise not_found(data.name, root, f"the file or folder {path!r}")
        files |= dict.fromkeys(files_below(root / path))
    return list(files)
