"""Tables: encoding by hand, test rows, and every refusal with file, row and column."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s2e.data import encoder, tabular
from s2e.data.datasets import load_split
from s2e.data.encoder import fit_encoder
from s2e.data.tabular import load_csv, read_table
from s2e.door import parse_job
from s2e.words import CsvSpec, DataError, DataSpec, SpecError

ROOT = os.environ.get("S2E_DATA_ROOT")


@pytest.fixture
def table(tmp_path):
    def write(text, name="t.csv", **more):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(tmp_path), CsvSpec(**{"path": "t.csv", **more})

    return write


def test_numbers_are_standardised_and_texts_become_indicators():
    train = [["1", "red", "7"], ["3", "blue", "7"], ["?", "red", "7"]]
    other = [["5", "green", "8"], ["", "blue", "7"]]
    fitted = fit_encoder(train, ["0", "1", "2"])
    encoded = [fitted.encode(rows) for rows in (train, other)]
    # column 0: mean 2, deviation 1, missing is the mean; column 1: blue, red; column 2: constant, so not scaled
    np.testing.assert_allclose(encoded[0], [[-1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_allclose(encoded[1], [[3, 0, 0, 1], [0, 1, 0, 0]])
    assert encoded[0].dtype == np.float32


def test_a_table_is_split_into_stratified_test_rows_and_the_rest(table):
    root, spec = table("".join(f"{i}, {'abc'[i % 3]}\n" for i in range(30)), test_share=0.2)
    data = load_csv(root, spec)
    assert torch.bincount(data.train_labels).tolist() == [8, 8, 8]
    assert torch.bincount(data.test_labels).tolist() == [2, 2, 2]
    assert (data.n_classes, data.max_value, tuple(data.train_images.shape)) == (3, 1, (24, 1))
    assert data.train_images.double().mean() == pytest.approx(0, abs=1e-6)
    assert data.train_images.double().std(correction=0) == pytest.approx(1, abs=1e-6)
    assert torch.equal(load_csv(root, spec).test_images, data.test_images)


def test_a_test_file_shares_classes_and_scaling(table):
    root, spec = table("y;x\n10;0\n9;2\n", header=True, label_column="y", delimiter="semicolon", test_path="u.csv")
    table("y;x\n9;4\n10;1\n", name="u.csv")
    data = load_csv(root, spec)
    assert data.train_labels.tolist() == [1, 0]  # 9 comes before 10: whole numbers, not texts
    assert data.train_images.tolist() == [[-1], [1]]
    assert data.test_labels.tolist() == [0, 1]
    assert data.test_images.tolist() == [[3], [0]]


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("1,a\n2\n", {}, r"t\.csv, row 2: 1 columns instead of 2"),
        ("1,a\n", {}, "1 rows of 2 columns; at least 2 of 2"),
        ("a\nb\n", {}, "2 rows of 1 columns"),
        ("", {}, "0 rows of 0 columns"),
        ('1,"a\n2,b\n', {}, r"t\.csv, after row 0: unexpected end of data"),
        (b"1,\x81\n2,b\n", {}, "after row 0: .*utf-8"),
        ("1,a\n2,a\n3,a\n", {}, "all 3 labels are the same"),
        ("1,a\n2,?\n3,b\n", {}, r"row 2 has no label: '\?'"),
        ("1,a\n2,b\n", {"label_column": "2"}, r"label_column = '2': no such column; known: 0\.\.1"),
        ("x,y\n1,a\n2,b\n", {"header": True, "label_column": "z"}, "label_column = 'z': no such column; known: x, y"),
        ("1,a\ninf,b\n", {"test_share": 0.5}, r"t\.csv, row 2, column 0: 'inf' is not a finite number"),
        ("1,a\n2,b\n", {"path": "nowhere.csv"}, r"expected the file 'nowhere\.csv'"),
        ("1,a\n2,b\n", {"path": "../t.csv"}, r"data\.csv\.path = '\.\./t\.csv': a path below S2E_DATA_ROOT"),
        ("1,a\n2,b\n", {"test_path": "t2.csv"}, r"expected the file 't2\.csv'"),
    ],
)
def test_what_is_no_table_is_refused(table, text, more, message):
    root, spec = table(text, **more)
    with pytest.raises(DataError, match=message):
        load_csv(root, spec)


@pytest.mark.parametrize(
    ("test_rows", "message"),
    [
        ("1,c\n2,b\n", r"u\.csv, row 1, column 1: label 'c' is not among the training labels"),
        ("1,2,a\n1,2,b\n", r"u\.csv, row 1: 3 columns instead of 2"),
        ("one,a\n2,b\n", r"u\.csv, row 1, column 0: 'one' is not a finite number"),
    ],
)
def test_test_rows_that_do_not_fit_are_refused(table, test_rows, message):
    root, spec = table("1,a\n2,b\n", test_path="u.csv")
    table(test_rows, name="u.csv")
    with pytest.raises(DataError, match=message):
        load_csv(root, spec)


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_BYTES", 7, r"t\.csv has 8 bytes, at most 7"),
        ("MAX_CELLS", 3, "more than 3 cells"),
        ("MAX_CATEGORIES", 1, r"t\.csv, column 0: 2 different texts, at most 1 .*id_column = .0. takes it"),
        ("MAX_FEATURES", 1, "more than 1 features up to column 0"),
    ],
)
def test_a_table_beyond_the_limits_is_refused(table, monkeypatch, limit, value, message):
    monkeypatch.setattr(encoder if hasattr(encoder, limit) else tabular, limit, value)
    root, spec = table("p,a\nq,b\n", test_path="t.csv")
    with pytest.raises(DataError, match=message):
        load_csv(root, spec)


@given(st.binary(max_size=60))
def test_any_file_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "t.csv"
    path.write_bytes(content)
    try:
        data = load_csv(str(path.parent), CsvSpec(path="t.csv"))
    except DataError:
        return
    assert data.train_images.isfinite().all()
    assert len(data.train_labels) + len(data.test_labels) == len(read_table(path, CsvSpec())[1])


@pytest.mark.parametrize(
    ("data", "field", "allowed"),
    [
        ({"name": "csv"}, "data.csv.path", "required for data set csv"),
        ({"name": "csv", "csv": {"path": "/etc/passwd"}}, "data.csv.path", "without '..'"),
        ({"name": "csv", "csv": {"path": "a.csv", "test_path": "a/../../b"}}, "data.csv.test_path", "without '..'"),
        ({"name": "digits", "csv": {"path": "a.csv"}}, "data.csv.path", "only with data set csv, not with digits"),
        ({"name": "csv", "csv": {"path": "a.csv", "test_share": 1}}, "data.csv.test_share", "< 1"),
    ],
)
def test_a_job_with_a_table_is_checked_at_the_door(data, field, allowed):
    with pytest.raises(SpecError) as refused:
        parse_job({"data": data})
    assert [(p.field, allowed in p.allowed) for p in refused.value.problems] == [(field, True)]


def test_features_are_not_augmented():
    with pytest.raises(SpecError, match=r"train\.augment = 'crop_flip': none: csv samples are feature vectors"):
        parse_job({"data": {"name": "csv", "csv": {"path": "a.csv"}}, "train": {"augment": "crop_flip"}})


@pytest.mark.data
@pytest.mark.skipif(ROOT is None, reason="S2E_DATA_ROOT is not set")
@pytest.mark.parametrize(
    ("name", "n_rows", "n_features", "n_classes"),
    [("banknote_authentication", 1_372, 4, 2), ("ionosphere", 351, 34, 2), ("optdigits8x8", 1_797, 64, 10)],
)
def test_real_tables(name, n_rows, n_features, n_classes):
    spec = DataSpec(name="csv", csv=CsvSpec(path=f"uci/{name}.csv"), n_validation=50)
    data = load_split(spec, ROOT)
    assert sum(len(part.labels) for part in (data.train, data.validation, data.test)) == n_rows
    assert data.train.images.shape[1] == n_features
    assert data.n_classes == n_classes


@pytest.mark.data
@pytest.mark.skipif(ROOT is None, reason="S2E_DATA_ROOT is not set")
def test_texts_and_missing_cells_of_a_real_table():
    """Adult: 6 columns of numbers; 8 of text with 7, 16, 7, 14, 6, 5, 2 and 41 categories (? and rare ones included)
    make at most 102 features and, as rare ones may all test, hardly fewer."""
    spec = DataSpec(name="csv", csv=CsvSpec(path="uci/adult-train.csv"), n_validation=1_000)
    data = load_split(spec, ROOT)
    assert 104 <= data.train.images.shape[1] <= 108
    assert data.train.labels.double().mean() == pytest.approx(0.2408, abs=2e-3)


def test_a_table_trains(tmp_path, make_population):
    """Two classes told apart by one number: learned in a few epochs, through the engine that trains images."""
    from s2e.train.trial import PopulationEnd, train_population
    from s2e.words import NoiseSpec

    rng = np.random.default_rng(0)
    label_S = np.arange(400) % 2
    number_S = rng.normal(size=400) + 4 * label_S
    (tmp_path / "t.csv").write_text("".join(f"{x:.3f},{y}\n" for x, y in zip(number_S, label_S, strict=True)))
    data = DataSpec(name="csv", csv=CsvSpec(path="t.csv"), noise=NoiseSpec("symmetric", 0.2), n_validation=50)
    population = make_population(ks=(0, 1), n_epochs=6, data=data, batch_size=16, learning_rate=0.01)
    *_, end = train_population(population, data_root=str(tmp_path))
    assert isinstance(end, PopulationEnd)
    assert all(result.test_accuracy > 0.9 for result in end.results)


# --- tables as people have them ---------------------------------------------------------------------------------------


def rows_of_numbers(n=60, label="{c}"):
    return "".join(f"{i}.5,{i % 7},{label.format(c='ab'[i % 2])}\n" for i in range(n))


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("x,z,class\n" + rows_of_numbers(), {}, r"t\.csv, row 1, column 0: 'x' above nothing but numbers looks like .*"
         r"data\.csv\.header = true"),
        ("x,z,class\n" + rows_of_numbers(), {"label_column": "class"}, r"known: 0\.\.2; .*data\.csv\.header = true"),
        (rows_of_numbers() + "7,3,?\n", {}, r"t\.csv, row 61 has no label: '\?' in column 2 .*: fill it in"),
        ("x,z,class\n" + rows_of_numbers() + "7,3,\n", {"header": True}, r"row 62 has no label: '' in column class"),
        (rows_of_numbers(200) + "12kg,3,a\n", {}, r"t\.csv, row 201, column 0: '12kg' among 200 numbers .*mend them"),
        (rows_of_numbers() + "7,3,c\n", {}, r"t\.csv, row 61: the only one of class 'c' \(1 such classes\): add rows"),
        ("".join(f"{i % 5},row-{i}\n" for i in range(50)), {}, "50 different labels in 50 rows look like an id"),
        ("".join(f"?,{i},{'ab'[i % 2]}\n" for i in range(50)), {}, r"t\.csv, column 0: every training cell is empty"),
        ("".join(f"{i};{'ab'[i % 2]}\n" for i in range(50)), {}, r"is comma what separates its cells"),
        (b"PAR1\x15\x04\x15", {}, r"t\.csv is a Parquet file, not a table of text: write it as one"),
        (b"PK\x03\x04\x14\x00", {}, r"t\.csv is a zip archive \(such as \.npz or \.xlsx\)"),
        (b"\x80\x04\x95\x10", {}, r"t\.csv is a pickle"),
    ],
)  # fmt: skip
def test_a_slip_in_a_table_is_named_with_what_to_do(table, text, more, message):
    root, spec = table(text, **more)
    with pytest.raises(DataError, match=message):
        load_csv(root, spec)


def test_real_files_of_other_formats_are_told_apart(tmp_path):
    np.savez(tmp_path / "arrays.npz", X=np.zeros((4, 2)), y=np.arange(4))
    (tmp_path / "t.csv").write_bytes((tmp_path / "arrays.npz").read_bytes())
    with pytest.raises(DataError, match="zip archive"):
        load_csv(str(tmp_path), CsvSpec(path="t.csv"))


@pytest.mark.data
@pytest.mark.skipif(ROOT is None, reason="S2E_DATA_ROOT is not set")
def test_classes_that_a_test_file_writes_otherwise_are_named():
    """Adult's own test file ends every label with a full stop."""
    spec = CsvSpec(path="uci/adult-train.csv", test_path="uci/adult-test.csv")
    with pytest.raises(DataError, match=r"adult-test\.csv, row 1, column 14: label '<=50K\.' .*; is it '<=50K'\?"):
        load_csv(ROOT, spec)


