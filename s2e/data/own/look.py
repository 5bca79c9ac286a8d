"""A look at data before they are registered: read whole, checked, counted. ``python -m s2e.data.own.look``.

A service looks in a process of its own: the files are a stranger's, and the API imports no torch.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import torch

from s2e.data.datasets import Dataset, checked
from s2e.data.own.files import fingerprint_of, n_bytes_of
from s2e.data.own.propose import proposal
from s2e.data.own.trusted import words
from s2e.data.rows import blocks_of
from s2e.parts import DATASETS
from s2e.startup import start_quickly
from s2e.words import DataSpec, S2EError, read, to_json

MOST_NAMED = 20
"""Skipped files and columns with missing cells that are listed."""


@dataclass(frozen=True)
class Duplicates:
    """Rows that another row repeats."""

    n_rows: int
    n_disagreeing: int
    """Of them, those with another label than the first of their kind."""


def look(data: DataSpec, data_root: str) -> dict[str, Any]:
    """Preview, fingerprint and proposal as plain JSON. Raises DataError for data that cannot train."""
    part = DATASETS.find(data.name, "data.name").of(data.params, "data.params")
    before = fingerprint_of(part, data, data_root)
    whole = checked(part.read(data, data_root))
    shape = tuple(whole.train_images.shape[1:])
    n_trusted = whole.counted.n_validation if whole.counted else 0
    return {
        "fingerprint": before,
        "n_bytes": n_bytes_of(part, data, data_root),
        "preview": preview(whole),
        "proposed": asdict(proposal(shape, len(whole.train_labels), whole.n_classes, n_trusted)),
    }


def preview(whole: Dataset) -> dict[str, Any]:
    """Facts about the data that a user should see before the first training."""
    labels = torch.cat([whole.train_labels, whole.test_labels]).numpy()
    names = whole.class_names or tuple(map(str, range(whole.n_classes)))
    count_C = np.bincount(labels, minlength=whole.n_classes)
    same = duplicates(whole)
    missing = sorted(whole.missing.items(), key=lambda item: -item[1])
    return {
        "n_rows": len(labels),
        "n_train": len(whole.train_labels),
        "n_test": len(whole.test_labels),
        "n_classes": whole.n_classes,
        "classes": [{"name": name, "n_rows": int(n)} for name, n in zip(names, count_C, strict=True)],
        "shape": list(whole.train_images.shape[1:]),
        "n_duplicates": same.n_rows,
        "n_disagreeing": same.n_disagreeing,
        "missing": dict(missing[:MOST_NAMED]),
        "n_skipped": len(whole.skipped),
        "skipped": list(whole.skipped[:MOST_NAMED]),
        "notes": list(whole.notes),
        "trusted": words(whole.counted),
    }


def duplicates(whole: Dataset) -> Duplicates:
    """Rows equal to an earlier one in every number."""
    first: dict[bytes, int] = {}
    n_rows = n_disagreeing = 0
    for x, label_S in ((whole.train_images, whole.train_labels), (whole.test_images, whole.test_labels)):
        each = (row for block in blocks_of(x) for row in block.numpy())
        for row, label in zip(each, label_S.tolist(), strict=True):
            n_disagreeing += first.setdefault(sha256(row.tobytes()).digest(), label) != label
            n_rows += 1
    return Duplicates(n_rows - len(first), n_disagreeing)


def main() -> None:
    """One look: the data and the data root as JSON on standard input, the answer or the refusal on standard output."""
    start_quickly()
    asked = json.load(sys.stdin)
    try:
        answer = look(read(DataSpec, asked["data"]), asked["data_root"])
    except S2EError as error:
        answer = {"refused": str(error)}
    json.dump(to_json(answer), sys.stdout)


if __name__ == "__main__":
    main()
