"""The estimator on files, images, frames and torch data sets: one call, and raw rows from a pickle elsewhere."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import s2e
from s2e.labels.whole import read_whole, train_of
from s2e.sklearn import NoisyLabelClassifier
from s2e.words import DataError, SpecError

QUICK: dict[str, Any] = {
    "n_rounds": 1,
    "n_trials": 2,
    "n_epochs": 20,
    "learning_rate": 0.01,
    "noise_rate": 0.1,
    "random_state": 0,
}
WORDS = {"animal": ("cat", "dog", "horse"), "tool": ("hammer", "saw", "drill")}
ELSEWHERE = """
import sys, json, pickle
sys.path[:0] = sys.argv[2:]
rows = json.loads(sys.argv[1])
said = [pickle.load(open(f"{i}.pickle", "rb")).predict(each) for i, each in enumerate(rows)]
print(json.dumps([[str(label) for label in labels] for labels in said]))
"""


@pytest.fixture(scope="module")
def mails(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts about animals and tools."""
    file, rng = tmp_path_factory.mktemp("mails") / "mails.csv", np.random.default_rng(0)
    lines = ["text,label"]
    for i in range(80):
        label = ("animal", "tool")[i % 2]
        lines.append(" ".join(rng.choice(WORDS[label], 4)) + f" number{i % 7},{label}")
    file.write_text("\n".join(lines))
    return file


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright and dark ones."""
    image, root = pytest.importorskip("PIL.Image"), tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(1)
    for i in range(24):
        label = ("bright", "dark")[i % 2]
        (root / label).mkdir(exist_ok=True)
        pixels = rng.integers(0, 60, (12, 10, 3)) + (180 if label == "bright" else 0)
        image.fromarray(pixels.astype(np.uint8)).save(root / label / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def of_texts(mails: Path) -> NoisyLabelClassifier:
    return NoisyLabelClassifier(**QUICK).fit(s2e.from_files("text", mails, n_terms=50, n_vectors=0))


@pytest.fixture(scope="module")
def of_photos(photos: Path) -> NoisyLabelClassifier:
    return NoisyLabelClassifier(**QUICK).fit(s2e.from_files("images", photos, size=8))


@pytest.fixture(scope="module")
def table() -> tuple[Any, Any]:
    """A frame with a category, a missing cell and a comma in a name; and its labels."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 120)
    sizes = rng.normal(size=120)
    sizes[3] = np.nan
    frame = pandas.DataFrame({"colour": np.where(y == 1, "red", "blue"), "size": sizes, "odd, name": sizes[::-1]})
    frame["colour"] = frame.colour.where(frame.index != 5).astype("string")  # pandas.NA is neither true nor false
    return frame, np.array(["no", "yes"])[y]


@pytest.fixture(scope="module")
def of_table(table: Any) -> NoisyLabelClassifier:
    return NoisyLabelClassifier(**QUICK).fit(*table)


@pytest.mark.slow
def test_another_process_predicts_raw_rows_from_a_pickle(
    of_texts: Any, of_photos: Any, of_table: Any, photos: Path, tmp_path: Path
) -> None:
    for i, clf in enumerate((of_texts, of_photos, of_table)):
        (tmp_path / f"{i}.pickle").write_bytes(pickle.dumps(clf))
    rows = [
        ["horse dog cat", "saw and drill"],
        [str(photos / "bright" / "0.png"), str(photos / "dark" / "1.png")],
        [{"colour": "red", "size": 0.1, "odd, name": 0}, {"colour": "blue", "size": None, "odd, name": 0}],
    ]
    command = [sys.executable, "-c", ELSEWHERE, json.dumps(rows), *filter(None, sys.path)]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert json.loads(said) == [["animal", "tool"], ["bright", "dark"], ["yes", "no"]]


def test_texts(of_texts: NoisyLabelClassifier, mails: Path) -> None:
    assert of_texts.classes_.tolist() == ["animal", "tool"]
    assert of_texts.predict_proba(["cat dog"]).shape == (1, 2)
    assert len(of_texts.label_issues_) == 80
    with pytest.raises(ValueError, match="leave it out"):
        NoisyLabelClassifier().fit(s2e.from_files("text", mails), np.zeros(80))


def test_the_network_that_is_proposed_for_images_trains_them(photos: Path) -> None:
    """From 16 pixels on it has convolutions, which the data of a job that names none are too small for."""
    data, root = read_whole(s2e.from_files("images", photos, size=16))
    assert train_of(data, root).network == "model1"