def test_a_slip_ends_a_search_before_its_first_training(table):
    import s2e

    root, _ = table("x,z,class\n" + rows_of_numbers())
    job = {"data": {"name": "csv", "csv": {"path": "t.csv"}, "n_validation": 10}, "train": {"batch_size": 8}}
    with pytest.raises(DataError, match="above nothing but numbers"):
        s2e.search(job, data_root=root, progress=False, workers=1)


# --- tables of images -------------------------------------------------------------------------------------------------


def test_rows_that_are_images_train_a_network_for_images(table, make_population):
    from s2e.train.trial import PopulationEnd, train_population

    pixels = [",".join(str(min(255, pixel + i % 2)) for pixel in range(256)) for i in range(80)]
    root, spec = table("".join(f"{row},{i % 2}\n" for i, row in enumerate(pixels)), image=(1, 16, 16))
    data = load_csv(root, spec)
    assert (data.train_images.shape[1:], data.train_images.dtype, data.max_value) == ((1, 16, 16), torch.uint8, 255)
    assert data.train_images[0, 0, 1, 0] in (16, 17)
    population = make_population(
        ks=(0,), n_epochs=1, data=DataSpec(name="csv", csv=spec, n_validation=20), batch_size=8, network="model1"
    )
    *_, end = train_population(population, data_root=root)
    assert isinstance(end, PopulationEnd)
    assert not end.results[0].failed


