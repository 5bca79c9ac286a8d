"""Every kind of file that a data set can be: a real one, by the estimator and by REST on Ray, and rows that nobody has
seen, predicted in another process from the file of the model alone."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from PIL import Image

import s2e
from s2e.client.http import S2EClient
from s2e.data.own import cache
from s2e.sklearn import NoisyLabelClassifier

N = 40
"""Rows of each source, in turns of two classes."""
HUGGINGFACE = Path(__file__).parent / "s2e" / "data" / "huggingface"
DARK, LIGHT = 30, 200
WORDS = {"animal": ("cat", "dog", "horse"), "tool": ("hammer", "saw", "drill")}


@dataclass
class Case:
    """A source, new rows of it as JSON, and the labels they have."""

    kind: str
    path: str
    new: list[Any]
    labels: list[str]
    params: dict[str, Any] = field(default_factory=dict)
    n_epochs: int = 25

    @property
    def network(self) -> dict[str, Any]:
        """Small ones."""
        is_image = self.kind.startswith("image") or self.path == "pixels.npz"
        return {"network": "mlp"} if is_image else {"network": "mlp_tabular", "network_params": {"hidden": [16]}}


def cells() -> dict[str, list[Any]]:
    rng = np.random.default_rng(0)
    kind = ["oak", "yew"] * (N // 2)
    height = [round(float(rng.normal(3 if one == "oak" else -3)), 3) for one in kind]
    return {"height": height, "bark": ["rough" if one == "oak" else "thin" for one in kind], "kind": kind}


def vectors() -> np.ndarray[Any, np.dtype[np.float32]]:
    shift = np.where(np.arange(N) % 2, 2.0, -2.0)[:, None]
    return (np.random.default_rng(1).normal(size=(N, 4)) + shift).astype(np.float32)


def written(root: Path) -> dict[str, Case]:
    """One file or folder of every kind below ``root``."""
    return _tables(root) | _vectors(root) | _texts(root) | _images(root) | _published(root) | _huggingface(root)


def _tables(root: Path) -> dict[str, Case]:
    table = pa.table(cells())
    pa.parquet.write_table(table, root / "t.parquet")
    pa.feather.write_feather(table, root / "t.arrow", compression="uncompressed")
    rows = list(zip(*cells().values(), strict=True))
    for suffix, between in (("csv", ","), ("tsv", "\t")):
        lines = [between.join(map(str, row)) for row in (tuple(cells()), *rows)]
        (root / f"t.{suffix}").write_text("\n".join(lines))
    new = [{"height": 2.5, "bark": "rough"}, {"height": -2.5, "bark": "thin"}]
    return {
        suffix: Case("table", f"t.{suffix}", new, ["oak", "yew"], {"label": "kind"})
        for suffix in ("csv", "tsv", "parquet", "arrow")
    }


def _vectors(root: Path) -> dict[str, Case]:
    y = np.array(["low", "high"] * (N // 2))
    column = pa.array(vectors().tolist(), pa.list_(pa.float32()))
    pa.parquet.write_table(pa.table({"vector": column, "label": y}), root / "vectors.parquet")
    np.savez(root / "vectors.npz", X=vectors(), y=y)
    new, labels = [[-2.0] * 4, [2.0] * 4], ["low", "high"]
    grey = [np.asarray(picture(value + i % 5, (8, 8)))[..., 0] for i in range(N // 2) for value in (DARK, LIGHT)]
    np.savez(root / "pixels.npz", X=np.stack(grey), y=y)
    lit = [np.asarray(picture(value, (8, 8)))[None, ..., 0].tolist() for value in (DARK + 9, LIGHT - 9)]
    return {
        "column of vectors": Case("embeddings", "vectors.parquet", new, labels, {"column": "vector"}),
        "npz": Case("arrays", "vectors.npz", new, labels, {"scale": "standardise"}),
        "npz of pixels": Case("arrays", "pixels.npz", lit, labels),
    }


def _texts(root: Path) -> dict[str, Case]:
    rng, lines = np.random.default_rng(2), ["text,label"]
    for i in range(N):
        label = ("animal", "tool")[i % 2]
        text = " ".join(rng.choice(WORDS[label], 4)) + f" number{i % 7}"
        lines.append(f"{text},{label}")
        (root / "mails" / label).mkdir(parents=True, exist_ok=True)
        (root / "mails" / label / f"{i}.txt").write_text(text)
    (root / "mails.csv").write_text("\n".join(lines))
    new, labels = ["horse dog cat", "saw and drill"], ["animal", "tool"]
    few = {"n_vectors": 4}
    return {
        "texts": Case("text", "mails.csv", new, labels, few),
        "folder of texts": Case("text", "mails", new, labels, few),
    }


def _images(root: Path) -> dict[str, Case]:
    lines = ["image,label"]
    new = new_photos(root)
    for i in range(N):
        label, value = (("dark", DARK), ("light", LIGHT))[i % 2]
        (root / "photos" / label).mkdir(parents=True, exist_ok=True)
        picture(value + i % 9).save(root / "photos" / label / f"{i}.png")
        lines.append(f"photos/{label}/{i}.png,{label}")
    (root / "photos.csv").write_text("\n".join(lines))
    stored = [{"bytes": (root / line.split(",")[0]).read_bytes(), "path": None} for line in lines[1:]]
    table = pa.table({"image": stored, "label": [line.split(",")[1] for line in lines[1:]]})
    pa.parquet.write_table(table, root / "photos.parquet")
    labels = ["dark", "light"]
    return {
        "folder of images": Case("images", "photos", new, labels, {"size": 8}),
        "table of paths": Case("image_table", "photos.csv", new, labels, {"size": 8}),
        "table of image files": Case("image_table", "photos.parquet", new, labels, {"size": 8}),
    }


def _published(root: Path) -> dict[str, Case]:
    """Clothing1M and WebVision as their authors lay them out, with two classes."""
    keys = [f"images/{i % 10}/{i // 10}/{i}.jpg" for i in range(N)]
    labels = "\n".join(f"{key} {i % 2}" for i, key in enumerate(keys))
    for i, key in enumerate(keys):
        (root / "clothing1m" / key).parent.mkdir(parents=True, exist_ok=True)
        picture((DARK, LIGHT)[i % 2] + i % 9).save(root / "clothing1m" / key)
    notes = root / "clothing1m" / "annotations"
    notes.mkdir()
    for name, some in (("noisy_train", keys[:30]), ("clean_train", keys[30:32]), ("clean_val", keys[32:34])):
        (notes / f"{name}_key_list.txt").write_text("\n".join(some))
    (notes / "clean_test_key_list.txt").write_text("\n".join(keys[34:]))
    for name in ("noisy", "clean"):
        (notes / f"{name}_label_kv.txt").write_text(labels)
    web = root / "webvision"
    for folder in ("info", "google/q0001", "flickr/q0001", "val_images_256"):
        (web / folder).mkdir(parents=True)
    for i in range(N):
        picture((DARK, LIGHT)[i % 2] + i % 9).save(web / "google/q0001" / f"{i}.jpg")
        picture((DARK, LIGHT)[i % 2] + i % 7).save(web / "val_images_256" / f"val{i:06}.jpg")
    (web / "info" / "train_filelist_google.txt").write_text(
        "\n".join(f"google/q0001/{i}.jpg {i % 3 if i > 35 else i % 2}" for i in range(N))
    )
    (web / "info" / "val_filelist.txt").write_text("\n".join(f"val{i:06}.jpg {i % 2}" for i in range(N)))
    new = new_photos(root)
    return {
        name: Case("image_table", name, new, ["0", "1"], {"size": 8, "layout": name, **more})
        for name, more in (("clothing1m", {}), ("webvision", {"most_classes": 2}))
    }


def _huggingface(root: Path) -> dict[str, Case]:
    """A folder of one source for every kind, as ``datasets`` writes it."""
    (root / "hf").symlink_to(HUGGINGFACE)
    exclude = ["image", "text", "vector", "sure"]
    dark, light = ({"x": x, "colour": "red"} for x in (0.0, 1.0))
    labels = ["dark", "light"]
    new = [str(root.parent / "new" / f"{name} all over.png") for name in labels]
    for file, value in zip(new, (20, 230), strict=True):
        Image.fromarray(np.full((9, 12, 3), value, dtype=np.uint8)).save(file)
    return {
        "hf table": Case("table", "hf", [dark, light], [], {"label": "label", "exclude": exclude}),
        "hf vectors": Case("embeddings", "hf", [[0.0, 1.0], [1.2, 1.0]], labels, {"column": "vector"}),
        "hf texts": Case("text", "hf", ["bad awful film", "good great film"], labels, {"n_vectors": 4}),
        "hf images": Case("image_table", "hf", new, labels, {"size": 8}, n_epochs=80),
    }


def new_photos(root: Path) -> list[str]:
    """Paths of one of each class, of another size and format."""
    folder = root.parent / "new"
    folder.mkdir(exist_ok=True)
    for name, value in (("dark", DARK + 20), ("light", LIGHT + 20)):
        picture(value, (14, 11)).save(folder / f"{name}.jpg")
    return [str(folder / f"{name}.jpg") for name in ("dark", "light")]


def picture(value: int, size: tuple[int, int] = (9, 12)) -> Image.Image:
    """Light below where ``value`` is small, above where it is large."""
    above = np.arange(size[0]) < size[0] / 2
    row = np.where(above, value, 255 - value).astype(np.uint8)
    return Image.fromarray(np.broadcast_to(row[:, None, None], (*size, 3)).copy())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("sources")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cache.CACHE_VARIABLE, str(root / "cache"))
        yield root


@pytest.fixture(scope="module")
def sources(home: Path) -> dict[str, Case]:
    (home / "data").mkdir()
    return written(home / "data")


ELSEWHERE = """
import json, pickle, sys
asked = json.loads(sys.stdin.read())
sys.path[:0] = asked["path"]
import numpy as np
import s2e

