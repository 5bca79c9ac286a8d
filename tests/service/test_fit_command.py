"""s2e fit and s2e predict: labels of one's own from a file to predictions, without a service."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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
    """``trees.csv`` with an index, every tenth label wrong, and ``new.csv`` without labels, oaks and yews in turn."""
    root, rng = tmp_path_factory.mktemp("trees"), np.random.default_rng(0)
    rows = [(f"t{i}", round(float(rng.normal(10 * (i % 2))), 3), ("pale", "dark")[i % 2], i % 2) for i in range(200)]
    with (root / "trees.csv").open("w") as file:
        table = csv.writer(file)
        table.writerow(["", "tag", "height", "colour", "tree"])
        table.writerows([i, *row[:3], ("oak", "[/yew]")[row[3] ^ (i % 10 == 0)]] for i, row in enumerate(rows))
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
    assert "note column (without a name) is left out: it numbers the rows" in said
    labels = read(out / "labels.csv")
    assert len(labels) == 200
    assert {row["id"] for row in labels[:10]} <= {f"t{10 * i}" for i in range(20)}
    assert json.loads((out / "plan.json").read_text())["spec"]["data"]["params"]["path"] == "trees.csv"
    again = ("--plan", out / "plan.json", "--noise-rate", 0.1)
    assert run("fit", folder / "trees.csv", *asked, *again) == BAD_INPUT
    assert "--noise-rate = 0.1: not beside --plan, which has its own" in capsys.readouterr().err
    predict = ("predict", out / "model.safetensors", folder / "new.csv", "--id-column", "tag", "--proba")
    assert run(*predict) == 0
    predicted = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["row"], row["predicted_label"]) for row in predicted] == [
        (f"t{i}", ("oak", "[/yew]")[i % 2]) for i in range(40)
    ]
    assert all(abs(float(row["p_oak"]) + float(row["p_[/yew]"]) - 1) < 1e-5 for row in predicted)
    assert run(*predict, "--save", tmp_path / "predicted.csv") == 0
    assert read(tmp_path / "predicted.csv") == predicted


# --- tables as people have them ---------------------------------------------------------------------------------------

DAYS = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=7 * i, hours=6 * (i % 2)) for i in range(60)]
SUMS = [round(1000 * float(x), 2) for x in np.random.default_rng(0).normal(3, 2, 60)]
PLACES = ["Köln", 'a "b",\nc;d']


def in_german(number: float) -> str:
    return f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


WRITTEN: dict[str, tuple[str, str, Callable[[float], str], Callable[[datetime], str], str]] = {
    "German, BOM": ("utf-8-sig", ";", in_german, lambda day: f"{day:%d.%m.%Y %H:%M}", ""),
    "UTF-16, tabs, an empty column": (
        "utf-16",
        "\t",
        in_german,
        lambda day: f"{day.day}.{day.month}.{day:%Y %H:%M}",
        "\t",
    ),
    "Latin-1, thousands": ("latin-1", ",", lambda x: f"{x:,.2f}", lambda day: day.isoformat(), ","),
    "blanks, slashes": (
        "utf-8",
        ";",
        lambda x: f"{x:,.2f}".replace(",", " "),
        lambda day: f"{day:%m/%d/%Y %H:%M:%S}",
        ";",
    ),
}
"""Encoding, separator, number, date, and the end of every line."""


def people_table(how: str | None, first: int = 0, *, label: bool = True) -> bytes:
    """Rows from ``first`` on, as one of :data:`WRITTEN`, or in plain numbers."""
    plain = ("utf-8", ",", str, lambda day: str(day.timestamp() / 86_400), "")
    encoding, separator, number, date, end = WRITTEN[how] if how else plain
    lines = [["sum", "day", "ok", "place", *["kind"] * label]]
    for i in range(first, 60):
        place = PLACES[i % 2].replace('"', '""')
        kind = (("oak", "yew") if how is None else ("oak ", " yew"))[(SUMS[i] > 3000) ^ (i % 9 == 0)]
        cells = [number(SUMS[i]), date(DAYS[i]), "yes" if i % 3 else "no", place, *[kind] * label]
        lines.append([f'"{cell}"' if any(mark in cell for mark in ' ,;"') else cell for cell in cells])
    return "".join(f"{separator.join(line)}{end}\r\n" for line in lines).encode(encoding)


@pytest.fixture(scope="module")
def of_plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[NoisyLabelClassifier, Path]:
    """A fit of the table in plain numbers, and the file of its plan."""
    root = tmp_path_factory.mktemp("plain")
    (root / "t.csv").write_bytes(people_table(None))
    clf = NoisyLabelClassifier(**QUICK, method="coteaching").fit(s2e.from_files("table", root / "t.csv", label="kind"))
    (root / "plan.json").write_text(json.dumps(clf.job_))
    return clf, root


@pytest.mark.parametrize("how", WRITTEN)
def test_a_table_as_people_have_it_is_the_table_in_plain_numbers(
    of_plain: Any, how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plan only fits rows that are equal to the bit; new rows are read as those that trained."""
    clf, root = of_plain
    (tmp_path / "t.csv").write_bytes(people_table(how))
    asked = ("--label", "kind", "--plan", root / "plan.json", "--workers", 1, "--output", tmp_path / "out")
    assert run("fit", tmp_path / "t.csv", *asked) == 0
    capsys.readouterr()
    (tmp_path / "new.csv").write_bytes(people_table(how, 50, label=False))  # too few to tell how it is written
    (root / "new.csv").write_bytes(people_table(None, 50, label=False))
    assert run("predict", tmp_path / "out" / "model.safetensors", tmp_path / "new.csv", "--proba") == 0
    ours = capsys.readouterr().out
    assert run("predict", clf.save(root / "model"), root / "new.csv", "--proba") == 0
    assert ours == capsys.readouterr().out
    model = s2e.load_model(tmp_path / "out" / "model.safetensors")
    cells = {"sum": SUMS[7], "day": DAYS[7].replace(tzinfo=None), "ok": "yes", "place": PLACES[1]}
    plain = s2e.load_model(root / "model.safetensors").predict_proba([{**cells, "day": DAYS[7].timestamp() / 86_400}])
    if how == "Latin-1, thousands":  # its dates are those of Python
        np.testing.assert_array_equal(model.predict_proba([cells]), plain)
    else:
        with pytest.raises(DataError, match="column day: '2024-02-19 06:00:00' is not among the dates"):
            model.predict_proba([cells])


