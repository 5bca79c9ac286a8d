"""A cache of results computed from files, keyed by the content of the files.

The folder is S2E_CACHE_ROOT, or ``s2e`` below the user's own cache. It may be deleted at any time. If it cannot be
written, everything is recomputed.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from s2e.words import DataError

CACHE_VARIABLE = "S2E_CACHE_ROOT"
CHUNK = 2**20


def cache_root() -> Path:
    """The folder of the cache, which need not exist."""
    named = os.environ.get(CACHE_VARIABLE)
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(named) if named else Path(home).expanduser() / "s2e"


def sha256_of(path: Path) -> str:
    """Of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def digest_of(parts: Iterable[object]) -> str:
    """One digest of many words."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def fingerprint(paths: Iterable[Path], below: Path) -> str:
    """One digest of the names and contents of files, whatever their order."""
    lines = sorted(f"{path.relative_to(below).as_posix()} {sha256_of(path)}" for path in paths)
    return digest_of(lines)


def files_below(path: Path) -> list[Path]:
    """A file itself, or all files of a folder but hidden ones, sorted. Raises DataError for a folder that cannot be
    read."""
    return [path] if path.is_file() else [Path(one.path) for one in entries_below(path) if one.is_file()]


def entries_below(folder: Path | str, above: tuple[tuple[int, int], ...] = ()) -> Iterator[os.DirEntry[str]]:
    """Files and folders at any depth but hidden ones, in the order of their paths; links are followed, but never in a
    circle.

    ``above``: the folders, by device and number, that this one lies in. Raises DataError as :func:`files_below`.
    """
    try:
        state = Path(folder).stat()
        with os.scandir(folder) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"the folder {str(folder)!r} cannot be read: {error.strerror}") from error
    here = (state.st_dev, state.st_ino)
    if here in above:
        return
    for entry in entries:
        if not entry.name.startswith("."):
            _require_utf8(entry)
            yield entry
            if entry.is_dir():
                yield from entries_below(entry.path, (*above, here))


def _require_utf8(entry: os.DirEntry[str]) -> None:
    """No table, answer or database could hold another name."""
    try:
        entry.name.encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
        raise DataError(f"the name {shown!r} of a file or folder is not UTF-8: rename it") from error


def place(name: str) -> Path | None:
    """A path to write ``name`` to before it is renamed; None where the cache cannot be written."""
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    temporary = root / f".{name}.{secrets.token_hex(4)}.tmp"
    return temporary if os.access(root, os.W_OK) else None
