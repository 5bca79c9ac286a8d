"""Data of one's own in every format: read alike, encoded as by hand, and refused with file, row and what to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from s2e.artifacts import save_model
from s2e.data.datasets import Dataset, checked
from s2e.data.encoder import TableEncoder
from s2e.data.encoders import ImageEncoder
from s2e.data.inputs import Inputs
from s2e.data.own import cache, layouts
from s2e.data.own.look import preview
from s2e.data.own.new_rows import rows_in
from s2e.door import parse_job
from s2e.parts import DATASETS
from s2e.train.trial import PopulationEnd, train_population
from s2e.words import (
    DataError,
    DataSpec,
    MissingExtraError,
    PlanSpec,
    Population,
    SpecError,
    TrainSpec,
    TrialSpec,
    read,
    to_json,
)

HUGGINGFACE = Path(__file__).parent / "huggingface"
"""32 + 8 rows of two classes, as datasets 5.2.0 writes them to disk."""
ROWS = {
    "x": [1.5, 2.0, None, 4.0] * 5,
    "colour": ["red", "blue", "red", None] * 5,
    "id": [f"r{i}" for i in range(20)],
    "sure": [True, False] * 10,
    "kind": ["oak", "yew"] * 10,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Dataset]:
    def read(name: str, **params: Any) -> Dataset:
        spec = parse_job({"data": {"name": name, "params": params}}).data
        return checked(DATASETS[name].of(params).read(spec, str(tmp_path)))

    return read


def text_of(columns: dict[str, Any], delimiter: str = ",") -> str:
    rows = zip(*columns.values(), strict=True)
    return "\n".join(delimiter.join("" if cell is None else str(cell) for cell in row) for row in (columns, *rows))


def picture(value: int, size: tuple[int, int] = (9, 7), mode: str = "RGB") -> Image.Image:
    return Image.fromarray(np.full((*size, 3), value, dtype=np.uint8)).convert(mode)


# --- tables -----------------------------------------------------------------------------------------------------------


def test_a_table_is_the_same_in_every_format(tmp_path: Path, load: Any) -> None:
    table = pa.table(ROWS)
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    pa.feather.write_feather(table, tmp_path / "t.feather", compression="uncompressed")
    with pa.ipc.new_stream(tmp_path / "t.arrow", table.schema) as file:
        file.write_table(table)
    (tmp_path / "t.csv").write_text(text_of(ROWS))
    (tmp_path / "t.tsv").write_text(text_of(ROWS, "\t"))
    columns = table.set_column(1, "colour", table["colour"].dictionary_encode())
    pa.parquet.write_table(columns, tmp_path / "called.csv")
    own = {"label": "kind", "id_column": "id", "exclude": ["sure"]}
    first, *others = [
        load("table", path=path, **own)
        for path in ("t.parquet", "t.feather", "t.arrow", "t.csv", "t.tsv", "called.csv")
    ]
    assert first.class_names == ("oak", "yew")
    assert first.missing == {"x": 5, "colour": 5}
    assert set(first.train_ids) < set(ROWS["id"])
    assert first.train_images.shape == (16, 4)  # a number; no colour, blue, red
    for other in others:
        assert torch.equal(other.train_images, first.train_images)
        assert torch.equal(other.test_labels, first.test_labels)


def test_columns_that_tell_no_class_from_another_are_left_out_and_named(tmp_path: Path, load: Any) -> None:
    """One value, no value, pandas' index, numbers that count the rows; new rows may have them or not."""
    odd = {"": range(20), "lab": ["Alba"] * 20, **ROWS, "empty": [None] * 20, "no": range(7, 27), "last": ROWS["kind"]}
    (tmp_path / "t.csv").write_text(text_of(odd))
    whole = load("table", path="t.csv", label="last", exclude=["id", "kind"])
    assert whole.notes == (
        "column (without a name) is left out: it numbers the rows (row_numbers = 'keep' makes it a feature)",
        "column lab is left out: it holds 'Alba' in all rows",
        "column empty is left out: it is empty",
        "column no is left out: it numbers the rows (row_numbers = 'keep' makes it a feature)",
    )
    assert preview(whole)["notes"] == list(whole.notes)
    assert whole.missing == {"x": 5, "colour": 5}
    encoder = whole.encoder
    assert isinstance(encoder, TableEncoder)
    assert [column.name for column in encoder.columns] == ["x", "colour", "sure"]
    short = {"x": 2.0, "colour": "blue", "sure": True}
    rows = [short, short | {"lab": "Asti", "no": 1}, short | {"lab": "Alba"}]
    expected = encoder.samples_of(rows)
    assert (expected == expected[0]).all()
    assert (encoder.samples_of([[2.0, "blue", True], [9, "Asti", 2.0, "blue", True, None, 3]]) == expected[0]).all()
    kept = load("table", path="t.csv", label="last", exclude=["id", "kind", "lab", "empty"], row_numbers="keep")
    assert (whole.train_images.shape[1], kept.train_images.shape[1], kept.notes) == (6, 8, ())


