"""s2e fit and s2e predict: labels of one's own from a file to predictions, without a service."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import s2e
from s2e.own_files import kind_of
from s2e.sklearn import NoisyLabelClassifier
from s2e.words import DataError, SpecError
from service.cli.main import main
from service.cli.options import BAD_INPUT

QUICK: dict[str, Any] = {
    "n_rounds": 1,
    "n_trials": 1,
    "n_epochs": 10,
    "learning_rate": 0.01,
    "noise_rate": 0.1,
    "random_state": 0,
}


def run(*arguments: object) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``trees.csv``, every tenth label wrong, and ``new.csv`` without labels, oaks and yews in turn."""
    root, rng = tmp_path_factory.mktemp("trees"), np.random.default_rng(0)
    rows = [(f"t{i}", round(float(rng.normal(10 * (i % 2))), 3), ("pale", "dark")[i % 2], i % 2) for i in range(200)]
    with (root / "trees.csv").open("w") as file:
        table = csv.writer(file)
        table.writerow(["tag", "height", "colour", "tree"])
        table.writerows([*row[:3], ("oak", "[/yew]")[row[3] ^ (i % 10 == 0)]] for i, row in enumerate(rows))
    with (root / "new.csv").open("w") as file:
        table = csv.writer(file)
        table.writerow(["colour", "height", "tag"])
        table.writerows([row[2], row[1], row[0]] for row in rows[:40])
    return root


def test_from_a_table_to_predictions(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By a plan: what a budget has time for is the machine's affair."""
    out = tmp_path / "out"
    quick = NoisyLabelClassifier(**QUICK, method="coteaching")
    quick.fit(s2e.from_files("table", folder / "trees.csv", label="tree", id_column="tag"))
    (tmp_path / "plan.json").write_text(json.dumps(quick.job_))
    asked = ("--label", "tree", "--id-column", "tag", "--workers", 1, "--output", out)
    assert run("fit", folder / "trees.csv", *asked, "--plan", tmp_path / "plan.json") == 0
    said = capsys.readouterr().out
    assert "model: coteaching" in said
    assert "200 rows, 2 classes" in said
    assert "labels look wrong" in said
    labels = read(out / "labels.csv")
    assert len(labels) == 200
    assert {row["id"] for row in labels[:10]} <= {f"t{10 * i}" for i in range(20)}
    assert json.loads((out / "plan.json").read_text())["spec"]["data"]["params"]["path"] == "trees.csv"
    predict = ("predict", out / "model.safetensors", folder / "new.csv", "--id-column", "tag", "--proba")
    assert run(*predict) == 0
    predicted = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["row"], row["predicted_label"]) for row in predicted] == [
        (f"t{i}", ("oak", "[/yew]")[i % 2]) for i in range(40)
    ]
    assert all(abs(float(row["p_oak"]) + float(row["p_[/yew]"]) - 1) < 1e-5 for row in predicted)
    assert run(*predict, "--save", tmp_path / "predicted.csv") == 0
    assert read(tmp_path / "predicted.csv") == predicted


def test_texts_to_predict_need_one_column_and_one_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = {"animal": "cat dog horse cow", "tool": "saw drill nail hammer"}
    lines = [f"the {words[topic].split()[i % 4]} number{i} is here,{topic}" for i in range(120) for topic in words]
    (tmp_path / "mails.csv").write_text("\n".join(["mail,topic", *lines]))
    assert run("fit", tmp_path / "mails.csv", "--label", "topic") == BAD_INPUT
    assert "a data set of texts reads them, --kind text with --set text=mail" in capsys.readouterr().err
    clf = NoisyLabelClassifier(**QUICK).fit(
        s2e.from_files("text", tmp_path / "mails.csv", text="mail", label="topic", n_vectors=0)
    )
    (tmp_path / "new.csv").write_text("mail\nthe cow\n")
    assert run("predict", clf.save(tmp_path / "model"), tmp_path / "new.csv") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("2,animal,")


