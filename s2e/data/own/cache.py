"""A cache of results computed from files, keyed by the content of the files.

The folder is S2E_CACHE_ROOT, or ``s2e`` below the user's own cache. It may be deleted at any time. If it cannot be
written, everything is recomputed.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

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
    """A file itself, or all files of a folder but hidden ones."""
    if path.is_file():
        return [path]
    return [
        one
        for one in sorted(path.rglob("*"))
        if one.is_file() and not any(part.startswith(".") for part in one.relative_to(path).parts)
    ]


def place(name: str) -> Path | None:
    """A path to write ``name`` to before it is renamed; None where the cache cannot be written."""
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    temporary = root / f".{name}.{secrets.token_hex(4)}.tmp"
    return temporary if os.access(root, os.W_OK) else None