@pytest.mark.parametrize("index", ["", "7,"])
@pytest.mark.parametrize("label", [True, False])
def test_numbers_are_names_of_columns_in_new_rows_too(tmp_path: Path, load: Any, index: str, label: bool) -> None:
    """As pandas writes a frame made of an array, with its index or without; and as a table without a header is."""
    lines = [f"{i % 7}.5,{i % 3},{'oak' if i % 2 else 'yew'}" for i in range(20)]
    head = f"{index and ','}0,1,kind"
    (tmp_path / "t.csv").write_text("\n".join([head, *(f"{index and f'{i},'}{line}" for i, line in enumerate(lines))]))
    encoder = load("table", path="t.csv").encoder
    new = [line if label else line.rpartition(",")[0] for line in lines[:3]]
    named = [head if label else head.rpartition(",")[0], *(index + line for line in new)]
    expected = encoder.encode([["0.5", "0"], ["1.5", "1"], ["2.5", "2"]])
    for file, first in ((named, 2), (new, 1)):
        (tmp_path / "new.csv").write_text("\n".join(file))
        ids, rows = rows_in(tmp_path / "new.csv", Inputs(encoder))
        assert list(ids) == [first, first + 1, first + 2]
        np.testing.assert_array_equal(encoder.samples_of(rows), expected)


def test_a_column_of_numbers_that_skip_or_repeat_is_a_feature(tmp_path: Path, load: Any) -> None:
    """Whole numbers in another order, too, but not the index of rows that pandas has shuffled."""
    order = [7, 3, *range(8, 20), 0, 1, 2, 4, 5, 6]
    odd = {"Unnamed: 0": order, "year": order, "day": [*range(19), 18], **ROWS}
    (tmp_path / "t.csv").write_text(text_of(odd))
    whole = load("table", path="t.csv", label="kind", id_column="id")
    assert [note.split(" is ")[0] for note in whole.notes] == ["column Unnamed: 0"]


def test_texts_beside_numbers_are_read_by_their_words(tmp_path: Path, load: Any) -> None:
    """As data of texts are; an empty cell has no word, and a new row need not have been seen."""
    said = ["old oak by the river", "young yew in a wood"]
    about = [f"{said[i % 2]} {'north' if i % 3 else 'south'} number{i}" for i in range(20)]
    (tmp_path / "t.csv").write_text(text_of({"about": about, **ROWS}))
    whole = load("table", path="t.csv", label="kind", id_column="id")
    assert whole.notes == ("column about: texts, of which the words count (exclude = ['about'] leaves it out)",)
    encoder = whole.encoder
    assert isinstance(encoder, TableEncoder)
    assert read(TableEncoder, to_json(encoder)) == encoder
    (words,) = encoder.texts
    x_SF = encoder.samples_of([{"about": text, "x": 2, "colour": "red", "sure": True} for text in (*about[:2], "")])
    n_words = x_SF.shape[1] - 6
    np.testing.assert_array_equal(x_SF[:, :n_words], words.encode([*about[:2], ""]))
    assert not x_SF[2, :n_words].any()
    assert whole.train_images.shape[1] == x_SF.shape[1]


