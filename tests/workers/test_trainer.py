"""The body of a trainer process: results and failures as data, and model files that anybody can use."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s2e.artifacts import read_model
from s2e.words import DataError, Population, Problem, SpecError, TrialError, TrialResult, to_json
from workers.backend import EpochReported, Event, PopulationFinished, PopulationKey, PopulationLost, PopulationStarted
from workers.trainer import run_population, warm_up
from workers.wire import decode

torch = pytest.importorskip("torch")
KEY = PopulationKey("job", 0, 0, 1)
MakePopulation = Callable[..., Population]


def events_of(population: Population, root: Path) -> list[Event]:
    return [decode(data) for data in run_population(to_json(KEY), to_json(population), str(root), None)]


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
    from s2e.train.trial import NetworkShape, PopulationEnd

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
    ("error", "reason", "retryable"),
    [
        (SpecError(Problem("plan.dtype", "bfloat16", "float32 here")), "plan.dtype = 'bfloat16': float32 here", False),
        (DataError("set S2E_DATA_ROOT"), "set S2E_DATA_ROOT", False),
        (TrialError("the device vanished", retryable=True), "the device vanished", True),
        (TrialError("no gradient"), "no gradient", False),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device", True),
        (MemoryError(), "MemoryError: ", True),
        (torch.OutOfMemoryError("CUDA out of memory"), "OutOfMemoryError: CUDA out of memory", True),
        (RuntimeError("shapes differ"), "RuntimeError: shapes differ", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_becomes_an_event_that_says_whether_another_place_may_help(
    tmp_path: Path,
    make_population: MakePopulation,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
    retryable: bool,
) -> None:
    def steps(population: Population, **_: Any) -> Iterator[Any]:
        raise error
        yield

    train_instead(monkeypatch, steps)
    started, lost = events_of(make_population(), tmp_path)
    assert isinstance(started, PopulationStarted)
    assert lost == PopulationLost(KEY, reason, retryable)


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
