"""A model's file is enough to predict rows it has never seen, in another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import s2e
from s2e.artifacts import read_model
from s2e.data.datasets import load_split
from s2e.door import parse_job
from s2e.export import export_model
from s2e.words import DataError, SpecError
from service.cli.main import main

N = 600
COLOURS = ("blue", "red", "?")


def small(data: dict[str, Any], **train: Any) -> dict[str, Any]:
    return {
        "data": {"n_validation": 80, **data},
        "train": {"network": "mlp_tabular", "method": "standard", "n_epochs": 12, "batch_size": 32, **train},
        "search": {"searcher": "random", "n_rounds": 1, "n_trials": 1},
        "report": {"n_seeds": 2, "max_seeds": 2, "tuned_trials": 1, "n_candidates": 1, "tau": 0.1},
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[dict[str, Any]]]:
    """A model of a table with a number, a text, gaps and named classes; its job; new rows with their class."""
    root = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(2 * N):
        kind = ("oak", "pine", "yew")[i % 3]
        rows.append({"height": round(float(rng.normal(20 * (i % 3), 3)), 2), "tree": kind, "colour": COLOURS[i % 3]})
    lines = [f"{'' if i % 50 == 0 else row['height']},{row['tree']},{row['colour']}" for i, row in enumerate(rows[:N])]
    (root / "trees.csv").write_text("height,tree,colour\n" + "\n".join(lines) + "\n")
    table = {"path": "trees.csv", "header": True, "label_column": "tree"}
    job = small({"name": "csv", "csv": table})
    report = s2e.search(job, data_root=root, output=root / "out", progress=False, workers=1)
    assert report.recommended_model is not None
    return root / "out" / report.recommended_model, job, rows[N:]


def test_a_model_predicts_rows_it_has_never_seen_by_the_names_of_its_classes(trained: Any) -> None:
    path, _, new = trained
    model = s2e.load_model(path)
    assert model.classes_.tolist() == ["oak", "pine", "yew"]
    assert (model.predict(new) == [row["tree"] for row in new]).mean() > 0.97
    p_SC = model.predict_proba(new)
    assert p_SC.shape == (N, 3)
    np.testing.assert_allclose(p_SC.sum(1), 1)


def test_rows_may_come_in_any_form_a_user_has(trained: Any) -> None:
    path, _, new = trained
    model, rows = s2e.load_model(path), new[:40]
    expected = model.predict_proba(rows)
    columns = [[row["height"], row["colour"]] for row in rows]
    np.testing.assert_array_equal(model.predict_proba(columns), expected)
    np.testing.assert_array_equal(model.predict_proba([[str(cell) for cell in row] for row in columns]), expected)
    pandas = pytest.importorskip("pandas")
    np.testing.assert_array_equal(model.predict_proba(pandas.DataFrame(rows)[["colour", "tree", "height"]]), expected)
    gaps = model.predict_proba([[None, "red"], [float("nan"), "red"], ["?", "red"], ["", "red"]])
    assert len(np.unique(gaps, axis=0)) == 1


def test_a_model_encodes_the_rows_it_trained_on_as_its_training_did(trained: Any) -> None:
    path, job, _ = trained
    root = path.parents[3]
    data = load_split(parse_job(job).data, str(root))
    lines = [line.split(",") for line in (root / "trees.csv").read_text().splitlines()[1:]]
    whole = s2e.load_model(path).samples([[height, colour] for height, _, colour in lines]).numpy()
    stored = np.concatenate([part.images.numpy() for part in (data.train, data.validation, data.test)])
    np.testing.assert_array_equal(np.unique(whole, axis=0), np.unique(stored, axis=0))


@pytest.mark.slow
def test_another_process_needs_the_model_files_alone(trained: Any, tmp_path: Path) -> None:
    path, _, new = trained
    for suffix in (".safetensors", ".json"):
        (tmp_path / f"model{suffix}").write_bytes(path.with_suffix(suffix).read_bytes())
    (tmp_path / "rows.json").write_text(json.dumps(new[:30]))
    export_model(path, tmp_path / "exported", "torchscript")
    code = (
        "import json, s2e; rows = json.load(open('rows.json'));"
        "print(json.dumps([s2e.load_model(f).predict(rows).tolist() for f in ('model.safetensors', 'exported.pt')]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "S2E_DATA_ROOT": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout) == [s2e.load_model(path).predict(new[:30]).tolist()] * 2


def test_an_exported_model_predicts_as_the_kept_one(trained: Any, tmp_path: Path, capsys: Any) -> None:
    path, _, new = trained
    expected = s2e.load_model(path).predict_proba(new)
    with pytest.raises(SystemExit, match="0"):
        main(["export", "model", str(path), "-o", str(tmp_path / "plain")])
    plain = Path(capsys.readouterr().out.strip())
    np.testing.assert_array_equal(s2e.load_model(plain).predict_proba(new), expected)
    script = export_model(path, tmp_path / "deep" / "net.any", "torchscript")
    assert script == tmp_path / "deep" / "net.pt"
    model = s2e.load_model(script)
    np.testing.assert_allclose(model.predict_proba(new), expected, atol=1e-6)
    assert model.classes_.tolist() == ["oak", "pine", "yew"]
    with pytest.raises(DataError, match="network = 7"):
        export_model(path, tmp_path / "net", "torchscript", network=7)
    with pytest.raises(SpecError, match="one of safetensors, torchscript, onnx"):
        export_model(path, tmp_path / "net", "pickle")
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read as TorchScript"):
        s2e.load_model(tmp_path / "broken.pt")


def test_an_exported_model_of_images_takes_pixels_and_scales_by_itself(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from s2e.export import Scaled
    from s2e.model import Model

    shape = {"input_shape": [2, 1, 1], "max_value": 4, "n_classes": 2}
    model = Model(torch.nn.Flatten(), {"shape": {**shape, "inputs": {"mean": [0.5, 0.0], "deviation": [0.25, 0.5]}}})
    pixels = torch.tensor([[[[2.0]], [[1.0]]], [[[4.0]], [[4.0]]]])
    torch.testing.assert_close(Scaled(model)(pixels), model(model.samples(pixels)))


def test_an_onnx_file_runs_without_torch(trained: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    path, _, new = trained
    model = s2e.load_model(path)
    file = export_model(path, tmp_path / "net", "onnx")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"samples": model.samples(new).numpy()})
    assert (model.classes_[logits.argmax(1)] == model.predict(new)).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"height": 3}], "row 0: no column 'colour'; the model needs height, colour"),
        ([[1, "red"], [1]], "row 1: 1 cells instead of 2: height, colour"),
        ([["tall", "red"]], "row 0, column height: 'tall' is not a finite number"),
        ([], "no row to predict"),
        (["1,red"], "is not a row; give a list of rows"),
    ],
)
def test_rows_that_do_not_fit_are_refused(trained: Any, rows: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        s2e.load_model(trained[0]).predict(rows)


def test_a_model_of_images_predicts_pixels_as_the_data_set_has_them(tmp_path: Path) -> None:
    job = small({"noise": {"kind": "none"}}, network="mlp")
    report = s2e.search(job, output=tmp_path, progress=False, workers=1)
    path = tmp_path / str(report.recommended_model)
    model, digits = s2e.load_model(path), load_digits()
    assert (model.predict(digits.images) == digits.target).mean() > 0.9
    np.testing.assert_array_equal(model.predict(digits.data), model.predict(digits.images))
    assert "inputs" in read_model(path)[1]["shape"]
    with pytest.raises(DataError, match=r"rows of shape \(2, 63\), the model was trained on \[rows, 1, 8, 8\]"):
        model.predict(digits.data[:2, :63])


def test_normalised_channels_are_normalised_for_new_rows(tmp_path: Path) -> None:
    """By hand: (pixel / max - mean) / deviation."""
    torch = pytest.importorskip("torch")
    from s2e.model import Model

    shape = {"input_shape": [2, 1, 1], "max_value": 4, "n_classes": 2}
    inputs = {"mean": [0.5, 0.0], "deviation": [0.25, 0.5], "class_names": ["no", "yes"]}
    model = Model(torch.nn.Flatten(), {"shape": {**shape, "inputs": inputs}})
    assert model.samples([[4, 4]]).flatten().tolist() == [2.0, 2.0]
    assert model.samples([[[[2]], [[1]]]]).flatten().tolist() == [0.0, 0.5]
    assert model.predict([[4, 0]]).tolist() == ["no"]