def test_a_file_of_images_is_named_where_its_label_is_judged(of_photos: NoisyLabelClassifier) -> None:
    assert any(str(name).endswith("bright/0.png") for name in of_photos.label_issues_.id)


def test_files_are_a_job_too(mails: Path) -> None:
    mine = s2e.from_files("text", mails, n_terms=50, n_vectors=0)
    mine["n_validation"] = 10
    job = {
        "data": mine,
        "train": {"network": "mlp_tabular", "network_params": {"hidden": [8]}, "n_epochs": 1, "batch_size": 8},
    }
    job["search"] = {"searcher": "random", "n_rounds": 1, "n_trials": 1}
    job["report"] = {"n_seeds": 2, "max_seeds": 2, "tuned_trials": 1, "n_candidates": 1, "tau": 0.1}
    report = s2e.search(job, progress=False, workers=1)
    assert len(report.keep_rate) == 1


def test_a_frame_with_categories_and_missing_cells(of_table: NoisyLabelClassifier, table: Any) -> None:
    frame, y = table
    assert of_table.classes_.tolist() == ["no", "yes"]
    assert (of_table.predict(frame) == y).mean() > 0.95
    assert of_table.label_issues_.given_label.tolist() == y.tolist()  # in the order of the rows
    with pytest.raises(DataError, match="no column 'size'"):
        of_table.predict(frame.drop(columns="size"))


def test_a_torch_data_set_of_rows_of_numbers_is_predicted_too() -> None:
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    rows = torch.utils.data.TensorDataset(x, (x[:, 0] > 0).long())
    clf = NoisyLabelClassifier(**{**QUICK, "n_epochs": 1}, method="coteaching").fit(rows)
    np.testing.assert_array_equal(clf.predict_proba(rows), clf.predict_proba(x.numpy()))


def test_images_in_memory_and_a_torch_data_set_of_them_are_the_same() -> None:
    bunch = load_digits()
    images, y = (bunch.images[:120] * 15).astype(np.uint8), bunch.target[:120]
    clf = NoisyLabelClassifier(**QUICK).fit(images, y)
    pairs = [(torch.from_numpy(x[None] / np.float32(255)), int(label)) for x, label in zip(images, y, strict=True)]

    class Pairs(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(pairs)

        def __getitem__(self, i: int) -> Any:
            return pairs[i]

    other = NoisyLabelClassifier(**QUICK).fit(Pairs())
    np.testing.assert_array_equal(other.predict_proba(Pairs()), clf.predict_proba(images))
    again = NoisyLabelClassifier(n_jobs=1).fit(images, y, job=json.loads(json.dumps(clf.job_)))
    np.testing.assert_array_equal(again.predict_proba(images), clf.predict_proba(images))


def test_labels_of_files_are_judged_row_by_row(tmp_path: Path) -> None:
    bunch, rng = load_digits(), np.random.default_rng(5)
    few = np.flatnonzero(bunch.target < 3)[:400]
    x, true = bunch.data[few], bunch.target[few]
    wrong = rng.random(400) < 0.2
    given = np.where(wrong, (true + 1) % 3, true)
    np.savez(tmp_path / "a.npz", X=x, y=given)
    train = s2e.door.parse_job(
        {
            "train": {
                "network": "mlp_tabular",
                "network_params": {"hidden": [32]},
                "batch_size": 32,
                "method": "standard",
            }
        }
    ).train
    verdict = s2e.find_label_issues(s2e.from_files("arrays", tmp_path / "a.npz", scale="standardise"), train=train)
    assert len(verdict) == 400
    assert verdict.noise is not None
    assert verdict.noise.noise_rate == pytest.approx(wrong.mean(), abs=0.06)
    assert verdict.id is not None
    worst = verdict.id[verdict.worst(40)].astype(int)
    assert wrong[worst].mean() > 0.8
    assert next(iter(verdict.columns())) == "id"


@pytest.mark.parametrize(
    ("kind", "path", "more", "message"),
    [
        ("digits", "a", {}, "data of one's own: "),
        ("table", "a.csv", {"labell": "x"}, "labell"),
        ("table", "a.csv", {"root": "elsewhere"}, "a path below root"),
    ],
)
def test_files_that_cannot_be_are_refused_before_they_are_read(
    kind: str, path: str, more: dict[str, Any], message: str, tmp_path: Path
) -> None:
    if "root" in more:
        more = {"root": tmp_path / more["root"]}
    with pytest.raises(SpecError, match=message):
        s2e.from_files(kind, tmp_path / path, **more)
