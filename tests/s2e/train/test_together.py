"""Populations of several jobs as one program: the bits of each are those it has alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch

from s2e.networks.library import instruction_set
from s2e.parts import METHODS, NETWORKS
from s2e.train import fused
from s2e.train.together import Together
from s2e.train.trial import PopulationEnd, PopulationEpoch, train_population
from s2e.words import PlanSpec, Population, replace

Tiny = Callable[..., Population]
Step = PopulationEpoch | PopulationEnd
NATIVE = PlanSpec(step="native")


def jobs(tiny: Tiny, *sizes: int, plan: PlanSpec = NATIVE, **more: Any) -> list[Population]:
    """Populations of as many trials, each with seeds of its own and one data order for its trials."""
    populations = []
    for i, size in enumerate(sizes):
        made = tiny(tuple(range(size)), n_epochs=4, **more)
        shift = 1_000 * (i + 1)
        trials = [
            replace(t, init_seed=t.init_seed + shift, order_seed=shift, noise_seed=shift + 7, round=i)
            for t in made.trials
        ]
        populations.append(replace(made, plan=plan, trials=tuple(trials)))
    return populations


def in_turn(runs: Sequence[Iterator[Step]]) -> list[list[Step]]:
    """The steps of every member, each asked for one after the other, as a trainer asks."""
    told: list[list[Step]] = [[] for _ in runs]
    going = dict(enumerate(runs))
    while going:
        for i, run in list(going.items()):
            if (step := next(run, None)) is None:
                del going[i]
            else:
                told[i].append(step)
    return told


def assert_same(told: Sequence[Step], alone: Sequence[Step]) -> None:
    assert [step.epochs for step in told if isinstance(step, PopulationEpoch)] == [
        step.epochs for step in alone if isinstance(step, PopulationEpoch)
    ]
    mine, other = told[-1], alone[-1]
    assert isinstance(mine, PopulationEnd)
    assert isinstance(other, PopulationEnd)
    assert mine.results == other.results
    for one, two in zip(mine.models, other.models, strict=True):
        assert (one is None) == (two is None)
        assert one is None or two is None or all(torch.equal(one[name], two[name]) for name in two)


native = pytest.mark.skipif(instruction_set() is None, reason="no compiled step")


@native
@pytest.mark.parametrize("method", [n for n in METHODS.names() if METHODS[n].ranks])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_together_and_alone_are_the_same_bits(tiny: Tiny, method: str, dtype: str) -> None:
    plan = PlanSpec(dtype=dtype, step="native")
    populations = jobs(tiny, 3, 1, 2, method=method, plan=plan)
    together = Together(populations, None)
    told = in_turn([together.member(i)(population) for i, population in enumerate(populations)])
    for steps, population in zip(told, populations, strict=True):
        assert_same(steps, list(train_population(population)))


@native
def test_who_leaves_changes_nothing_for_the_others(tiny: Tiny) -> None:
    """One of them keeps every sample, which the compiled step would do in another way alone."""
    stays, leaves, keeps_all = jobs(tiny, 2, 2, 1)
    (trial,) = keeps_all.trials
    keeps_all = replace(keeps_all, trials=(replace(trial, keep_rate=(1.0,) * 4),))
    populations = [stays, leaves, keeps_all]
    together = Together(populations, None)
    runs = [together.member(i)(population) for i, population in enumerate(populations)]
    first, _, third = [next(run) for run in runs]
    runs[1].close()
    rest = in_turn([runs[0], runs[2]])
    assert_same([first, *rest[0]], list(train_population(stays)))
    assert_same([third, *rest[1]], list(train_population(keeps_all)))


@native
def test_a_checkpoint_of_a_member_is_that_of_its_training_alone(tiny: Tiny) -> None:
    populations = jobs(tiny, 1, 2)
    together = Together(populations, None)
    runs = [together.member(i)(population) for i, population in enumerate(populations)]
    next(runs[0])
    step, alone = next(runs[1]), next(train_population(populations[1]))
    assert isinstance(step, PopulationEpoch)
    assert isinstance(alone, PopulationEpoch)
    checkpoints = [c for c in step.checkpoints() if c is not None]
    for mine, other in zip(checkpoints, alone.checkpoints(), strict=True):
        assert other is not None
        assert [replace(row, k=0) for row in mine.history] == [replace(row, k=0) for row in other.history]
        assert all(torch.equal(mine.tensors[name], other.tensors[name]) for name in other.tensors)
    goes_on = list(train_population(populations[1], start=checkpoints))
    assert_same([step, *goes_on], list(train_population(populations[1])))


@pytest.mark.parametrize("more", [{"plan": PlanSpec(step="torch")}, {"method": "elr"}], ids=str)
def test_what_could_not_be_exact_trains_by_itself(tiny: Tiny, more: dict[str, Any]) -> None:
    populations = jobs(tiny, 1, 2, **more)
    together = Together(populations, None)
    told = in_turn([together.member(i)(population) for i, population in enumerate(populations)])
    for steps, population in zip(told, populations, strict=True):
        assert_same(steps, list(train_population(population)))


def test_an_error_of_the_program_is_every_members(tiny: Tiny) -> None:
    populations = [replace(p, train=replace(p.train, batch_size=60_000)) for p in jobs(tiny, 1, 1)]
    together = Together(populations, None)
    for i, population in enumerate(populations):
        with pytest.raises(Exception, match="fewer than one batch"):
            next(together.member(i)(population))


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_that_weighs_by_ranks_says_so(name: str) -> None:
    """Its declaration, which a dispatcher reads without torch, and its implementation agree."""
    part = METHODS[name]
    method = None if part.fitted else part.of({}).make()
    assert part.ranks == (method is not None and fused.weighs_by_ranks(method) and fused.has_plain_step(method))


@pytest.mark.parametrize("name", [n for n in NETWORKS.names() if not NETWORKS[n].variants])
def test_a_dense_network_says_so(name: str) -> None:
    part = NETWORKS[name]
    size = max(8, part.min_size)
    network = part.of({}).make((3, size, size), 4)
    assert part.dense == (fused.dense_layers(network) is not None)