def test_columns_of_vectors_and_of_files_name_what_reads_them(tmp_path: Path, load: Any) -> None:
    vectors = pa.array([[1.0, float(i)] for i in range(20)])
    for column, message in (
        (vectors, r"column odd holds vectors: data\.name = 'embeddings' with data\.params\.column = 'odd'"),
        (pa.array([b"x"] * 20), r"column odd holds files: data\.name = 'image_table' with data\.params\.image = 'odd'"),
    ):
        pa.parquet.write_table(pa.table({**ROWS, "odd": column}), tmp_path / "t.parquet")
        with pytest.raises(DataError, match=message):
            load("table", path="t.parquet", label="kind", id_column="id")


@pytest.mark.parametrize(
    ("change", "params", "message"),
    [
        ({}, {"label": "tree"}, r"data\.params\.label = 'tree': t\.csv has no such column; known: x, colour"),
        ({"id": ["r1"] * 20}, {"id_column": "id"}, r"t\.csv, row 3, column id: id 'r1' is that of row 2 too"),
        (
            {"x": [7] * 20, "colour": ["red"] * 20, "sure": [None] * 20},
            {"exclude": ["id"]},
            r"t\.csv has no column to tell classes apart by; column x is left out: it holds '7' in all rows; column",
        ),
        (
            {"id": [f"pictures/{i}.JPG" for i in range(20)]},
            {},
            r"column id \(20\): .* names of image files; data\.name = 'image_table' with data\.params\.image = 'id'",
        ),
        ({"kind": list("abcdefghijklmnopqrst")}, {}, "20 different labels in 20 rows look like an id"),
        ({"kind": ["oak"] * 20}, {}, "all 20 labels are the same: there is nothing to tell apart"),
        (
            {"kind": ["1", "2", "1", "2.0", *["1", "2"] * 8]},
            {},
            r"row 5, column kind: label '2.0' \(1 rows\) is '2' \(9 r",
        ),
        (
            {"id": ["r1", "r2", "", *"abcdefghijklmnopq"]},
            {"id_column": "id"},
            r"row 4, column id: no id \(1 such rows\)",
        ),
        (
            {"x": [1e300, *range(19)]},
            {"exclude": ["id"]},
            r"row 2, column x: '1e\+300' is not a finite number of at most",
        ),
        (
            {"x": [f"{i % 9 + 1}/{i % 7 + 1}/2024" for i in range(20)]},
            {"exclude": ["id"]},
            r"column x: '8/1/2024' can be read in two ways, dates \(day/month/year\) or dates \(month/day/year\)",
        ),
        (
            {
                "x": [*(f"{i}.3.2024" for i in range(1, 32)), "soon"],
                **{k: [*v, *v[:12]] for k, v in ROWS.items() if k != "x"},
            },
            {"exclude": ["id"]},
            r"row 33, column x: 'soon' among dates \(day\.month\.year\) \(1 such cells\): mend them",
        ),
        (
            {"x": [*range(22), "n/a?"], **{k: [*v, *v[:3]] for k, v in ROWS.items() if k != "x"}},
            {"exclude": ["id"]},
            r"row 24, column x: 'n/a\?' among 22 numbers",
        ),
        (
            {},
            {},
            r"column id \(20\): different texts in 20 rows look like ids or dates; leave them out: .* = \['id'\]",
        ),
        (
            {"key": [f"2024-03-{d:02}x" for d in range(1, 21)]},
            {},
            r"columns id \(20\), key \(20\): .*exclude = \['id', 'key'\], or say data.params.id_column = 'id'",
        ),
        (
            {"kind": ["oak"] * 9 + ["Oak"] * 2 + ["yew"] * 9},
            {},
            r"'Oak' \(2 rows\) is 'oak' \(9 .*label_case = 'merge'",
        ),
        ({"kind": ["oak"] * 9 + ["elm"] + ["yew"] * 10}, {}, r"row 11: the only one of class 'elm'"),
        ({"kind": ["oak", None] * 10}, {}, r"row 3 has no label: '' in column kind \(10 such rows\): fill it in"),
        ({"x": [1.0] * 19 + [float("inf")]}, {"exclude": ["id"]}, r"row 21, column x: 'inf' is not a finite number"),
    ],
)
def test_a_slip_in_a_table_is_named(tmp_path: Path, load: Any, change: Any, params: Any, message: str) -> None:
    (tmp_path / "t.csv").write_text(text_of({**ROWS, **change}))
    with pytest.raises(DataError, match=message):
        load("table", **{"path": "t.csv", "label": "kind", **params})


