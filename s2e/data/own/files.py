"""The files of a data set, and one fingerprint of their contents."""

from __future__ import annotations

from pathlib import Path

from s2e.data.own.cache import files_below, fingerprint
from s2e.data.root import leaves_root, not_found, required_root
from s2e.parts import DatasetPart
from s2e.words import DataError, DataSpec, S2EError

State = tuple[tuple[str, int, int], ...]
MOST_LOOKED_AT = 2_000


def fingerprint_of(part: DatasetPart, data: DataSpec, data_root: str | None) -> str:
    """SHA-256 over names and contents of all files of the data. Raises DataError where one is missing."""
    root = required_root(data_root, data.name, "the files of the data")
    return fingerprint(_files(part, data, root), root)


def n_bytes_of(part: DatasetPart, data: DataSpec, data_root: str) -> int:
    """Of all files of the data."""
    return sum(file.stat().st_size for file in _files(part, data, Path(data_root)))


def state_of(part: type[DatasetPart], data: DataSpec, data_root: str) -> State:
    """Sizes and times of change of the files that the data's settings name, and of folders two levels deep: a look
    that costs nothing, and sees a file that was written anew and one that was added or removed."""
    try:
        named = [Path(data_root) / path for path in part.stored(data.params).paths(data, Path(data_root))]
    except S2EError:  # reading says what is wrong
        return ()
    every = named[:MOST_LOOKED_AT]
    for folder in [one for one in every if one.is_dir()]:
        every += [*folder.glob("*"), *folder.glob("*/*")][:MOST_LOOKED_AT]
    states = [(str(one), one.stat()) for one in every if one.exists()]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in states)


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
