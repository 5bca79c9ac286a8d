"""The data root: the folder below which data sets lie. Nothing is ever downloaded."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from s2e.words import DataError

DATA_ROOT_VARIABLE = "S2E_DATA_ROOT"


def environment_root() -> str | None:
    """The data root the environment names."""
    return os.environ.get(DATA_ROOT_VARIABLE) or None


def required_root(data_root: str | None, name: str, expected: str) -> Path:
    """The data root. Raises DataError that says which files ``name`` needs in it."""
    if data_root is None:
        raise DataError(f"{name} needs a data root: set {DATA_ROOT_VARIABLE} to a folder that holds {expected}")
    return Path(data_root)


def not_found(name: str, data_root: str | Path, expected: str, cause: object = "") -> DataError:
    """The error of a data set whose files are missing or damaged."""
    why = f" ({cause})" if str(cause) else ""
    return DataError(f"{name} not found below {DATA_ROOT_VARIABLE} = {str(data_root)!r}, expected {expected}{why}")


def leaves_root(relative: str) -> bool:
    """True if the path is absolute or escapes its folder."""
    path = PurePosixPath(relative)
    return path.is_absolute() or ".." in path.parts or "\0" in relative


def file_below(data_root: Path, relative: str, field: str) -> Path:
    """The file a job names. Raises DataError if the path leaves the data root or names no file.

    Links are followed: anyone who may write into the data root decides which files it serves.
    """
    if leaves_root(relative):
        raise DataError(f"{field} = {relative!r}: a path below {DATA_ROOT_VARIABLE}, without '..'")
    path = data_root / relative
    if not path.is_file():
        raise not_found(field, data_root, f"the file {relative!r}")
    return path
