"""Arrays of one's own as they lie on a disk: a .npz file, or a folder of .npy files, mapped into memory and not read.

A .npz that NumPy did not compress (``np.savez``) is mapped as it is; arrays of a compressed one are unpacked into the
cache once, if they are not small.
"""

from __future__ import annotations

import shutil
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.own import cache
from s2e.data.rows import SMALL
from s2e.words import DataError

NEEDED, MORE = ("X", "y"), ("X_test", "y_test")
LOCAL_HEADER = struct.Struct("<26xHH")
"""Of a member of a zip file: its length, and those of the name and of the extra field that follow."""
SHARE_OF_DISK = 0.9
"""Of the free bytes of the cache's disk, for an array that is unpacked."""


def read_arrays(path: Path, more: str | None) -> tuple[str, Mapping[str, NDArray[Any]]]:
    """Name for people, and the arrays X, y, X_test, y_test and ``more``, as far as they are there.

    Raises DataError for a path that holds none, and where one of a pair is missing.
    """
    wanted = [name for name in (*NEEDED, *MORE, more) if name is not None]
    try:
        arrays = _of_folder(path, wanted) if path.is_dir() else _of_npz(path, wanted)
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, AttributeError, struct.error) as error:
        what = "a folder of .npy files" if path.is_dir() else "an .npz file"
        raise DataError(f"{path.name} is not {what} of plain arrays: {error}") from error
    if missing := [key for key in NEEDED if key not in arrays]:
        where = f"no file {missing[0]}.npy" if path.is_dir() else f"no array {missing[0]!r}"
        raise DataError(f"{path.name} has {where}: samples are X, their labels y")
    if ("X_test" in arrays) != ("y_test" in arrays):
        raise DataError(f"{path.name} has one of X_test and y_test: give both, or neither")
    return path.name, arrays


def read_samples(path: Path) -> NDArray[Any]:
    """Samples without labels: a .npy file, or X of what :func:`read_arrays` reads. Raises DataError."""
    try:
        if path.is_file() and path.suffix == ".npy":
            return _mapped(path)
        arrays = _of_folder(path, ["X"]) if path.is_dir() else _of_npz(path, ["X"])
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, AttributeError, struct.error) as error:
        raise DataError(f"{path.name} is not a .npy or .npz file of plain arrays: {error}") from error
    if "X" not in arrays:
        raise DataError(f"{path.name} has no array 'X'")
    return arrays["X"]


def _of_folder(folder: Path, wanted: list[str]) -> dict[str, NDArray[Any]]:
    files = {name: folder / f"{name}.npy" for name in wanted}
    return {name: _mapped(file) for name, file in files.items() if file.is_file()}


def _mapped(file: Path) -> NDArray[Any]:
    """An array of no rows cannot be mapped."""
    with file.open("rb") as opened:
        shape, _, dtype = _header(opened)
    if 0 in shape or not shape:
        return np.empty(shape, dtype)
    array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    return array


def _of_npz(file: Path, wanted: list[str]) -> dict[str, NDArray[Any]]:
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        for name in wanted:
            member = next((one for one in (f"{name}.npy", name) if one in archive.namelist()), None)
            if member is not None:
                arrays[name] = _of_member(file, archive, archive.getinfo(member))
    return arrays


def _of_member(file: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    if info.file_size <= SMALL:
        with archive.open(info) as opened:
            array: NDArray[Any] = np.lib.format.read_array(opened, allow_pickle=False)
        return array
    if info.compress_type != zipfile.ZIP_STORED:
        return _unpacked(file, archive, info)
    with file.open("rb") as raw:
        raw.seek(info.header_offset)
        lengths = LOCAL_HEADER.unpack(raw.read(LOCAL_HEADER.size))
        raw.seek(info.header_offset + LOCAL_HEADER.size + sum(lengths))
        shape, is_fortran, dtype = _header(raw)
        at = raw.tell()
    order: Any = "F" if is_fortran else "C"
    return np.memmap(file, dtype=dtype, mode="r", offset=at, shape=shape, order=order)


def _header(opened: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of the array that follows. Raises ValueError for objects, which are pickled."""
    version = np.lib.format.read_magic(opened)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(opened)
    if dtype.hasobject:
        raise ValueError("it holds objects, which are pickled; nothing is unpickled")
    return shape, is_fortran, dtype


def _unpacked(file: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """The array from the cache, where it is unpacked to once. Raises DataError where the disk has no room for it."""
    state = file.stat()
    name = f"array-{cache.digest_of((file.resolve(), state.st_size, state.st_mtime_ns, info.filename, info.CRC))}.npy"
    stored = cache.cache_root() / name
    if not stored.is_file():
        temporary = cache.place(name)
        if temporary is None or info.file_size > SHARE_OF_DISK * shutil.disk_usage(temporary.parent).free:
            raise DataError(
                f"{file.name}, {info.filename} unpacks to {info.file_size} bytes, for which the cache "
                f"{cache.cache_root()} has no room: save it with np.savez, which does not compress"
            )
        with archive.open(info) as source, temporary.open("xb") as target:
            shutil.copyfileobj(source, target, 2**20)
        temporary.replace(stored)
    return _mapped(stored)
