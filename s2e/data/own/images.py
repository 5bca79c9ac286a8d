"""Image files of your own: one folder for each class, or a table of paths with labels.

Files of any size and mode become size x size pixels once: a memory-mapped array in the cache, keyed by their contents.

Legend: S images, D x H x W pixels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.datasets import Dataset
from s2e.data.encoders import ImageEncoder
from s2e.data.own import cache
from s2e.data.own.layouts import lists_of, read_list
from s2e.data.own.source import Indices, Source
from s2e.data.own.table import load_paths, with_splits
from s2e.data.own.tables import Frame, path_below, read_frame
from s2e.data.own.trusted import listed
from s2e.data.root import leaves_root, required_root
from s2e.machine import usable_cores
from s2e.words import DataError, TrustedSpec, replace

NO_IMAGES = frozenset({"thumbs.db", "desktop.ini"})
"""Files that other programs leave beside images."""
TRAIN, TEST = "train", ("test", "val", "valid", "validation")
VERSION = 1
"""Of how files become pixels."""
BLOCK = 256


@dataclass(frozen=True, eq=False)
class Images(Source):
    """Image files with their labels."""

    file: str
    label: str
    labels: Sequence[str]
    files: Sequence[Any]
    """Paths, or bytes of files."""
    encoder: ImageEncoder
    names: Sequence[str]
    """Of the files, for people."""
    cells: Callable[[str], Sequence[str]] | None = None
    """Columns of the table they stand in."""
    labels_are_cells: bool = False
    left_out: Sequence[str] = ()

    @property
    def input_names(self) -> Sequence[str]:
        return [f"{self.encoder.mode} {self.encoder.size}"]

    def where(self, i: int) -> str:
        return self.names[i]

    def ids(self) -> NDArray[Any]:
        return np.array(self.names)

    def column(self, name: str) -> Sequence[str]:
        return super().column(name) if self.cells is None else self.cells(name)

    def fit(self, rows: Indices) -> ImageEncoder:  # noqa: ARG002 - nothing is fitted
        return self.encoder

    def encode(self, fitted: ImageEncoder) -> NDArray[Any]:  # noqa: ARG002
        pixels, bad = self.pixels
        assert not bad
        return pixels

    def skipped(self) -> Sequence[str]:
        return self.left_out

    @cached_property
    def pixels(self) -> tuple[NDArray[np.uint8], Mapping[int, str]]:
        """Pixels [S, D, H, W], and why some files cannot be read."""
        return decoded(self.files, self.encoder)

    def readable(self, *, skip: bool) -> Images:
        """Without the files that cannot be read, where a job asks for it. Raises DataError that names them."""
        _, bad = self.pixels
        if not bad:
            return self
        named = [f"{self.names[i]} ({why})" for i, why in sorted(bad.items())]
        if not skip:
            raise DataError(
                f"{self.file}: {len(bad)} of {len(self.files)} images cannot be read: {listed(named)}. Mend them, or "
                "say data.params.unreadable = skip"
            )
        keep = [i for i in range(len(self.files)) if i not in bad]
        if not keep:
            raise DataError(f"{self.file}: none of its {len(self.files)} images can be read: {listed(named)}")
        cells = self.cells
        return replace(
            self,
            labels=[self.labels[i] for i in keep],
            files=[self.files[i] for i in keep],
            names=[self.names[i] for i in keep],
            cells=None if cells is None else lambda name: [cells(name)[i] for i in keep],
            left_out=named,
        )


# --- sources ----------------------------------------------------------------------------------------------------------


def load_folders(
    data_root: str | None,
    trusted: TrustedSpec,
    *,
    size: int,
    mode: str,
    unreadable: str,
    backbone: str,
    weights: str,
    **read: Any,
) -> Dataset:
    """One folder for each class. Raises DataError: folder and file are named."""
    root, encoder = required_root(data_root, "images", f"the folder {read['path']!r}"), ImageEncoder(size, mode)
    folder = root / read["path"]
    if not leaves_root(read["path"]) and read["test_path"] is None and (test := _tests(folder)):
        read = {**read, "path": f"{read['path']}/{TRAIN}", "test_path": f"{read['path']}/{test}"}

    def open_folder(path: Path) -> Source:
        images = folders(path, encoder).readable(skip=unreadable == "skip")
        return behind(images, backbone, weights, data_root)

    return load_paths(data_root, "images", trusted, open_folder, read)


def behind(images: Images, backbone: str, weights: str, data_root: str | None) -> Source:
    """The images, or their features where a job names a backbone."""
    if backbone == "none":
        return images
    from s2e.data.own.backbone import Embedded

    return Embedded(images, backbone, weights, data_root)


def _tests(folder: Path) -> str:
    """The folder beside ``train`` that tests; nothing where the folders are classes."""
    names = {one.name for one in folder.iterdir() if one.is_dir()} if folder.is_dir() else set()
    return next((name for name in TEST if names == {TRAIN, name}), "")


def folders(path: Path, encoder: ImageEncoder) -> Images:
    """The images of a folder of folders. Raises DataError for any other path."""
    if not path.is_dir():
        raise DataError(f"{path.name} is not a folder: images are files in one folder for each class")
    classes = sorted(one for one in path.iterdir() if one.is_dir() and not one.name.startswith("."))
    if not classes:
        raise DataError(f"{path.name} holds no folder: images are files in one folder for each class")
    files = {one.name: [file for file in cache.files_below(one) if may_be_image(file)] for one in classes}
    empty = [name for name, those in files.items() if not those]
    if empty:
        raise DataError(f"{path.name}/{empty[0]} holds no image ({len(empty)} such folders): add some, or remove it")
    every = [file for those in files.values() for file in those]
    labels = [name for name, those in files.items() for _ in those]
    names = [f"{path.name}/{file.relative_to(path).as_posix()}" for file in every]
    return Images(path.name, "its folder", labels, every, encoder, names)


def may_be_image(file: Path) -> bool:
    """False for files that systems leave in folders of images."""
    return file.name.lower() not in NO_IMAGES


def load_image_table(data_root: str | None, trusted: TrustedSpec, *, unreadable: str, **asked: Any) -> Dataset:
    """A table of paths, or of image files, with labels. Raises DataError: file, row and column are named."""
    root = required_root(data_root, "image_table", f"the table {asked['path']!r}")
    tables = _Tables(root, asked)

    def open_table(path: Path) -> Source:
        images = tables.images(path).readable(skip=unreadable == "skip")
        return behind(images, asked["backbone"], asked["weights"], data_root)

    return load_paths(data_root, "image_table", trusted, open_table, tables.read)


def paths_of(root: Path, trusted: TrustedSpec, **asked: Any) -> list[str]:
    """The tables and every image file they name, below the data root. Raises DataError as loading them does."""
    tables = _Tables(root, asked)
    main, test = with_splits(root, tables.read["path"], tables.read["test_path"])
    lists = [path for path in (main, test, trusted.path) if path is not None]
    images = [tables.images(path_below(root, path, "data.params.path")) for path in lists]
    files = [file for source in images for file in source.files if isinstance(file, Path) and file.is_file()]
    own = [asked["weights"]] if asked["backbone"] != "none" else []
    return [*lists, *own, *(file.relative_to(root).as_posix() for file in files)]


class _Tables:
    """Reads the tables of a job and finds the images that they name."""

    def __init__(self, root: Path, asked: Mapping[str, Any]) -> None:
        """Raises DataError for a folder outside the data root, and a published set that is not laid out so."""
        self.asked, self.encoder = asked, ImageEncoder(asked["size"], asked["mode"])
        self.read = {name: asked[name] for name in ("path", "test_path", "test_share", "label_case")}
        folder, layout = asked["folder"], asked["layout"]
        if leaves_root(folder):
            raise DataError(f"data.params.folder = {folder!r}: a path below S2E_DATA_ROOT, without '..'")
        self.below = root / folder if folder else None
        if layout != "columns" and path_below(root, asked["path"], "data.params.path").is_dir():
            train, test = lists_of(root / asked["path"], layout)
            self.read["path"] = f"{asked['path']}/{train}"
            self.read["test_path"] = asked["test_path"] or f"{asked['path']}/{test}"

    def images(self, path: Path) -> Images:
        """The images that one table names."""
        asked = self.asked
        if asked["layout"] == "columns":
            frame, beside = read_frame(path, header=asked["header"], delimiter=asked["delimiter"]), path.parent
        else:
            frame, beside = read_list(path, asked["layout"], asked["most_classes"])
        return of_frame(frame, self.below or beside, asked["image"], asked["label"], self.encoder)


def of_frame(frame: Frame, below: Path, image: str, label: str, encoder: ImageEncoder) -> Images:
    """The images that a table names, by paths below a folder, or holds."""
    column, labels = frame.columns[frame.at(image, "data.params.image")], frame.cells(label, "data.params.label")
    if isinstance(column, np.ndarray):
        raise DataError(f"data.params.image = {image!r}: {frame.file} holds vectors there; see data set embeddings")
    files = [cell if isinstance(cell, bytes) else _named(cell, below, frame.where(i)) for i, cell in enumerate(column)]
    names = [frame.where(i) + ("" if isinstance(cell, bytes) else f", {cell}") for i, cell in enumerate(column)]

    def cells(name: str) -> Sequence[str]:
        return frame.cells(name, "data.trusted.column")

    return Images(frame.file, f"column {label}", labels, files, encoder, names, cells, labels_are_cells=True)


def _named(cell: str, below: Path, at: str) -> Path:
    if not cell or leaves_root(cell):
        raise DataError(f"{at}: {cell[:80]!r} is not a path below {below.name}, without '..'")
    return below / cell


# --- pixels -----------------------------------------------------------------------------------------------------------


def decoded(files: Sequence[Any], encoder: ImageEncoder) -> tuple[NDArray[np.uint8], Mapping[int, str]]:
    """Pixels [S, D, H, W] of image files, memory-mapped where the cache can be written, and the unreadable files."""
    missing = {i: "no such file" for i, file in enumerate(files) if isinstance(file, Path) and not file.is_file()}
    if missing:
        return np.empty(0, dtype=np.uint8), missing
    contents = [_content(file) for file in files]
    name = f"images-{cache.digest_of((VERSION, encoder.size, encoder.mode, *contents))}"
    stored, about = cache.cache_root() / f"{name}.npy", cache.cache_root() / f"{name}.json"
    if not (stored.is_file() and about.is_file()):
        shape = (len(files), 1 if encoder.mode == "grey" else 3, encoder.size, encoder.size)
        temporary = cache.place(name)
        if temporary is None:
            pixels = np.zeros(shape, dtype=np.uint8)
            return pixels, _fill(pixels, files, encoder)
        mapped = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        bad = _fill(mapped, files, encoder)
        mapped.flush()
        about.write_text(json.dumps(bad))
        temporary.replace(stored)
    read_bad = {int(i): why for i, why in json.loads(about.read_text()).items()}
    return np.load(stored, mmap_mode="c", allow_pickle=False), read_bad


def _content(file: Any) -> str:
    return cache.digest_of([file.hex()]) if isinstance(file, bytes) else cache.sha256_of(file)


def _fill(pixels: NDArray[np.uint8], files: Sequence[Any], encoder: ImageEncoder) -> dict[int, str]:
    """Decode all files, on all cores; why some cannot be read."""
    bad: dict[int, str] = {}
    with ThreadPoolExecutor(usable_cores()) as pool:
        for i, one in enumerate(_in_turn(pool, files, encoder)):
            if isinstance(one, str):
                bad[i] = one
            else:
                pixels[i] = one
    return bad


def _in_turn(pool: ThreadPoolExecutor, files: Sequence[Any], encoder: ImageEncoder) -> Iterator[Any]:
    """A block at a time, so that a queue of decoded images never fills memory."""
    for start in range(0, len(files), BLOCK):
        yield from pool.map(lambda file: _one(file, encoder), files[start : start + BLOCK])


def _one(file: Any, encoder: ImageEncoder) -> NDArray[np.uint8] | str:
    try:
        return encoder.encode_one(file)
    except (OSError, ValueError, SyntaxError) as error:
        return str(error)[:200] or type(error).__name__