def test_labels_that_differ_by_case_are_one_class_where_that_is_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (folder / "trees.csv").read_text().splitlines()
    (tmp_path / "t.csv").write_text("\n".join([*lines[:-6], *(line.replace("oak", "Oak") for line in lines[-6:])]))
    assert run("fit", tmp_path / "t.csv", "--label", "tree", "--id-column", "tag") == BAD_INPUT
    assert "--set label_case=merge (one class) or 'keep' (two)" in capsys.readouterr().err
    files = s2e.from_files("table", tmp_path / "t.csv", label="tree", id_column="tag", label_case="merge")
    clf = NoisyLabelClassifier(**{**QUICK, "n_epochs": 1}).fit(files)
    assert clf.classes_.tolist() == ["[/yew]", "oak"]


@pytest.mark.parametrize(("kind", "settings"), [("text", {"text": "mail", "n_vectors": 0}), ("table", {})])
def test_texts_to_predict_need_one_column_and_one_row(
    kind: str, settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By either kind: a table's texts are read by their words."""
    words = {"animal": "cat dog horse cow", "tool": "saw drill nail hammer"}
    lines = [f"the {words[topic].split()[i % 4]} number{i} is here,{topic}" for i in range(120) for topic in words]
    (tmp_path / "mails.csv").write_text("\n".join(["mail,topic", *lines]))
    clf = NoisyLabelClassifier(**QUICK).fit(s2e.from_files(kind, tmp_path / "mails.csv", label="topic", **settings))
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
