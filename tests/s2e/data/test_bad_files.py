"""Slips in arrays and vectors that were taken for data, and files that change while a process runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from s2e.data.datasets import load_split, load_whole, noisy_labels
from s2e.data.own import cache
from s2e.data.own.files import Looks, state_of
from s2e.door import parse_job
from s2e.parts import DATASETS
from s2e.words import DataError, DataSpec

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.array(["a", "b"] * 20)


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))

    def load(name: str, **params: Any) -> Any:
        return load_whole(spec_of(name, **params), str(tmp_path))

    return load


def spec_of(name: str, **params: Any) -> DataSpec:
    return parse_job({"data": {"name": name, "params": params, "n_validation": 4}, "report": {"tau": 0.1}}).data


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(40), r"a\.npz, y: 40 different labels in 40 rows look like an id"),
        (np.array([*Y[:39], "z"]), r"a\.npz, y, row 39: the only one of class z \(1 such classes\)"),
        (np.array([*Y[:38], "", ""]), r"a\.npz, y, row 38 has no label \(2 such rows\)"),
        (np.zeros(40, dtype=int), "all 40 labels are the same"),
        (np.repeat(np.arange(1_200), 3), "1200 different labels, 2 to 1000"),
    ],
)
def test_labels_of_arrays_are_looked_at_as_those_of_tables(
    labels: Any, message: str, tmp_path: Path, read: Callable[..., Any]
) -> None:
    np.savez(tmp_path / "a.npz", X=np.resize(X, (len(labels), 3)), y=labels)
    with pytest.raises(DataError, match=message):
        read("arrays", path="a.npz")


@pytest.mark.parametrize(
    ("vectors", "message"), [([[]] * 40, "holds no numbers"), ([[1.0, 2.0]] * 40, "holds the same numbers in all rows")]
)
def test_vectors_that_say_nothing_are_refused(
    vectors: Any, message: str, tmp_path: Path, read: Callable[..., Any]
) -> None:
    table = pa.table({"embedding": pa.array(vectors, pa.list_(pa.float32())), "label": Y})
    pa.parquet.write_table(table, tmp_path / "v.parquet")
    with pytest.raises(DataError, match=message):
        read("embeddings", path="v.parquet")


def test_a_file_that_was_mended_is_read_again(tmp_path: Path, read: Callable[..., Any]) -> None:
    """In one process, as somebody at a notebook does it."""
    np.savez(tmp_path / "a.npz", X=X, y=Y)
    data = spec_of("arrays", path="a.npz")
    before, labels = load_split(data, str(tmp_path)), noisy_labels(data, 1, str(tmp_path))
    assert load_split(data, str(tmp_path)) is before
    np.savez(tmp_path / "a.npz", X=2 * X, y=Y)
    assert torch.equal(load_split(data, str(tmp_path)).train.images, 2 * before.train.images)
    np.savez(tmp_path / "a.npz", X=X, y=Y[::-1])
    load_split(data, str(tmp_path))
    assert not torch.equal(noisy_labels(data, 1, str(tmp_path)), labels)


@pytest.mark.parametrize("depth", range(4))
def test_an_image_edited_in_place_is_read_again(depth: int, tmp_path: Path, read: Callable[..., Any]) -> None:
    for kind, value in (("cat", 10), ("dog", 200)):
        below = tmp_path.joinpath("pets", kind, *"abc"[:depth])
        below.mkdir(parents=True)
        for i in range(4):
            Image.fromarray(np.full((8, 8), value + i, dtype=np.uint8)).save(below / f"{i}.bmp")
    before = read("images", path="pets", size=8)
    image = tmp_path.joinpath("pets", "cat", *"abc"[:depth], "0.bmp")
    state = image.stat()
    with image.open("r+b") as file:  # neither its folder nor its size, nor what a tool says of its age, tells
        file.seek(-1, 2)
        file.write(b"\xff")
    os.utime(image, ns=(state.st_atime_ns, state.st_mtime_ns))
    after = read("images", path="pets", size=8)
    sums = [int(data.train_images.sum() + data.test_images.sum()) for data in (before, after)]
    assert sums[1] - sums[0] == 3 * (255 - 10)


def test_a_change_of_an_image_that_a_long_table_names_is_seen(tmp_path: Path) -> None:
    n = 2_100
    Image.fromarray(np.full((8, 8), 100, dtype=np.uint8)).save(tmp_path / "0.bmp")
    for i in range(1, n):
        os.link(tmp_path / "0.bmp", tmp_path / f"{i}.bmp")
    (tmp_path / "last.bmp").write_bytes((tmp_path / "0.bmp").read_bytes())
    lines = [f"{i}.bmp,{'ab'[i % 2]}" for i in range(n)]
    (tmp_path / "t.csv").write_text("\n".join(["image,label", *lines, "last.bmp,a"]))
    asked = spec_of("image_table", path="t.csv", image="image", label="label", size=8)
    before = state_of(DATASETS["image_table"], asked, str(tmp_path))
    assert state_of(DATASETS["image_table"], asked, str(tmp_path)) == before
    Image.fromarray(np.full((8, 8), 101, dtype=np.uint8)).save(tmp_path / "last.bmp")
    assert state_of(DATASETS["image_table"], asked, str(tmp_path)) != before


def test_a_long_look_holds_for_ten_times_as_long() -> None:
    at, states = [0.0], iter("aabb")

    def look() -> str:
        at[0] += took
        return next(states)

    looks, took = Looks(lambda: at[0]), 0.01
    assert [looks.saw_change("k", look) for _ in range(3)] == [False, False, True]
    took = 2.0
    looks.saw_change("k", look)
    at[0] += 19.0
    assert not looks.saw_change("k", look)  # not looked at
    at[0] += 2.0
    with pytest.raises(StopIteration):
        looks.saw_change("k", look)


def test_folders_that_are_links_are_read_once_and_belong_to_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "1").write_text("a")
    (tmp_path / "set" / "c").mkdir(parents=True)
    (tmp_path / "set" / "c" / "0").write_text("b")
    (tmp_path / "set" / "link").symlink_to(tmp_path / "far")
    (tmp_path / "set" / "c" / "round").symlink_to(tmp_path / "set")
    files = cache.files_below(tmp_path / "set")
    assert [file.relative_to(tmp_path / "set").as_posix() for file in files] == ["c/0", "link/1"]
    before = cache.fingerprint(files, tmp_path)
    (tmp_path / "far" / "1").write_text("c")
    assert cache.fingerprint(cache.files_below(tmp_path / "set"), tmp_path) != before


def test_a_folder_that_got_an_unreadable_image_is_read_again(tmp_path: Path, read: Callable[..., Any]) -> None:
    for kind, value in (("cat", 10), ("dog", 200)):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        for i in range(6):
            pixels = np.full((8, 9, 3), value + i, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / kind / f"{i}.png")
    assert read("images", path="pets", size=8).n_classes == 2
    (tmp_path / "pets" / "cat" / "x.png").write_text("no image")
    with pytest.raises(DataError, match=r"pets/cat/x\.png"):
        read("images", path="pets", size=8)
    (tmp_path / "pets" / "cat" / "x.png").unlink()
    (tmp_path / "pets" / "cow").mkdir()
    with pytest.raises(DataError, match="pets/cow holds no image"):
        read("images", path="pets", size=8)
