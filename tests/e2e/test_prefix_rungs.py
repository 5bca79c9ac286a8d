"""Hyperband on real trainings: going on from checkpoints saves the epochs and changes no number."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2e.door import parse_job
from s2e.jobs.loop import run_search
from s2e.words import Population, Round, TrialResult
from workers.backend import EpochReported, Event

pytest.importorskip("torch")


def test_continued_trials_equal_trials_trained_anew_and_train_their_own_epochs_only(tmp_path: Path) -> None:
    """T = 3: three trials of 2 epochs, the best of them to 3, then two full trainings."""
    from service.cli.local_search import search

    from s2e.train.trial import PopulationEnd, train_population

    spec = parse_job(
        {
            "data": {"name": "digits", "n_train": 96, "n_validation": 50},
            "train": {"n_epochs": 3, "batch_size": 32},
            "search": {"searcher": "hyperband", "n_rounds": 1, "n_trials": 5},
            "report": {"n_seeds": 2, "taus": [], "tau": 0.5},
        }
    )
    epochs: dict[tuple[int, int], list[int]] = {}

    def on_event(round_: Round, event: Event) -> None:
        if isinstance(event, EpochReported):
            for row in event.epochs:
                epochs.setdefault((round_.index, row.k), []).append(row.epoch)

    def anew(round_: Round, populations: tuple[Population, ...]) -> list[TrialResult]:
        steps = [step for population in populations for step in train_population(population)]
        return [result for step in steps if isinstance(step, PopulationEnd) for result in step.results]

    continued, _ = search(spec, tmp_path, None, lambda round_: None, on_event)
    expected, _ = run_search(spec, anew)
    assert [len(record.round.trials) for record in continued[:3]] == [3, 1, 2]
    assert continued[1].round.trials[0].fidelity.resumed_epochs == 2
    assert [epochs[key] for key in ((0, 0), (1, 0), (2, 1))] == [[0, 1], [2], [0, 1, 2]]
    for ours, other in zip(continued, expected, strict=True):
        assert ours.round == other.round
        assert [r.objective for r in ours.results] == [r.objective for r in other.results]
        assert [r.test_accuracy for r in ours.results] == [r.test_accuracy for r in other.results]
