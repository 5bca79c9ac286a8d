"""The recorded table: real trainings looked up by their schedule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from s2e.errors import DataError
from s2e.schedule import coteaching_keep_rate
from s2e.spec import DataSpec, Population, TrainSpec, TrialSpec, parse, replace
from workers.backend import Event, PopulationFinished, PopulationKey
from workers.recorded import DIGITS_SYM50, RecordedTable
from workers.simulated import SimulatedBackend


@pytest.fixture(scope="module")
def table() -> RecordedTable:
    return RecordedTable.load()


def trial(keep_rate: tuple[float, ...]) -> TrialSpec:
    return TrialSpec(0, 0, "search", 0, keep_rate, 0, 0, 0)


def small_table() -> RecordedTable:
    """R = 1 and R falling to 0 over three epochs, with accuracies that name the row."""
    rows = np.array([[1.0, 1.0, 1.0], [1.0, 0.5, 0.0]], dtype=np.float32)
    accuracy = np.array([[0.1, 0.1, 0.1], [0.2, 0.4, 0.8]], dtype=np.float32)
    return RecordedTable(rows, accuracy, accuracy / 2, accuracy / 4, {"data": {}})


def test_the_shipped_table_is_small_real_and_says_how_it_was_made(table: RecordedTable) -> None:
    assert DIGITS_SYM50.stat().st_size <= 500_000
    n_schedules, n_epochs = table.keep_rate.shape
    assert n_schedules >= 200
    for curves_ST in (table.validation_accuracy, table.test_accuracy, table.label_precision):
        assert curves_ST.shape == (n_schedules, n_epochs)
        assert ((curves_ST >= 0) & (curves_ST <= 1)).all()
    assert (table.keep_rate[:, 0] == 1).all()
    data, train = parse(DataSpec, table.made_with["data"]), parse(TrainSpec, table.made_with["train"])
    assert (data.name, data.noise.kind, data.noise.noise_rate) == ("digits", "symmetric", 0.5)
    assert train.n_epochs == n_epochs


def test_the_shipped_table_shows_memorisation(table: RecordedTable) -> None:
    """Keeping everything ends far below its own peak and below eq. (1) with tau = the noise rate; validation and test
    agree about schedules."""
    n_epochs = table.keep_rate.shape[1]
    everything = table.nearest((1.0,) * n_epochs)
    assert (table.keep_rate[everything] == 1).all()
    tail = table.validation_accuracy[:, -5:].mean(axis=1)
    assert tail[everything] < table.validation_accuracy[everything].max() - 0.05
    assert tail[everything] < tail[table.nearest(coteaching_keep_rate(n_epochs, 0.5, 10))] - 0.05
    assert np.corrcoef(tail, table.test_accuracy[:, -5:].mean(axis=1))[0, 1] > 0.95


def test_a_recorded_schedule_finds_itself(table: RecordedTable) -> None:
    for s in range(0, len(table.keep_rate), 16):
        found = table.nearest(tuple(table.keep_rate[s].tolist()))
        assert (table.keep_rate[found] == table.keep_rate[s]).all()


def test_schedules_of_another_length_are_compared_over_their_whole_course() -> None:
    """Five epochs falling to 0 are nearest to three falling to 0; accuracies are interpolated at the quarters."""
    simulated = small_table()(trial((1.0, 0.75, 0.5, 0.25, 0.0)))
    assert simulated.validation_accuracy == pytest.approx((0.2, 0.3, 0.4, 0.6, 0.8))
    assert simulated.test_accuracy == pytest.approx((0.1, 0.15, 0.2, 0.3, 0.4))
    assert small_table()(trial((0.9,))).validation_accuracy == pytest.approx((0.1,))


def test_a_table_survives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.npz"
    small_table().save(path)
    loaded = RecordedTable.load(path)
    assert loaded.made_with == {"data": {}}
    assert (loaded.keep_rate == small_table().keep_rate).all()
    assert (loaded.label_precision == small_table().label_precision).all()


def test_a_missing_table_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="record_table"):
        RecordedTable.load(tmp_path / "none.npz")


def test_the_table_drives_the_simulated_backend(
    table: RecordedTable, make_population: Callable[..., Population], collect: Callable[..., list[Event]]
) -> None:
    backend = SimulatedBackend(table)
    population = make_population(ks=(0,), n_epochs=table.keep_rate.shape[1])
    s = 11
    recorded = replace(population.trials[0], keep_rate=tuple(table.keep_rate[s].tolist()))
    backend.start(PopulationKey("job", 0, 0, 1), replace(population, trials=(recorded,)))
    finished = collect(backend)[-1]
    assert isinstance(finished, PopulationFinished)
    expected = table.validation_accuracy[s, -population.tail_epochs :].mean()
    assert finished.results[0].validation_accuracy == pytest.approx(expected, abs=1e-6)
