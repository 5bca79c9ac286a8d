"""Files that were sent: a folder of its own for each, below the data root, until somebody or a rule deletes it."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

UPLOADS = "uploads"
"""Below the data root: one folder for each file that was sent."""
_SENT = re.compile(rf"\b{UPLOADS}/[0-9a-f]{{16}}\b")


def named_in(text: str) -> set[str]:
    """The folders of files that were sent that a text names."""
    return set(_SENT.findall(text))


def folder_of(path: str) -> str | None:
    """The folder of a file that was sent, by the path that sending it answered; None for any other path."""
    sent = None if ".." in path else _SENT.match(path)
    return None if sent is None else sent[0]


def new_folder(root: Path) -> Path:
    """A folder for a file that is being sent. Raises OSError where none can be made."""
    folder = root / UPLOADS / secrets.token_hex(8)
    folder.mkdir(parents=True)
    return folder


def touch(root: Path, folders: Iterable[str]) -> None:
    """Somebody is looking at these: they are as new as when they were sent."""
    for folder in folders:
        with suppress(OSError):
            os.utime(root / folder)


def delete(root: Path, folders: Iterable[str]) -> None:
    """Delete files that were sent; what a person has deleted already is no error."""
    for folder in folders:
        shutil.rmtree(root / folder, ignore_errors=True)


def older_than(root: Path, days: float) -> Iterator[str]:
    """Folders that nobody has sent anything to, or looked at, for so long."""
    before_s = time.time() - 86_400 * days
    with suppress(OSError), os.scandir(root / UPLOADS) as entries:
        for entry in entries:
            name = f"{UPLOADS}/{entry.name}"
            if _SENT.fullmatch(name) and entry.is_dir(follow_symlinks=False) and _latest_s(entry) < before_s:
                yield name


def _latest_s(folder: os.DirEntry[str]) -> float:
    """When the folder, or what lies in it, was changed last."""
    with os.scandir(folder) as inside:
        return max([folder.stat().st_mtime, *(entry.stat(follow_symlinks=False).st_mtime for entry in inside)])
