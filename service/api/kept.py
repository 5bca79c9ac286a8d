"""A kept file as an answer: whole or a range of it, with an ETag, from a folder or from an object store."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastapi import Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from s2e.files import Files, Stored, files_below, is_address, resolve
from service.api.formats import attachment
from service.api.fresh import is_known

PIECE = 1 << 20
"""Bytes that are asked of a store at once."""
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def answer(request: Request, root: str, path: str, media_type: str, name: str) -> Response:
    """The file at ``path`` below an artifact root, saved by a browser as ``name``. Raises FileNotFoundError, OSError,
    ArtifactError."""
    files = files_below(root)
    stored = files.look(path)
    if stored is None:
        raise FileNotFoundError(path)
    etag = f'"{stored.version}"'
    if is_known(etag, request.headers.get("if-none-match")):
        return Response(status_code=304, headers={"ETag": etag})
    if not is_address(root):
        return FileResponse(resolve(root, path), media_type=media_type, filename=name, headers={"ETag": etag})
    headers = {**attachment(name), "Accept-Ranges": "bytes", "ETag": etag}
    wanted = request.headers.get("range", "") if request.headers.get("if-range", etag) == etag else ""
    first, last = _range(wanted, stored.n_bytes)
    if first >= stored.n_bytes > 0 or first > last + 1:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{stored.n_bytes}"})
    headers["Content-Length"] = str(last + 1 - first)
    whole = (first, last + 1) == (0, stored.n_bytes)
    if not whole:
        headers["Content-Range"] = f"bytes {first}-{last}/{stored.n_bytes}"
    pieces = _pieces(files, stored, first, last)
    return StreamingResponse(pieces, 200 if whole else 206, headers=headers, media_type=media_type)


def _range(header: str, n_bytes: int) -> tuple[int, int]:
    """First and last byte that are wanted; all where the header names no single range."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[0] == "bytes=-":
        return 0, n_bytes - 1
    first, last = match.groups()
    if not first:  # the last so many
        return max(0, n_bytes - int(last)), n_bytes - 1
    return int(first), min(int(last), n_bytes - 1) if last else n_bytes - 1


def _pieces(files: Files, stored: Stored, first: int, last: int) -> Iterator[bytes]:
    for start in range(first, last + 1, PIECE):
        yield files.read(stored.path, start, min(start + PIECE, last + 1))
