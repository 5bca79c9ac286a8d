"""Files from a stranger: an archive is unpacked into one new folder, or refused whole. No torch.

Refused: paths that leave the folder, links and devices, more bytes or files than allowed, contents that shrink a
hundredfold (bombs), and pickles by name or first bytes, which run code when they are read.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from s2e.data.root import leaves_root
from s2e.words import DataError

MOST_FILES = 500_000
MOST_RATIO = 100
"""Bytes unpacked for each packed one; images and text stay far below."""
SMALL = 2**20
"""Archives may shrink as they like up to this size."""
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".npy.pkl", ".dill")
PICKLE_STARTS = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
CHUNK = 2**20


@dataclass(frozen=True)
class _Member:
    name: str
    n_bytes: int
    is_plain: bool
    """False for links and devices."""
    open: Any


def is_archive(file: Path) -> bool:
    """True if :func:`unpack` takes the file; a .npz is data, though it is a zip file too."""
    return not file.name.endswith((".npz", ".xlsx")) and (zipfile.is_zipfile(file) or tarfile.is_tarfile(file))


def unpack(archive: Path, folder: Path, limit_bytes: int) -> int:
    """Unpack into ``folder``; how many files. Raises DataError, and leaves nothing that a caller has to look for
    outside the folder."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                return _write(archive, _of_zip(opened), folder, limit_bytes)
        with tarfile.open(archive) as opened_tar:
            return _write(archive, _of_tar(opened_tar), folder, limit_bytes)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(f"{archive.name} cannot be unpacked: {error}") from error


def require_no_pickle(file: Path) -> None:
    """Raises DataError for a pickle, by its name or its first bytes."""
    with file.open("rb") as opened:
        start = opened.read(2)
    if file.name.lower().endswith(PICKLES) or start in PICKLE_STARTS:
        raise DataError(f"{file.name} is a pickle, which runs code when it is read: write it as CSV, Parquet or .npz")


def _of_zip(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        if not info.is_dir():
            kind = info.external_attr >> 28
            yield _Member(info.filename, info.file_size, kind in (0, 8), lambda info=info: archive.open(info))


def _of_tar(archive: tarfile.TarFile) -> Iterator[_Member]:
    for info in archive:
        if not info.isdir():
            yield _Member(info.name, info.size, info.isreg(), lambda info=info: archive.extractfile(info))


def _write(archive: Path, members: Iterator[_Member], folder: Path, limit_bytes: int) -> int:
    n_packed, n_files = archive.stat().st_size, 0
    most = min(limit_bytes, max(SMALL, MOST_RATIO * n_packed))
    left = most
    for member in members:
        n_files += 1
        if leaves_root(member.name) or "\\" in member.name or not member.is_plain:
            raise DataError(f"{archive.name}: {member.name[:80]!r} is a link, or leaves the archive's folder")
        if n_files > MOST_FILES or member.n_bytes > left:
            raise DataError(
                f"{archive.name} unpacks to more than {MOST_FILES} files or {most} bytes ({n_packed} packed): put the "
                "data below the data root, and register the path"
            )
        if any(part.startswith(".") or part == "__MACOSX" for part in Path(member.name).parts):
            continue
        file = folder / member.name
        file.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, file.open("xb") as target:
            left -= _copy(source, target, left, archive.name)
        require_no_pickle(file)
    if not n_files:
        raise DataError(f"{archive.name} is empty")
    return n_files


def _copy(source: IO[bytes], target: IO[bytes], most: int, name: str) -> int:
    """Copy at most ``most`` bytes. Bytes are counted as they come, because the size in a header is only a claim."""
    n_bytes = 0
    while chunk := source.read(CHUNK):
        n_bytes += len(chunk)
        if n_bytes > most:
            raise DataError(f"{name} unpacks to more than its own header says, or than is allowed")
        target.write(chunk)
    return n_bytes
