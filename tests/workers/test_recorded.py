"""The recorded table: real trainings looked up by their schedule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from s2e.schedule import coteaching_keep_rate
from s2e.words import DataError, DataSpec, Population, TrainSpec, TrialSpec, parse, replace
from workers.backend import Event, PopulationFinished, PopulationKey
from workers.recorded import DIGITS_PAIR45, DIGITS_SYM50, RecordedTable
from workers.simulated import SimulatedBackend

SHIPPED = [(DIGITS_SYM50, "symmetric", 0.5), (DIGITS_PAIR45, "pair", 0.45)]


@pytest.fixture(scope="module")
def table() -> RecordedTable:
    return RecordedTable.load()


def trial(keep_rate: tuple[float, ...]) -> TrialSpec:
    return TrialSpec(0, 0, "search", 0, keep_rate, 0, 0, 0)


def small_table() -> RecordedTable:
    """R = 1 and R falling to 0 over three epochs, two seeds each, with accuracies that name row and seed."""
    rows = np.array([[1.0, 1.0, 1.0], [1.0, 0.5, 0.0]])
    accuracy = np.array([[[0.1, 0.1, 0.1], [0.6, 0.6, 0.6]], [[0.2, 0.4, 0.8], [0.3, 0.3, 0.3]]])
    return RecordedTable(rows, accuracy, accuracy / 2, accuracy / 4, {"data": {}})


@pytest.mark.parametrize(("path", "kind", "noise_rate"), SHIPPED)
def test_the_shipped_tables_are_small_real_and_say_how_they_were_made(path: Path, kind: str, noise_rate: float) -> None:
    assert path.stat().st_size <= 500_000
    table = RecordedTable.load(path)
    n_schedules, n_epochs = table.keep_rate.shape
    assert n_schedules >= 512
    for curves_SRT in (table.validation_accuracy, table.test_accuracy, table.label_precision):
        assert curves_SRT.shape == (n_schedules, 3, n_epochs)
        assert ((curves_SRT >= 0) & (curves_SRT <= 1)).all()
    assert (table.keep_rate[:, 0] == 1).all()
    data, train = parse(DataSpec, table.made_with["data"]), parse(TrainSpec, table.made_with["train"])
    assert (data.name, data.noise.kind, data.noise.noise_rate) == ("digits", kind, noise_rate)
    assert train.n_epochs == n_epochs
    # Validation and test agree about schedules.
    tail = table.objective(table.made_with["tail_epochs"]).mean(axis=1)
    assert np.corrcoef(tail, 1 - table.test_accuracy[..., -5:].mean(axis=(1, 2)))[0, 1] > 0.9


def test_the_shipped_table_shows_memorisation(table: RecordedTable) -> None:
    """Keeping everything ends far below its own peak and below eq. (1) with tau = the noise rate."""
    n_epochs = table.keep_rate.shape[1]
    everything, default = (
        table.nearest(curve) for curve in ((1.0,) * n_epochs, coteaching_keep_rate(n_epochs, 0.5, 10))
    )
    assert (table.keep_rate[everything] == 1).all()
    accuracy = 1 - table.objective(5).mean(axis=1)
    assert accuracy[everything] < table.validation_accuracy[everything].mean(axis=0).max() - 0.05
    assert accuracy[everything] < accuracy[default] - 0.05


def test_a_recorded_schedule_finds_itself(table: RecordedTable) -> None:
    for s in range(0, len(table.keep_rate), 32):
        nearest = table.nearest(tuple(table.keep_rate[s].tolist()))
        assert (table.keep_rate[nearest] == table.keep_rate[s]).all()


def test_schedules_of_another_length_are_compared_over_their_whole_course() -> None:
    """Five epochs falling to 0 are nearest to three falling to 0; accuracies are interpolated at the quarters."""
    simulated = small_table()(trial((1.0, 0.75, 0.5, 0.25, 0.0)))
    assert simulated.validation_accuracy == pytest.approx((0.2, 0.3, 0.4, 0.6, 0.8))
    assert simulated.test_accuracy == pytest.approx((0.1, 0.15, 0.2, 0.3, 0.4))
    assert small_table()(trial((0.9,))).validation_accuracy == pytest.approx((0.1,))


def test_other_initial_weights_get_another_recorded_seed() -> None:
    falling = (1.0, 0.5, 0.0)
    seeds = [small_table()(replace(trial(falling), init_seed=seed)).validation_accuracy for seed in (4, 5)]
    assert seeds == [pytest.approx((0.2, 0.4, 0.8)), pytest.approx((0.3, 0.3, 0.3))]
    np.testing.assert_allclose(1 - small_table().objective(2), [[0.1, 0.6], [0.6, 0.3]])


def test_a_table_survives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.npz"
    small_table().save(path)
    loaded = RecordedTable.load(path)
    assert loaded.made_with == {"data": {}}
    np.testing.assert_allclose(loaded.keep_rate, small_table().keep_rate, atol=1e-5)
    np.testing.assert_allclose(loaded.label_precision, small_table().label_precision, atol=1e-5)


def test_a_missing_table_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="record_table"):
        RecordedTable.load(tmp_path / "none.npz")


def test_the_table_drives_the_simulated_backend(
    table: RecordedTable, make_population: Callable[..., Population], collect: Callable[..., list[Event]]
) -> None:
    backend = SimulatedBackend(table)
    population = make_population(ks=(0,), n_epochs=table.keep_rate.shape[1])
    s = 11
    recorded = replace(population.trials[0], keep_rate=tuple(table.keep_rate[s].tolist()), init_seed=0)
    backend.start(PopulationKey("job", 0, 0, 1), replace(population, trials=(recorded,)))
    finished = collect(backend)[-1]
    assert isinstance(finished, PopulationFinished)
    expected = table.validation_accuracy[s, 0, -population.tail_epochs :].mean()
    assert finished.results[0].validation_accuracy == pytest.approx(expected, abs=1e-6)
