"""Hyperband on real trainings: going on from checkpoints saves the epochs and changes no number."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2e.door import parse_job
from s2e.jobs.loop import run_search
from s2e.local import run
from s2e.words import Population, Round, TrialResult

pytest.importorskip("torch")


class Heard:
    """The epochs that each trial trained."""

    def __init__(self) -> None:
        self.epochs: dict[object, list[int]] = {}

    def round(self, index: int, kind: str, n_trials: int) -> None: ...

    def epoch(self, trial: object, epoch: int) -> None:
        self.epochs.setdefault(trial, []).append(epoch)

    def ended(self, trial: object, label: str, share: float, validation_accuracy: float | None) -> None: ...


@pytest.mark.parametrize("output", [False, True], ids=["in memory", "in files"])
def test_continued_trials_equal_trials_trained_anew_and_train_their_own_epochs_only(
    tmp_path: Path, output: bool
) -> None:
    """T = 3: three trials of 2 epochs, the best of them to 3, then two full trainings."""
    from s2e.train.trial import PopulationEnd, train_population

    spec = parse_job(
        {
            "data": {"name": "digits", "n_train": 96, "n_validation": 50},
            "train": {"n_epochs": 3, "batch_size": 32},
            "search": {"searcher": "hyperband", "n_rounds": 1, "n_trials": 5},
            "report": {"n_seeds": 2, "max_seeds": 4, "taus": [], "tau": 0.5},
        }
    )
    heard = Heard()

    def anew(round_: Round, populations: tuple[Population, ...]) -> list[TrialResult]:
        steps = [step for population in populations for step in train_population(population)]
        return [result for step in steps if isinstance(step, PopulationEnd) for result in step.results]

    continued, _ = run(spec, output=tmp_path if output else None, progress=heard)
    expected, _ = run_search(spec, anew)
    assert [len(record.round.trials) for record in continued[:3]] == [3, 1, 2]
    assert continued[1].round.trials[0].fidelity.resumed_epochs == 2
    assert [heard.epochs[key] for key in ((0, 0), (1, 0), (2, 1))] == [[0, 1], [2], [0, 1, 2]]
    for ours, other in zip(continued, expected, strict=True):
        assert ours.round == other.round
        assert [r.objective for r in ours.results] == [r.objective for r in other.results]
        assert [r.test_accuracy for r in ours.results] == [r.test_accuracy for r in other.results]