def test_a_look_says_how_a_table_was_read(tmp_path: Path, load: Any) -> None:
    days = [f"{d + 1}.3.2024" for d in range(20)]
    lines = [f"{day};{i},5;{('Eiche', 'Bärlauch')[i % 2]}" for i, day in enumerate(days)]
    (tmp_path / "t.csv").write_bytes("\n".join(["day;x;kind", *lines]).encode("latin-1"))
    data = load("table", path="t.csv")
    assert preview(data)["notes"] == [
        "column day: dates (day.month.year), as days since 1970",
        "column x: numbers with decimal commas",
        "t.csv is read as Windows-1252 (Latin-1), not as UTF-8",
    ]
    assert data.class_names == ("Bärlauch", "Eiche")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04\x95\x10abc", "not a readable table: CSV, TSV, Parquet, Arrow"),
        (b"1,2\n3,4\n5,6\n", "row 1 holds numbers, not names of columns; say header = false"),
        (b"a,a\n3,4\n5,6\n", "two columns are called 'a'"),
        (b"PAR1 and no more", r"t\.any cannot be read"),
        (b"ARROW1 and no more", r"t\.any cannot be read"),
        (b"", "0 rows of 0 columns"),
        (
            b"0.5,a\n1.5,b\n2.5,a\n",
            r"row 1 \(0\.5, a\) looks like a sample, not like names of columns; say header = false",
        ),
        (b"x,y\n1,a\n2,\x81\n", "it is not UTF-8, save it as such"),
        (b"x,y\n1,a\n2,b\0\n", "row 3 holds a NUL byte"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, load: Any, content: bytes, message: str) -> None:
    (tmp_path / "t.any").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load("table", path="t.any")


def test_a_test_file_needs_the_same_columns(tmp_path: Path, load: Any) -> None:
    (tmp_path / "t.csv").write_text("x,z,y\n1,2,a\n3,4,b\n")
    (tmp_path / "u.csv").write_text("z,x,y\n2,1,a\n")
    (tmp_path / "v.csv").write_text("x,z,y\n2,1,a\n0,3,b\n")
    with pytest.raises(DataError, match=r"u\.csv: 1 rows of 3 columns"):
        load("table", path="t.csv", test_path="u.csv")
    (tmp_path / "u.csv").write_text("z,x,y\n2,1,a\n1,1,b\n")
    with pytest.raises(DataError, match=r"u\.csv has the columns z, x, but t\.csv has x, z: they have to be the same"):
        load("table", path="t.csv", test_path="u.csv")
    assert load("table", path="t.csv", test_path="v.csv").test_images.tolist() == [[0, -2], [-2, 0]]


