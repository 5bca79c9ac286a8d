"""A stored network in three lines, and prefixes that go on from their checkpoint inside a trainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import s2e
from s2e.artifacts import checkpoint_path
from s2e.words import DataError, Fidelity, Population, replace, to_json
from workers.backend import EpochReported, Event, PopulationFinished, PopulationKey
from workers.trainer import run_population
from workers.wire import decode

torch = pytest.importorskip("torch")
MakePopulation = Callable[..., Population]


def events_of(population: Population, root: Path, round_: int = 0) -> list[Event]:
    key = PopulationKey("job", round_, 0, 1)
    return [decode(data) for data in run_population(to_json(key), to_json(population), str(root), None)]


def test_three_lines_give_a_plain_module_with_the_reported_accuracy(
    tmp_path: Path, make_population: MakePopulation
) -> None:
    from s2e.data.datasets import load_split

    population = make_population(ks=(0,), n_epochs=3)
    *_, last_epoch, finished = events_of(population, tmp_path)
    assert isinstance(finished, PopulationFinished)
    assert isinstance(last_epoch, EpochReported)
    model = finished.results[0].model
    assert model is not None
    data = load_split(population.data, None)
    images, accuracies = data.test.images.float() / data.max_value, []
    for n in range(2):
        module = s2e.load_model(tmp_path / model, n)
        accuracies.append(float((module(images).argmax(-1) == data.test.labels).double().mean()))
    assert sum(accuracies) / 2 == pytest.approx(last_epoch.epochs[0].test_accuracy, abs=1e-3)
    with pytest.raises(DataError, match="networks 0, 1"):
        s2e.load_model(tmp_path / model, 2)


def test_a_prefix_leaves_a_checkpoint_and_its_continuation_starts_there(
    tmp_path: Path, make_population: MakePopulation
) -> None:
    full = make_population(ks=(0, 1), n_epochs=4)
    expected = events_of(full, tmp_path / "full")[-1]
    prefix = replace(full, trials=tuple(replace(t, fidelity=Fidelity(n_epochs_run=2)) for t in full.trials))
    assert len(events_of(prefix, tmp_path)) == 2 + 2
    assert (tmp_path / checkpoint_path("job", 0, 1)).exists()

    rest = replace(
        full,
        trials=tuple(replace(t, round=1, fidelity=Fidelity(resume=(0, t.k), resumed_epochs=2)) for t in full.trials),
    )
    *epochs, finished = events_of(rest, tmp_path, round_=1)[1:]
    assert [e.epochs[0].epoch for e in epochs if isinstance(e, EpochReported)] == [2, 3]
    (tmp_path / checkpoint_path("job", 0, 1)).unlink()
    *anew, again = events_of(rest, tmp_path, round_=1)[1:]
    assert [e.epochs[0].epoch for e in anew if isinstance(e, EpochReported)] == [0, 1, 2, 3]
    for end in (finished, again):
        assert isinstance(end, PopulationFinished)
        assert isinstance(expected, PopulationFinished)
        assert [r.objective for r in end.results] == [r.objective for r in expected.results]


def test_two_schedules_that_begin_alike_go_on_from_one_checkpoint_with_the_bits_of_whole_trainings(
    tmp_path: Path, make_population: MakePopulation
) -> None:
    """A fork: the same weights, order and noise draw, and another R(t) from its epoch on."""
    made = make_population(ks=(0, 1), n_epochs=4)
    first = made.trials[0]
    whole = tuple(replace(first, k=k, keep_rate=(1.0, 0.8, *tail)) for k, tail in enumerate([(0.9, 0.3), (0.5, 1.0)]))
    beginning = replace(whole[0], fidelity=Fidelity(n_epochs_run=2))
    forks = tuple(replace(t, round=1, fidelity=Fidelity(resume=(0, 0), resumed_epochs=2)) for t in whole)
    events_of(replace(made, trials=(beginning,)), tmp_path)
    *epochs, forked = events_of(replace(made, trials=forks), tmp_path, round_=1)
    *expected, alone = events_of(replace(made, trials=whole), tmp_path / "whole")
    rows, rows_alone = ([e.epochs for e in es if isinstance(e, EpochReported)] for es in (epochs, expected))
    assert rows == rows_alone[2:]
    assert rows[1][0].loss != rows[1][1].loss
    assert isinstance(forked, PopulationFinished)
    assert isinstance(alone, PopulationFinished)
    for one, two in zip(forked.results, alone.results, strict=True):
        tensors, tensors_alone = (
            s2e.load_model(root / str(result.model)).state_dict()
            for root, result in ((tmp_path, one), (tmp_path / "whole", two))
        )
        assert all(torch.equal(tensors[name], tensors_alone[name]) for name in tensors_alone)