def test_a_network_for_images_is_refused_only_where_rows_are_known_to_be_none():
    def job(**more):
        return {"data": {"name": "csv", "csv": {"path": "t.csv", **more}}, "train": {"network": "model1"}}

    with pytest.raises(SpecError, match=r"train\.network = 'model1': one of .* for rows of numbers"):
        parse_job(job())
    assert parse_job(job(image=[1, 28, 28])).data.csv.image == (1, 28, 28)
    with pytest.raises(SpecError, match="model1 needs images of 16x16"):
        parse_job(job(image=[1, 8, 8]))
    with pytest.raises(SpecError, match=r"data\.csv\.image = \[28, 28\]: depth, height and width"):
        parse_job(job(image=[28, 28]))


@pytest.mark.parametrize(
    ("cell", "message"),
    [("256", "'256' is not a whole number from 0 to 255"), ("0.5", "'0.5' is not"), ("", "'' is not")],
)
def test_a_cell_that_is_no_pixel_is_named(table, cell, message):
    root, spec = table(f"1,2,3,4,a\n1,{cell},3,4,b\n", image=(1, 2, 2))
    with pytest.raises(DataError, match=rf"t\.csv, row 2, column 1: {message}"):
        load_csv(root, spec)
    with pytest.raises(DataError, match="image = 1 x 3 x 3: 9 pixels, but 4 feature columns"):
        load_csv(root, CsvSpec(path="t.csv", image=(1, 3, 3)))