@pytest.mark.parametrize(
    ("params", "field"),
    [({}, "path"), ({"path": "/etc/passwd"}, "path"), ({"path": "a", "test_path": "../b"}, "test_path")],
)
def test_paths_outside_the_data_root_are_refused_at_the_door(params: Any, field: str) -> None:
    with pytest.raises(SpecError, match=rf"data\.params\.{field} = .* below the data root"):
        parse_job({"data": {"name": "table", "params": params}})


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pa.parquet.write_table(pa.table(ROWS), tmp_path / "t.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 's2e\[data\]'"):
        load("table", path="t.parquet")


# --- a Hugging Face folder, by every kind -----------------------------------------------------------------------------


def test_a_hugging_face_folder_is_a_table_embeddings_texts_or_images(tmp_path: Path, load: Any) -> None:
    (tmp_path / "hf").symlink_to(HUGGINGFACE)
    table = load("table", path="hf", label="label", exclude=["image", "text", "vector", "sure"])
    assert (table.class_names, len(table.train_labels), len(table.test_labels)) == (("dark", "light"), 32, 8)
    assert table.missing == {"x": 1}
    vectors = load("embeddings", path="hf/train", column="vector", test_share=0.25)
    assert vectors.train_images.shape == (24, 2)
    torch.testing.assert_close(vectors.train_images.std(0, correction=0), torch.ones(2))
    texts = load("text", path="hf", n_vectors=0)
    assert len(texts.encoder.terms) == texts.train_images.shape[1] == 29  # a one-digit number is no word
    images = load("image_table", path="hf", size=8)
    assert images.train_images.shape == (32, 3, 8, 8)
    bright = images.train_images.float().mean((1, 2, 3))
    assert bright[images.train_labels == 1].min() > bright[images.train_labels == 0].max()
    with pytest.raises(DataError, match="holds vectors there"):
        load("image_table", path="hf", image="vector")
    with pytest.raises(DataError, match="holds no vectors there"):
        load("embeddings", path="hf", column="text")


# --- images -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, value in (("cat", 40), ("dog", 200)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(6):
            suffix, mode = (("png", "RGB"), ("jpg", "L"), ("png", "P"))[i % 3]
            picture(value, (9 + i, 14 - i), mode).save(tmp_path / "pets" / name / f"{i}.{suffix}")
    (tmp_path / "pets" / "cat" / "Thumbs.db").write_bytes(b"not an image")
    return tmp_path / "pets"


def test_folders_of_images_of_any_size_and_mode(folder: Path, load: Any, own_cache: Path) -> None:
    data = load("images", path="pets", size=8)
    assert (data.class_names, data.max_value) == (("cat", "dog"), 255)
    assert data.train_images.shape[1:] == (3, 8, 8)
    assert all(name.startswith(("pets/cat/", "pets/dog/")) for name in data.train_ids)
    means = data.train_images.float().mean((1, 2, 3))
    torch.testing.assert_close(means, torch.where(data.train_labels == 0, 40.0, 200.0), atol=3, rtol=0)
    stored = next(own_cache.glob("images-*.npy"))
    written = stored.stat().st_mtime_ns
    assert load("images", path="pets", size=8, test_share=0.3).n_classes == 2  # read again, not decoded
    assert stored.stat().st_mtime_ns == written
    picture(90).save(folder / "cat" / "0.png")
    load("images", path="pets", size=8, test_share=0.4)
    assert len(list(own_cache.glob("images-*.npy"))) == 2  # another content, another key


