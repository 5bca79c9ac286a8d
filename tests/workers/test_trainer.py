"""The body of a trainer process: results and failures as data, and model files that anybody can use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s2e.artifacts import read_model
from s2e.words import DataError, DataSpec, Population, Problem, SpecError, TrialError, TrialResult, replace, to_json
from workers import trainer
from workers.backend import (
    OUT_OF_MEMORY,
    EpochReported,
    Event,
    PopulationChecked,
    PopulationFinished,
    PopulationHeld,
    PopulationKey,
    PopulationLogged,
    PopulationLost,
    PopulationStarted,
)
from workers.trainer import run_population, warm_up
from workers.wire import decode

torch = pytest.importorskip("torch")
KEY = PopulationKey("job", 0, 0, 1)
MakePopulation = Callable[..., Population]


def events_of(population: Population, root: Path, data_root: Path | None = None, check: bool = False) -> list[Event]:
    """The events of a population, without its log, which is test_logged's."""
    data = None if data_root is None else str(data_root)
    told = map(decode, run_population(to_json(KEY), to_json(population), str(root), data, check))
    return [event for event in told if not isinstance(event, PopulationLogged)]


def train_instead(monkeypatch: pytest.MonkeyPatch, steps: Callable[..., Iterator[Any]]) -> None:
    import s2e.train.keep

    monkeypatch.setattr(s2e.train.keep, "train_population", steps)


def test_a_stored_model_is_a_plain_module_with_the_reported_accuracy(
    tmp_path: Path, make_population: MakePopulation
) -> None:
    from s2e.data.datasets import load_split
    from s2e.parts import NETWORKS

    population = make_population(ks=(3, 1), n_epochs=4)
    *_, last_epoch, finished = events_of(population, tmp_path)
    assert isinstance(last_epoch, EpochReported)
    assert isinstance(finished, PopulationFinished)
    data = load_split(population.data, None)
    images = data.test.images.float() / data.max_value
    network = NETWORKS[population.train.network]().make(images.shape[1:], data.n_classes)
    for row, result in zip(last_epoch.epochs, finished.results, strict=True):
        assert result.model == f"job/round-0/trial-{row.k}-attempt-1.safetensors"
        tensors, described = read_model(tmp_path / result.model)
        assert described["result"] == to_json(result)
        accuracies = []
        for n in range(2):
            module = network.make_module()
            module.load_state_dict(
                {k.removeprefix(f"network{n}."): v for k, v in tensors.items() if f"network{n}." in k}
            )
            predicted = module.eval()(images).argmax(-1)
            accuracies.append(float((predicted == data.test.labels).double().mean()))
        # One image may sit on the boundary between two classes and fall to the other side in another order of sums.
        assert sum(accuracies) / 2 == pytest.approx(row.test_accuracy, abs=1.0 / len(images))


