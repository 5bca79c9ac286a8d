"""Where artifacts are kept: a folder, or an address that fsspec understands (``s3://bucket/prefix``, ``gs://``, ...).

A root is always named by a text or a path; :func:`files_below` gives what is done with the files below it. A file is
written whole or not at all, whoever dies: in a folder under a temporary name that is renamed, in an object store by the
store itself. Whatever goes wrong is an OSError.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from s2e.extras import needs
from s2e.words import S2EError

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


class ArtifactError(S2EError):
    """A path that does not name a file below the artifact root."""


@dataclass(frozen=True)
class Stored:
    """A file below a root."""

    path: str
    """Below the root, with slashes."""
    n_bytes: int
    version: str
    """Another one whenever the content is."""


class Files(Protocol):
    """The files below a root. Every ``path`` is relative to it; ArtifactError for one that would leave it."""

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes from ``start`` up to ``end``. Raises FileNotFoundError."""

    def write(self, path: str, content: bytes) -> None:
        """All of a file, or nothing of it."""

    def look(self, path: str) -> Stored | None:
        """Size and version of a file; None where there is none."""

    def delete(self, path: str) -> None:
        """Delete a file; nothing happens where there is none."""

    def delete_folder(self, path: str) -> None:
        """Delete everything below a folder; nothing happens where there is none."""

    def folders(self) -> list[str]:
        """The folders directly below the root, sorted."""

    def below(self, folder: str) -> Iterator[Stored]:
        """Every file below a folder."""


def is_address(root: str | Path) -> bool:
    """True for an address, False for a folder."""
    return isinstance(root, str) and "://" in root


def shown(root: str | Path) -> str:
    """The name of a root without the password that an address may hold."""
    return re.sub(r"(\w://)[^/\s@]+@", r"\1***@", str(root))


def files_below(root: str | Path) -> Files:
    """Access to the files below a root. Raises MissingExtraError where an address needs what is not there."""
    return _address(str(root)) if is_address(root) else Folder(root)


def job_folder(job_id: str) -> str:
    """The folder of a job below the root. Raises ArtifactError for an id that is not a plain name."""
    if not _JOB_ID.fullmatch(job_id):
        raise ArtifactError(f"not a plain name for a folder: {job_id!r}")
    return job_id


def resolve(root: str | Path, relative: str) -> Path:
    """The file a stored path names below a folder. Raises ArtifactError for anything that would leave ``root``."""
    base = Path(root).resolve()
    path = base.joinpath(*_parts(relative))
    if not path.resolve().is_relative_to(base):
        raise _leaves(relative)
    return path


def _parts(relative: str) -> tuple[str, ...]:
    parts = PurePosixPath(relative)
    if not relative or parts.is_absolute() or ".." in parts.parts:
        raise _leaves(relative)
    return parts.parts


def _leaves(relative: str) -> ArtifactError:
    return ArtifactError(f"not a path below the artifact root: {relative!r}")


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``path`` so that a reader sees all of it or nothing, whenever the writer dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # a cancelled trainer is interrupted anywhere, and leaves nothing behind
        temporary.unlink(missing_ok=True)
        raise


class Folder:
    """The files below a folder of this machine."""

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        with resolve(self._root, path).open("rb") as file:
            file.seek(start)
            return file.read(-1 if end is None else end - start)

    def write(self, path: str, content: bytes) -> None:
        write_atomic(resolve(self._root, path), content)

    def look(self, path: str) -> Stored | None:
        file = resolve(self._root, path)
        return self._stored(file) if file.is_file() else None

    def delete(self, path: str) -> None:
        resolve(self._root, path).unlink(missing_ok=True)

    def delete_folder(self, path: str) -> None:
        folder = resolve(self._root, path)
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)

    def folders(self) -> list[str]:
        if not self._root.is_dir():
            return []
        return sorted(path.name for path in self._root.iterdir() if path.is_dir())

    def below(self, folder: str) -> Iterator[Stored]:
        for path in sorted(resolve(self._root, folder).rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield self._stored(path)

    def _stored(self, path: Path) -> Stored:
        about = path.stat()
        relative = path.relative_to(self._root.resolve()).as_posix()
        return Stored(relative, about.st_size, f"{about.st_mtime_ns}-{about.st_size}")


class Address:
    """The files below an address of an object store, or of anything else that fsspec reads."""

    def __init__(self, address: str) -> None:
        with needs("remote"):
            from fsspec.core import url_to_fs
        with _os_errors():
            # Another process writes the same files: no listing may be older than the question.
            self._fs, base = url_to_fs(address, use_listings_cache=False)
        self._base = base.rstrip("/")

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        with _os_errors():
            content: bytes = self._fs.cat_file(self._at(path), start=start or None, end=end)
            return content

    def write(self, path: str, content: bytes) -> None:
        with _os_errors():
            self._fs.pipe_file(self._at(path), content)

    def look(self, path: str) -> Stored | None:
        with _os_errors():
            try:
                about = self._fs.info(self._at(path))
            except FileNotFoundError:
                return None
        return None if about["type"] != "file" else self._stored(about)

    def delete(self, path: str) -> None:
        with _os_errors(), suppress(FileNotFoundError):
            self._fs.rm_file(self._at(path))

    def delete_folder(self, path: str) -> None:
        with _os_errors(), suppress(FileNotFoundError):
            self._fs.rm(self._at(path), recursive=True)

    def folders(self) -> list[str]:
        with _os_errors():
            try:
                listed = self._fs.ls(self._base, detail=True)
            except FileNotFoundError:
                return []
        return sorted(PurePosixPath(entry["name"]).name for entry in listed if entry["type"] == "directory")

    def below(self, folder: str) -> Iterator[Stored]:
        with _os_errors():
            listed = self._fs.find(self._at(folder), detail=True)
        yield from (self._stored(about) for _, about in sorted(listed.items()))

    def _at(self, path: str) -> str:
        return "/".join((self._base, *_parts(path)))

    def _stored(self, about: dict[str, Any]) -> Stored:
        told = [about.get(name) for name in ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created")]
        version = hashlib.sha256(repr([about["size"], *map(str, told)]).encode()).hexdigest()[:24]
        relative = str(about["name"]).removeprefix(self._base).lstrip("/")
        return Stored(relative, about["size"], version)


@lru_cache(maxsize=8)
def _address(address: str) -> Address:
    """A connection is made once."""
    return Address(address)


@contextmanager
def _os_errors() -> Iterator[None]:
    """Whatever a store's library raises is what a disk would: trouble of the place, which passes."""
    try:
        yield
    except (OSError, S2EError):
        raise
    except ValueError as error:
        raise ArtifactError(str(error)) from error
    except Exception as error:
        raise OSError(errno.EIO, f"{type(error).__name__}: {error}") from error
