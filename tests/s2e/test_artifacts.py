"""Model and schedule files: whole or absent, below the root, and usable without this project's engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from s2e.artifacts import model_path, read_model, save_model, save_schedule
from s2e.files import ArtifactError, resolve, write_atomic
from s2e.words import DataError, Population, Report, TrialResult, replace


def files_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_model_and_its_description_survive_the_round_trip(
    tmp_path: Path, make_population: Callable[..., Population]
) -> None:
    torch = pytest.importorskip("torch")
    from s2e.data.inputs import NetworkShape

    population = make_population(ks=(5,))
    model = {"0.hidden.weight": torch.randn(4, 3).t(), "0.hidden.bias": torch.tensor([0.1, -0.0])}
    result, shape = TrialResult(3, 5, objective=0.25), NetworkShape((3,), 16, 4)
    trial = replace(population.trials[0], round=3)
    relative = save_model(tmp_path, "0198-ab", 2, population, trial, result, model, shape)
    assert relative == "0198-ab/round-3/trial-5-attempt-2.safetensors"
    tensors, described = read_model(tmp_path / relative)
    assert tensors.keys() == model.keys()
    assert all(torch.equal(tensors[name], model[name]) for name in model)
    assert described["network"] == "mlp"
    assert described["data"]["name"] == "digits"
    assert described["trial"]["keep_rate"] == list(population.trials[0].keep_rate)
    assert described["result"] | {"objective": 0.25, "model": relative} == described["result"]
    assert files_below(tmp_path) == {relative, relative.replace(".safetensors", ".json")}
    (tmp_path / relative).with_suffix(".json").unlink()
    with pytest.raises(DataError, match=r"attempt-2\.json is missing"):
        read_model(tmp_path / relative)


def test_attempts_do_not_overwrite_each_other() -> None:
    assert model_path("0198-ab", 3, 1, attempt=2) != model_path("0198-ab", 3, 1, attempt=3)


@pytest.mark.parametrize("job_id", ["", ".", "..", "../x", "a/b", "/etc", "a\0b", "a\nb", ".hidden", "x" * 81])
def test_a_job_id_cannot_leave_the_root(job_id: str) -> None:
    with pytest.raises(ArtifactError):
        model_path(job_id, 0, 0, 1)


@pytest.mark.parametrize("relative", ["", "..", "../x", "a/../../x", "/etc/passwd"])
def test_a_stored_path_cannot_leave_the_root(tmp_path: Path, relative: str) -> None:
    with pytest.raises(ArtifactError):
        resolve(tmp_path, relative)


def test_a_link_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (root / "link").symlink_to(outside)
    with pytest.raises(ArtifactError):
        resolve(root, "link/model.safetensors")


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.bin"
    write_atomic(path, b"old")

    def interrupted(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("s2e.files.os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert files_below(tmp_path) == {"model.bin"}


def test_whoever_may_read_other_files_may_read_these(tmp_path: Path) -> None:
    """The api serves what a trainer of another user wrote: permissions follow the umask."""
    (tmp_path / "plain").write_bytes(b"")
    write_atomic(tmp_path / "new", b"content")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_recommended_schedule_is_a_file_of_the_job(tmp_path: Path) -> None:
    report = Report((1, 4), (1, 2), 0.9, "a", "b", (1.0, 0.75, 0.5), (), "")
    relative = save_schedule(tmp_path, "0198-ab", report)
    assert relative == "0198-ab/schedule.json"
    content = json.loads((tmp_path / relative).read_text())
    named = {"job_id": "0198-ab", "recommended": [1, 4], "model": "b"}
    assert content == named | {"keep_rate": [1.0, 0.75, 0.5], "train": {}}
