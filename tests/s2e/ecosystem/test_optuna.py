"""The sampler inside Optuna itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest

from s2e.ecosystem.asktell import AskTell
from s2e.ecosystem.optuna import S2ESampler, parameter_names, suggest_schedule
from s2e.search.cem import CrossEntropy
from s2e.search.space import S2E
from s2e.words import SpecError

T = 20


def error(trial: optuna.Trial) -> float:
    """Distance to a schedule that falls to 0.5 at once."""
    keep_rate = suggest_schedule(trial, T)
    assert len(keep_rate) == T
    assert all(0 <= value <= 1 for value in keep_rate)
    return math.sqrt(sum((value - 0.5) ** 2 for value in keep_rate[1:]) / T)


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def sampler(**more: object) -> S2ESampler:
    return S2ESampler(T, searcher="cem", n_trials=5, seed=3, **more)  # type: ignore[arg-type]


def test_a_study_sees_the_searcher_s_own_trials() -> None:
    study = optuna.create_study(sampler=sampler())
    study.optimize(error, n_trials=15)
    expected = AskTell(CrossEntropy(S2E, 3, T), 5)
    for trial in study.trials:
        point = expected.ask(trial.number)
        values = [trial.params[name] for name in parameter_names()]
        assert values == pytest.approx(list(point.values), abs=1e-12)
        expected.tell(trial.number, point, trial.value)


def test_maximising_the_accuracy_is_minimising_the_error() -> None:
    one = optuna.create_study(sampler=sampler())
    one.optimize(error, n_trials=12)
    other = optuna.create_study(direction="maximize", sampler=sampler())
    other.optimize(lambda trial: -error(trial), n_trials=12)
    assert [t.params for t in one.trials] == [t.params for t in other.trials]


def test_a_study_resumed_from_its_storage_goes_on_as_if_never_interrupted(tmp_path: Path) -> None:
    whole = optuna.create_study(sampler=sampler())
    whole.optimize(error, n_trials=12)
    url = f"sqlite:///{tmp_path}/study.db"
    with stored(url) as storage:
        optuna.create_study(study_name="s", storage=storage, sampler=sampler()).optimize(error, n_trials=7)
    with stored(url) as storage:
        resumed = optuna.load_study(study_name="s", storage=storage, sampler=sampler())
        resumed.optimize(error, n_trials=5)
        assert [t.params for t in resumed.trials] == [t.params for t in whole.trials]


@contextmanager
def stored(url: str) -> Iterator[optuna.storages.RDBStorage]:
    storage = optuna.storages.RDBStorage(url)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


def test_failed_and_nan_trials_do_not_stop_a_study() -> None:
    def sometimes(trial: optuna.Trial) -> float:
        if trial.number == 2:
            raise ValueError("before the schedule was asked for")
        value = error(trial)
        return math.nan if trial.number == 4 else value

    study = optuna.create_study(sampler=sampler())
    study.optimize(sometimes, n_trials=12, catch=(ValueError,))
    assert sum(t.state == optuna.trial.TrialState.COMPLETE for t in study.trials) == 10


def test_other_parameters_and_other_samplers_work_beside_it() -> None:
    def both(trial: optuna.Trial) -> float:
        return error(trial) + trial.suggest_float("lr", 1e-4, 1e-1, log=True)

    for choice in (sampler(), optuna.samplers.RandomSampler(0)):
        study = optuna.create_study(sampler=choice)
        study.optimize(both, n_trials=6)
        assert set(study.best_params) == {*parameter_names(), "lr"}


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(SpecError, match="newtonian"):
        S2ESampler(T, searcher="newtonian")
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler())
    with pytest.raises(ValueError, match="one objective"):
        study.optimize(lambda trial: (error(trial), 0.0), n_trials=1)