def test_a_model_that_has_learned_nothing_says_so(folder: Path) -> None:
    lines = (folder / "trees.csv").read_text().splitlines()
    labels = np.random.default_rng(0).permutation([line.rpartition(",")[2] for line in lines[1:]])
    rows = [f"{line.rpartition(',')[0]},{label}" for line, label in zip(lines[1:], labels, strict=True)]
    (folder / "mixed.csv").write_text("\n".join([lines[0], *rows]))
    files = s2e.from_files("table", folder / "mixed.csv", label="tree", id_column="tag")
    with pytest.warns(UserWarning, match="may have learned nothing"):
        NoisyLabelClassifier(**QUICK).fit(files)


def test_slips_are_named_as_the_command_takes_them(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", folder / "missing.csv") == BAD_INPUT
    assert "missing.csv" in capsys.readouterr().err
    assert run("fit", folder / "trees.csv", "--label", "leaf") == BAD_INPUT
    assert "--set label=leaf" in capsys.readouterr().err
    assert run("fit", folder / "trees.csv", "--label", "tree", "--set", "size") == BAD_INPUT
    assert "name=value" in capsys.readouterr().err
    assert run("fit", folder / "trees.csv", "--label", "tree", "--plan", folder / "trees.csv") == BAD_INPUT
    assert "the plan.json of an earlier fit" in capsys.readouterr().err
    (tmp_path / "odd.safetensors").write_bytes(b"no model")
    (tmp_path / "odd.json").write_text("{}")
    assert run("predict", tmp_path / "odd.safetensors", folder / "new.csv") == BAD_INPUT
    assert "is not a model" in capsys.readouterr().err


def test_the_kind_is_what_files_look_like(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "a.txt").write_text("purr")
    assert kind_of(tmp_path) == "text"
    (tmp_path / "cats" / "a.PNG").write_bytes(b"")
    assert kind_of(tmp_path) == "images"
    (tmp_path / "cats" / "data.arrow").write_bytes(b"")
    assert kind_of(tmp_path) == "table"
    assert kind_of(folder / "trees.csv") == "table"
    (tmp_path / "rows.npz").write_bytes(b"")
    assert kind_of(tmp_path / "rows.npz") == "arrays"
    with pytest.raises(SpecError, match="that is there"):
        kind_of(tmp_path / "dogs")


@pytest.mark.parametrize("more", [{"method": "coteaching"}, {"candidates": ("svc", "forest")}])
@pytest.mark.parametrize("classes", [np.array([0, 1]), np.array([3, 7]), np.array(["no", "yes"])])
def test_a_model_of_rows_of_numbers_predicts_from_its_file(more: Any, classes: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(5, 3, (80, 4)), rng.integers(0, 2, 80)
    clf = NoisyLabelClassifier(**QUICK, **more).fit(X + 9 * y[:, None], classes[y])
    model = s2e.load_model(clf.save(tmp_path / "model"))
    np.testing.assert_allclose(model.predict_proba(X), clf.predict_proba(X), atol=1e-6)
    assert [str(label) for label in model.predict(X)] == [str(label) for label in clf.predict(X)]
    with pytest.raises(SpecError, match="safetensors"):
        clf.save(tmp_path / "model.pickle")


def test_every_network_of_a_model_is_in_its_file(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    y = np.arange(80) % 2
    frame = pandas.DataFrame({"colour": np.where(y == 1, "red", "blue"), "size": np.linspace(0, 1, 80)})
    clf = NoisyLabelClassifier(**QUICK, method="coteaching").fit(frame, y)
    path = clf.save(tmp_path / "model.safetensors")
    model = s2e.load_model(path)
    np.testing.assert_allclose(model.predict_proba(frame), clf.predict_proba(frame), atol=1e-6)
    alone = [s2e.load_model(path, network).predict_proba(frame) for network in (0, 1)]
    np.testing.assert_allclose(np.mean(alone, axis=0), model.predict_proba(frame), atol=1e-6)
    with pytest.raises(DataError, match="networks 0, 1"):
        s2e.load_model(path, 2)