def test_a_failed_trial_keeps_its_reason_and_gets_no_model(
    tmp_path: Path, make_population: MakePopulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s2e.data.inputs import NetworkShape
    from s2e.train.trial import PopulationEnd

    good, failed = TrialResult(0, 0, objective=0.5), TrialResult(0, 1, failed=True, reason="loss became NaN at epoch 2")

    def steps(population: Population, **_: Any) -> Iterator[Any]:
        yield PopulationEnd((good, failed), ({"network0.w": torch.ones(1)}, None), NetworkShape((1,), 1, 2))

    train_instead(monkeypatch, steps)
    finished = events_of(make_population(), tmp_path)[-1]
    assert isinstance(finished, PopulationFinished)
    assert finished.results[1] == failed
    assert finished.results[0].model
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1


@pytest.mark.parametrize(
    ("error", "reason", "cause"),
    [
        (SpecError(Problem("plan.dtype", "bfloat16", "float32 here")), "plan.dtype = 'bfloat16': float32 here", ""),
        (DataError("set S2E_DATA_ROOT"), "set S2E_DATA_ROOT", ""),
        (TrialError("the device vanished", retryable=True), "the device vanished", "place failed"),
        (TrialError("no gradient"), "no gradient", ""),
        (OSError(5, "Input/output error"), "OSError: [Errno 5] Input/output error", "disk failed"),
        (MemoryError(), "MemoryError: ", OUT_OF_MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory"), "OutOfMemoryError: CUDA out of memory", OUT_OF_MEMORY),
        (RuntimeError("shapes differ"), "RuntimeError: shapes differ", ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_becomes_an_event_that_says_whether_another_place_may_help(
    tmp_path: Path,
    make_population: MakePopulation,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
    cause: str,
) -> None:
    def steps(population: Population, **_: Any) -> Iterator[Any]:
        raise error
        yield

    train_instead(monkeypatch, steps)
    started, lost = events_of(make_population(), tmp_path)
    assert isinstance(started, PopulationStarted)
    assert lost == PopulationLost(KEY, reason, bool(cause), cause)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root and the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_artifact_disk_holds_what_was_trained_until_there_is_room(
    small_disk: Path, make_population: MakePopulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the models are written, and emptied at the second time that this is told."""
    monkeypatch.setattr(trainer, "HOLD_AGAIN_S", (0.01,))
    ballast, events = small_disk / "ballast", []
    ballast.write_bytes(bytes(900_000))
    for data in run_population(to_json(KEY), to_json(make_population(n_epochs=3)), str(small_disk), None):
        events.append(decode(data))
        held = [event for event in events if isinstance(event, PopulationHeld)]
        if len(held) == 2:
            ballast.unlink(missing_ok=True)
    assert [type(event) for event in events if not isinstance(event, PopulationHeld)] == [
        PopulationStarted, *[EpochReported] * 3, PopulationFinished,
    ]  # fmt: skip
    assert held[0].reason.startswith("artifact disk full: No space left on device (")
    assert isinstance(events[-2], PopulationHeld)  # all of it was trained before
    finished = events[-1]
    assert isinstance(finished, PopulationFinished)
    assert all(result.model and (small_disk / result.model).exists() for result in finished.results)
    assert not list(small_disk.rglob("*.tmp"))


def test_a_disk_that_stays_full_gives_the_population_to_another_place(
    small_disk: Path, make_population: MakePopulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "HOLD_S", -1.0)
    (small_disk / "ballast").write_bytes(bytes(1_000_000))
    *_, held, lost = events_of(make_population(n_epochs=1), small_disk)
    assert isinstance(held, PopulationHeld)
    assert isinstance(lost, PopulationLost)
    assert (lost.retryable, lost.cause) == (True, "disk failed")


@pytest.mark.parametrize("ks", [(0,), (3, 1)], ids=["one trial", "two trials"])
def test_a_lost_trainer_costs_one_epoch_and_no_number(
    tmp_path: Path, make_population: MakePopulation, monkeypatch: pytest.MonkeyPatch, ks: tuple[int, ...]
) -> None:
    """The first attempt is left after its fourth epoch was told, which was kept before: the second tells four again and
    trains the others. An epoch that is under way is lost."""
    from s2e.train import trial, unfinished

    monkeypatch.setattr(trainer, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(unfinished, "SHARE", 1e9)  # epochs of milliseconds would not be worth it
    population, trained = make_population(ks=ks, n_epochs=6), []
    calm = events_of(population, tmp_path / "calm")
    run_epoch = trial.run_epoch

    def counted(trials: Any, t: int, **more: Any) -> Any:
        trained.append(t)
        return run_epoch(trials, t, **more)

    monkeypatch.setattr(trial, "run_epoch", counted)
    attempt = run_population(to_json(KEY), to_json(population), str(tmp_path / "lost"), None)
    for _ in range(5):  # started, and four epochs
        next(attempt)
    del attempt
    assert trained == [0, 1, 2, 3]
    trained.clear()
    again = events_of(population, tmp_path / "lost")
    assert trained == [4, 5]
    assert [event for event in again if isinstance(event, EpochReported)] == [
        event for event in calm if isinstance(event, EpochReported)
    ]
    assert again[-1] == calm[-1]
    assert not list(tmp_path.rglob("unfinished-*"))


def test_a_checkpoint_that_cannot_be_read_or_written_costs_only_its_epochs(
    tmp_path: Path, make_population: MakePopulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s2e.train import unfinished

    monkeypatch.setattr(trainer, "CHECKPOINT_S", 0.0)
    population = make_population(n_epochs=4)
    calm = events_of(population, tmp_path / "calm")
    attempt = run_population(to_json(KEY), to_json(population), str(tmp_path / "lost"), None)
    for _ in range(4):
        next(attempt)
    attempt.close()
    (left,) = (tmp_path / "lost").rglob("unfinished-*")
    left.write_bytes(left.read_bytes()[:100])
    assert events_of(population, tmp_path / "lost")[1:] == calm[1:]

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unfinished.Unfinished, "_write", full)
    assert events_of(population, tmp_path / "full")[1:] == calm[1:]


def test_data_that_are_missing_are_the_jobs_fault_and_a_missing_root_is_the_places(
    tmp_path: Path, make_population: MakePopulation
) -> None:
    population = make_population(data=replace(DataSpec(), name="cifar10"))
    (tmp_path / "data").mkdir()
    for check in (False, True):
        there = events_of(population, tmp_path, tmp_path / "data", check)[-1]
        gone = events_of(population, tmp_path, tmp_path / "gone", check)[-1]
        assert isinstance(there, PopulationLost)
        assert isinstance(gone, PopulationLost)
        assert (there.retryable, gone.retryable, gone.cause) == (False, True, "data root missing")
        assert gone.reason.startswith(f"data root {tmp_path / 'gone'} missing on ")


def test_a_check_trains_nothing_and_measures_memory_and_speed(tmp_path: Path, make_population: MakePopulation) -> None:
    started, checked = events_of(make_population(n_epochs=5_000), tmp_path, check=True)
    assert isinstance(started, PopulationStarted)
    assert isinstance(checked, PopulationChecked)
    assert 0 < checked.estimate.epoch_s < 60
    assert checked.estimate.memory_bytes > 50 * 2**20  # torch alone is more than that
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"batch_size": 5_000}, "fewer than one batch"),
        ({"data": replace(DataSpec(), n_validation=1_790)}, "n_validation"),
        ({"network": "cnn9"}, ""),
    ],
    ids=["batch", "n_validation", "network"],
)
def test_a_check_finds_what_the_training_would_find(
    tmp_path: Path, make_population: MakePopulation, changes: dict[str, Any], told: str
) -> None:
    population = make_population(**changes)
    checked, trained = events_of(population, tmp_path, check=True)[-1], events_of(population, tmp_path)[-1]
    assert isinstance(checked, PopulationLost)
    assert isinstance(trained, PopulationLost)
    assert (checked.reason, checked.retryable) == (trained.reason, False)
    assert told in checked.reason


def test_a_population_that_cannot_be_read_is_lost_with_the_field_named(
    tmp_path: Path, make_population: MakePopulation
) -> None:
    broken = to_json(make_population())
    broken["train"]["n_epochs"] = "many"
    *_, lost = (decode(data) for data in run_population(to_json(KEY), broken, str(tmp_path), None))
    assert isinstance(lost, PopulationLost)
    assert not lost.retryable
    assert "train.n_epochs" in lost.reason


def test_a_cancel_passes_through_and_is_no_event(
    tmp_path: Path, make_population: MakePopulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps(population: Population, **_: Any) -> Iterator[Any]:
        raise KeyboardInterrupt
        yield

    train_instead(monkeypatch, steps)
    with pytest.raises(KeyboardInterrupt):
        events_of(make_population(), tmp_path)


def test_a_process_cancelled_while_it_imports_does_not_live_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a module would break every later population of a process that is used again."""

    class Cancel:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> None:
            if name == "s2e.train.trial":
                raise KeyboardInterrupt

    def end(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(sys, "meta_path", [Cancel, *sys.meta_path])
    monkeypatch.delitem(sys.modules, "s2e.train.trial", raising=False)
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(SystemExit):
        warm_up()


def test_a_noise_draw_is_written_once_beside_the_models(tmp_path: Path, make_population: MakePopulation) -> None:
    import json

    from s2e.data.images import load_digits

    population = make_population(ks=(0, 1), n_epochs=1)
    events_of(population, tmp_path)
    (path,) = tmp_path.glob("job/noise-*.json")
    assert path.name == "noise-9.json"  # both trials share the draw of seed 9
    described = json.loads((tmp_path / "job" / "round-0" / "trial-1-attempt-1.json").read_text())
    assert described["noise"] == "job/noise-9.json"
    record = json.loads(path.read_text())
    assert record["realised_noise_rate"] == record["n_flipped"] / 997
    assert set(zip(record["flipped"], record["clean_labels"], strict=True)) <= set(
        enumerate(load_digits().train_labels.tolist())
    )