def test_images_that_cannot_be_read_are_named_and_skipped_only_when_asked(folder: Path, load: Any) -> None:
    (folder / "dog" / "7.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (folder / "dog" / "8.gif").write_text("<html>404</html>")
    with pytest.raises(DataError, match=r"pets: 2 of 14 images cannot be read: pets/dog/7\.png .*unreadable = skip"):
        load("images", path="pets", size=8)
    data = load("images", path="pets", size=8, unreadable="skip")
    assert len(data.train_labels) + len(data.test_labels) == 12
    assert [line.split(" ")[0] for line in data.skipped] == ["pets/dog/7.png", "pets/dog/8.gif"]


def test_folders_that_hold_no_classes_are_refused(folder: Path, load: Any) -> None:
    with pytest.raises(DataError, match="cat holds no folder: images are files in one folder for each class"):
        load("images", path="pets/cat", size=8)
    (folder / "cow").mkdir()
    with pytest.raises(DataError, match=r"pets/cow holds no image \(1 such folders\): add some, or remove it"):
        load("images", path="pets", size=8)


def test_an_image_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch, folder: Path, load: Any) -> None:
    monkeypatch.setattr("s2e.data.encoders.MAX_PIXELS", 100)
    with pytest.raises(DataError, match="pixels, at most 100 are read"):
        load("images", path="pets", size=8)


def test_sixteen_bits_and_rotations_are_read_as_they_look() -> None:
    deep = Image.fromarray(np.full((8, 8), 257 * 77, dtype=np.uint16))
    assert ImageEncoder(8, "grey").encode_one(deep).mean() == 77
    lying = Image.fromarray(np.repeat([[0, 255]], 8, axis=1).repeat(8, axis=0).astype(np.uint8).reshape(8, 16)[:, :8])
    assert ImageEncoder(8, "grey").encode_one(lying).shape == (1, 8, 8)


def test_published_lists_of_images(folder: Path, load: Any, tmp_path: Path) -> None:
    keys = [f"images/{name}{i}.png" for name in ("cat", "dog") for i in range(6)]
    for root in ("clothing/images", "clothing/annotations", "web/info", "web/val_images_256", "web/google"):
        (tmp_path / root).mkdir(parents=True)
    for i, key in enumerate(keys):
        picture(20 * i).save(tmp_path / "clothing" / key)
        picture(20 * i).save(tmp_path / "web" / "google" / f"{i}.png")
        picture(20 * i).save(tmp_path / "web" / "val_images_256" / f"{i}.png")
    notes = tmp_path / "clothing" / "annotations"
    (notes / "noisy_train_key_list.txt").write_text("\n".join(keys[:9]))
    (notes / "noisy_label_kv.txt").write_text("\n".join(f"{key} {i % 2}" for i, key in enumerate(keys)))
    (notes / "clean_test_key_list.txt").write_text("\n".join(keys[9:]))
    (notes / "clean_label_kv.txt").write_text("\n".join(f"{key} {int('dog' in key)}" for key in keys))
    data = load("image_table", path="clothing", layout="clothing1m", size=8)
    assert (data.train_labels.tolist(), data.test_labels.tolist()) == ([0, 1, 0, 1, 0, 1, 0, 1, 0], [1, 1, 1])
    (tmp_path / "web" / layouts.WEBVISION_TRAIN).write_text("\n".join(f"google/{i}.png {i % 3}" for i in range(12)))
    (tmp_path / "web" / layouts.WEBVISION_TEST).write_text("\n".join(f"{i}.png {i % 3}" for i in range(9)))
    data = load("image_table", path="web", layout="webvision", size=8, most_classes=2)
    assert (data.n_classes, len(data.train_labels), len(data.test_labels)) == (2, 8, 6)
    (notes / "noisy_train_key_list.txt").write_text("\n".join([*keys[:9], "images/who.png"]))
    with pytest.raises(DataError, match=r"row 10: 'images/who\.png' has no label in noisy_label_kv\.txt"):
        load("image_table", path="clothing", layout="clothing1m", size=16)


