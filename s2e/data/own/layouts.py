"""The lists of published sets of image files with noisy labels, as their authors lay them out.

clothing1m   [annotations/]noisy_train_key_list.txt, clean_{train,val,test}_key_list.txt: a path in each line;
             noisy_label_kv.txt, clean_label_kv.txt beside them: path and class
webvision    info/train_filelist_google.txt, info/val_filelist.txt: path and class (validation images below
             val_images_256)
"""

from __future__ import annotations

from pathlib import Path

from s2e.data.own.tables import Frame
from s2e.words import DataError

MAX_BYTES = 2**30
CLOTHING_TRAIN, CLOTHING_TEST = "noisy_train_key_list.txt", "clean_test_key_list.txt"
WEBVISION_TRAIN, WEBVISION_TEST = "info/train_filelist_google.txt", "info/val_filelist.txt"
VALIDATION_IMAGES = "val_images_256"


def lists_of(folder: Path, layout: str) -> tuple[str, str]:
    """Paths of the training and the test list below the folder of the set. Raises DataError if one is missing."""
    if layout == "webvision":
        names = (WEBVISION_TRAIN, WEBVISION_TEST)
    else:
        inner = "annotations/" if (folder / "annotations").is_dir() else ""
        names = (inner + CLOTHING_TRAIN, inner + CLOTHING_TEST)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder.name} is not laid out as {layout}: {missing[0]} is missing")
    return names


def read_list(path: Path, layout: str, most_classes: int | None) -> tuple[Frame, Path]:
    """Columns image and label, and the folder that the paths are below. Raises DataError that names the row."""
    rows = _pairs(path) if layout == "webvision" else _keys(path)
    if most_classes is not None:
        rows = [(key, label) for key, label in rows if int(label) < most_classes]
    below = path.parent.parent if path.parent.name in ("annotations", "info") else path.parent
    if layout == "webvision" and path.name.startswith("val") and (below / VALIDATION_IMAGES).is_dir():
        below = below / VALIDATION_IMAGES
    if len(rows) < 2:
        raise DataError(f"{path.name}: {len(rows)} images; at least 2 are needed")
    return Frame(path.name, ["image", "label"], [[key for key, _ in rows], [label for _, label in rows]], 1), below


def _keys(path: Path) -> list[tuple[str, str]]:
    """Of a key list, with the labels that the file beside it has."""
    kind = "clean" if path.name.startswith("clean") else "noisy"
    labels = dict(_pairs(path.with_name(f"{kind}_label_kv.txt")))
    keys = [line.strip() for line in _text(path).splitlines() if line.strip()]
    unlabelled = [i for i, key in enumerate(keys) if key not in labels]
    if unlabelled:
        row, key = unlabelled[0] + 1, keys[unlabelled[0]]
        raise DataError(f"{path.name}, row {row}: {key[:80]!r} has no label in {kind}_label_kv.txt ({len(unlabelled)})")
    return [(key, labels[key]) for key in keys]


def _pairs(path: Path) -> list[tuple[str, str]]:
    lines = [(i, line.split()) for i, line in enumerate(_text(path).splitlines(), 1) if line.strip()]
    odd = [i for i, cells in lines if len(cells) != 2 or not cells[1].isdecimal()]
    if odd:
        raise DataError(f"{path.name}, row {odd[0]}: every line is a path and the number of a class")
    return [(cells[0], cells[1]) for _, cells in lines]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size <= MAX_BYTES:
            return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from error
    raise DataError(f"{path.name} has more than {MAX_BYTES} bytes")
