"""The accuracies an epoch measures change no other number: same weights, same objective, bit for bit."""

from __future__ import annotations

import pytest
import torch

from s2e.door import parse_job
from s2e.jobs.loop import next_round, populations
from s2e.train.trial import PopulationEpoch, train_population
from s2e.words import Fidelity, Round, replace

MEASURED = ("validation_accuracy", "validation_ensemble", "test_accuracy", "test_ensemble", "networks")


def run(population, **more):
    *epochs, end = train_population(population, **more)
    return [step.epochs[0] for step in epochs], end


def epochs_with(rows, name):
    return [row.epoch for row in rows if getattr(row, name) is not None]


@pytest.mark.parametrize(
    ("validate_every", "test_every", "validated", "tested"),
    [
        (1, 0, [0, 1, 2, 3, 4, 5, 6], [5, 6]),
        (1, 3, [0, 1, 2, 3, 4, 5, 6], [0, 3, 5, 6]),
        (4, 0, [0, 4, 5, 6], [5, 6]),
        (100, 1, [0, 5, 6], [0, 1, 2, 3, 4, 5, 6]),
        (1, None, [0, 1, 2, 3, 4, 5, 6], []),
    ],
)
def test_the_tail_is_always_measured_and_nothing_else_moves(tiny, validate_every, test_every, validated, tested):
    """Seven epochs, of which the objective averages two."""
    every = tiny(n_epochs=7)
    thinned = replace(every, validate_every=validate_every, test_every=test_every)
    (rows, end), (fewer, thinned_end) = run(every), run(thinned)
    assert epochs_with(fewer, "validation_accuracy") == epochs_with(fewer, "validation_ensemble") == validated
    assert epochs_with(fewer, "test_accuracy") == epochs_with(fewer, "test_ensemble") == tested
    for row, one in zip(rows, fewer, strict=True):
        same = {name: getattr(row, name) for name in MEASURED if getattr(one, name) is not None}
        same["networks"] = tuple(
            (train, v if row.epoch in validated else None, t if row.epoch in tested else None)
            for train, v, t in row.networks
        )
        missing = dict.fromkeys(name for name in MEASURED if getattr(one, name) is None)
        assert one == replace(row, **same, **missing)
    missing = {"final": thinned_end.results[0].final} | ({} if tested else {"test_accuracy": None})
    assert thinned_end.results[0] == replace(end.results[0], **missing)
    for name, tensor in end.models[0].items():
        assert torch.equal(thinned_end.models[0][name], tensor), name


def test_best_and_last_ten_are_given_where_every_epoch_was_measured(tiny):
    _, end = run(tiny(n_epochs=4))
    assert end.results[0].final.mean is not None
    _, thinned = run(replace(tiny(n_epochs=4), test_every=0))
    assert thinned.results[0].final.mean is thinned.results[0].final.ensemble is None
    assert thinned.results[0].final.wrong_memorised == end.results[0].final.wrong_memorised


def test_a_prefix_measures_its_own_tail_and_what_continues_it_ends_as_the_whole(tiny):
    """Prefixes of 3 and 4 of 6 epochs, tail 2: the second one's tail lies in both."""
    whole = replace(tiny(n_epochs=6), test_every=0, validate_every=100)
    trial = whole.trials[0]

    def part(**fidelity):
        return replace(whole, trials=(replace(trial, fidelity=Fidelity(**fidelity)),))

    checkpoints, rows = None, []
    for step in train_population(part(n_epochs_run=3)):
        if isinstance(step, PopulationEpoch):
            checkpoints, rows = step.checkpoints(), [*rows, step.epochs[0]]
    assert epochs_with(rows, "validation_accuracy") == [0, 1, 2]
    assert epochs_with(rows, "test_accuracy") == [1, 2]
    _, longer = run(part(n_epochs_run=4, resume=(0, 0), resumed_epochs=3), start=checkpoints)
    _, anew = run(part(n_epochs_run=4))
    assert longer.results[0].objective == anew.results[0].objective
    assert longer.results[0].test_accuracy == anew.results[0].test_accuracy


def test_a_trial_that_is_no_number_leaves_although_nothing_was_measured(tiny, monkeypatch):
    """The weights break in the last step of epoch 1, which is not measured: epoch 2 shows it by its loss."""
    population = replace(tiny(n_epochs=6, learning_rate=1e-3), validate_every=100, test_every=0)
    rows = []
    for step in train_population(population):
        if isinstance(step, PopulationEpoch):
            rows.append(step.epochs[0])
            if step.epochs[0].epoch == 1:
                trials = step.checkpoints.args[1]
                trials.tensors["output.bias"].data.fill_(float("nan"))
        else:
            assert [row.epoch for row in rows] == [0, 1]
            assert step.results[0].reason == "loss became NaN at epoch 2"


def job(**plan):
    return parse_job({"train": {"n_epochs": 10}, "search": {"n_rounds": 1, "n_trials": 2}, "plan": plan})


@pytest.mark.parametrize(
    ("plan", "search"),
    [
        ({}, (1, 0)),
        ({"validate_every": 3, "test_every": 2}, (3, 2)),
        ({"test_search": False}, (1, None)),
    ],
)
def test_searches_measure_what_the_plan_says_and_re_trainings_everything(plan, search):
    """Of a re-training, "best" and "at best validation" are reported, which are chosen among all epochs."""
    spec = job(**plan)
    trials = next_round(spec, []).trials
    for kind, expected in {"search": search, "tune": search, "choose": search, "retrain": (1, 1)}.items():
        for group in populations(spec, Round(0, kind, trials)):
            assert (group.validate_every, group.test_every) == expected


def test_comparisons_measure_everything():
    entries = [{"label": "one", "method": "standard"}, {"label": "two", "method": "coteaching"}]
    spec = parse_job({"kind": "compare", "train": {"n_epochs": 6}, "compare": {"entries": entries, "n_seeds": 2}})
    for group in populations(spec, next_round(spec, [])):
        assert (group.validate_every, group.test_every) == (1, 1)