def test_a_table_of_paths_names_the_row_of_a_missing_file(folder: Path, load: Any, tmp_path: Path) -> None:
    lines = [f"pets/{kind}/{i}.{'jpg' if i % 3 == 1 else 'png'},{kind}" for i in range(6) for kind in ("cat", "dog")]
    (tmp_path / "list.csv").write_text("\n".join(["image,label", *lines]))
    assert load("image_table", path="list.csv", size=8).train_images.shape[1:] == (3, 8, 8)
    (tmp_path / "list.csv").write_text("\n".join(["image,label", *lines, "pets/cat/99.png,cat"]))
    with pytest.raises(DataError, match=r"list\.csv, row 14, pets/cat/99\.png \(no such file\)"):
        load("image_table", path="list.csv", size=8)
    (tmp_path / "list.csv").write_text("\n".join(["image,label", *lines, "../secret.png,cat"]))
    with pytest.raises(DataError, match=r"list\.csv, row 14: '\.\./secret\.png' is not a path below"):
        load("image_table", path="list.csv", size=8)


# --- texts ------------------------------------------------------------------------------------------------------------


def test_texts_are_folders_of_files_too(tmp_path: Path, load: Any, own_cache: Path) -> None:
    for kind, words in (("ham", "meet you at noon"), ("spam", "win a great prize")):
        (tmp_path / "mail" / kind).mkdir(parents=True)
        for i in range(10):
            (tmp_path / "mail" / kind / f"{i}.txt").write_text(f"{words} {'now ' * (i % 3)}")
    data = load("text", path="mail", n_vectors=3)
    assert (data.class_names, data.train_images.shape) == (("ham", "spam"), (16, 3))
    assert float((data.train_images**2).mean()) == pytest.approx(1, rel=1e-4)
    again = load("text", path="mail", n_vectors=3, test_share=0.2001)  # fitted once: from the cache
    assert torch.equal(again.train_images, data.train_images)
    assert len(list(own_cache.glob("text-*.json"))) == 1
    hashed = load("text", path="mail", features="hashed", n_terms=64, n_words=2)
    assert hashed.train_images.shape == (16, 64)
    (tmp_path / "mail" / "ham" / "0.txt").write_text(" \n")
    with pytest.raises(DataError, match=r"mail/ham/0\.txt: no text \(1 such rows\): fill it in, or leave it out"):
        load("text", path="mail", n_vectors=2)


# --- new rows, in another process, from the file alone ----------------------------------------------------------------

PREDICT = """
import sys
import s2e
from PIL import Image
import numpy as np

dark, light = (Image.fromarray(np.full((30, 20, 3), v, dtype=np.uint8)) for v in (20, 230))
rows = {
    "image_table": [dark, light],
    "text": ["bad awful film", {"text": "good great film"}],
    "embeddings": [[0.0, 1.0], [1.2, 1.0]],
}
for path in sys.argv[1:]:
    model = s2e.load_model(path)
    print(*model.predict(rows[path.split("/")[-3]]))
"""


@pytest.mark.slow
def test_the_models_file_alone_predicts_new_rows_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "hf").symlink_to(HUGGINGFACE)
    kinds = {
        "image_table": {"path": "hf", "size": 8},
        "text": {"path": "hf", "n_vectors": 4},
        "embeddings": {"path": "hf", "column": "vector"},
    }
    paths = [str(tmp_path / "out" / _trained(name, params, tmp_path)) for name, params in kinds.items()]
    (tmp_path / "hf").unlink()
    done = subprocess.run([sys.executable, "-c", PREDICT, *paths], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["dark", "light"] * 3, done.stderr


def _trained(name: str, params: dict[str, Any], root: Path) -> str:
    """The path of a model of two networks below ``root/out``."""
    data = parse_job({"data": {"name": name, "params": params}, "report": {"tau": 0.1}}).data
    small = TrainSpec(
        network="mlp" if "image" in name else "mlp_tabular", n_epochs=15, batch_size=8, learning_rate=0.01
    )
    trial = TrialSpec(0, 0, "search", 0, (1.0,) * 15, 1, 2, 3)
    population = Population(DataSpec(**{**vars(data), "n_validation": 8}), small, PlanSpec(), 1, (trial,))
    *_, end = train_population(population, data_root=str(root))
    assert isinstance(end, PopulationEnd)
    return save_model(root / "out", name, 1, population, trial, end.results[0], end.models[0], end.network)