def model(file):
    return pickle.load(open(file, "rb")) if file.endswith(".pickle") else s2e.load_model(file)

def rows(new):
    return np.array(new) if isinstance(new[0], list) else new

said = {name: model(file).predict(rows(new)) for name, (file, new) in asked["ask"].items()}
print(json.dumps({name: list(map(str, labels)) for name, labels in said.items()}))
"""


def predicted_elsewhere(files: dict[str, Path], sources: dict[str, Case], away: Path) -> dict[str, list[str]]:
    """The labels of new rows, by name, said by a process that finds the models and nothing of what they learned."""
    ask = {name: (str(file), sources[name].new) for name, file in files.items()}
    told = json.dumps({"path": [one for one in sys.path if one], "ask": ask})
    env = {name: value for name, value in os.environ.items() if not name.startswith("S2E_")}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], input=told, cwd=away, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, list[str]] = json.loads(done.stdout)
    return said


def assert_right(said: dict[str, list[str]], sources: dict[str, Case]) -> None:
    assert said.keys() == sources.keys()
    wrong = {name: labels for name, labels in said.items() if sources[name].labels not in (labels, [])}
    assert not wrong, json.dumps(wrong)


@pytest.mark.slow
def test_the_estimator_learns_from_every_source(sources: dict[str, Case], home: Path) -> None:
    files = {}
    for name, case in sources.items():
        clf = NoisyLabelClassifier(
            n_rounds=1,
            n_trials=1,
            n_epochs=case.n_epochs,
            learning_rate=0.01,
            noise_rate=0.05,
            random_state=0,
            hidden=(16,),
        )
        clf.fit(s2e.from_files(case.kind, home / "data" / case.path, **case.params))
        files[name] = home / f"{name}.pickle"
        files[name].write_bytes(pickle.dumps(clf))
    (home / "data").rename(home / "away")  # the files alone have to do
    said = predicted_elsewhere(files, sources, home)
    (home / "away").rename(home / "data")
    assert_right(said, sources)


@pytest.fixture
def client(home: Path, tmp_path: Path) -> Iterator[S2EClient]:
    """``s2e serve`` with its own Ray."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("S2E_", "RAY_"))}
    settings = {
        "S2E_HOME": str(tmp_path),
        "S2E_PORT": str(port),
        "S2E_DATA_ROOT": str(home / "data"),
        "S2E_CACHE_ROOT": str(home / "cache"),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "service.cli.main", "serve"]
        process = subprocess.Popen(command, env=ours | settings, stdout=log, stderr=log)
        with S2EClient(f"http://127.0.0.1:{port}") as made:
            until(made.ready)
            yield made
        process.terminate()
        process.wait(30)


def until(met: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 120
    while not met():
        assert time.monotonic() < deadline_s, "waited too long"
        time.sleep(0.1)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.timeout(400)
def test_a_job_on_ray_learns_from_every_source(
    sources: dict[str, Case], client: S2EClient, home: Path, tmp_path: Path
) -> None:
    jobs = {
        name: client.submit(
            {
                "name": name,
                "data": {"name": case.kind, "params": {**case.params, "path": case.path}, "n_validation": 6},
                "train": {**case.network, "n_epochs": case.n_epochs, "batch_size": 8, "learning_rate": 0.01},
                "search": {"searcher": "random", "n_rounds": 1, "n_trials": 1},
                "report": {"n_seeds": 2, "max_seeds": 2, "tuned_trials": 1, "n_candidates": 1, "tau": 0.05},
            }
        ).id
        for name, case in sources.items()
    }
    files = {}
    for name, job in jobs.items():
        ended = client.wait(job)
        assert ended.state == "completed", (name, ended.reason)
        report = client.report(job)
        assert report.accuracy == "accuracy against the given labels"
        trial = report.models[report.recommended_model]
        files[name] = client.save_model(trial, tmp_path / name)
    assert_right(predicted_elsewhere(files, sources, tmp_path), sources)
