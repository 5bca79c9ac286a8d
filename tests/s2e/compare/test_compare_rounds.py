"""The round of a comparison: which trials there are, what they share, and which of them train together."""

from __future__ import annotations

from typing import Any

import pytest

from s2e.door import parse_job
from s2e.jobs import loop
from s2e.schedule import coteaching_keep_rate
from s2e.words import JobSpec, RoundRecord, SpecError, TrialResult

LISTED = [1.0, 0.5, 0.25, 0.125]
ENTRIES = [
    {"method": "standard", "schedule": {"kind": "tau", "tau": 0.9}},
    {"label": "eq1", "method": "coteaching"},
    {"label": "every", "method": "coteaching", "schedule": {"kind": "all"}},
    {"label": "tau 0.3", "method": "coteaching", "schedule": {"kind": "tau", "tau": 0.3}},
    {"label": "listed", "method": "coteaching", "schedule": {"kind": "list", "keep_rate": LISTED}},
    {"label": "fast", "method": "coteaching", "train": {"learning_rate": 0.01}},
]


def job(entries: list[dict[str, Any]] = ENTRIES, n_seeds: int = 3, **more: Any) -> JobSpec:
    base = {"kind": "compare", "seed": 5, "train": {"n_epochs": 4}, "report": {"ramp_epochs": 2}}
    return parse_job(base | {"compare": {"n_seeds": n_seeds, "entries": entries}} | more)


def round_of(spec: JobSpec) -> Any:
    round_ = loop.next_round(spec, [])
    assert round_ is not None
    return round_


def test_a_comparison_is_one_round_of_every_entry_on_every_seed() -> None:
    spec = job()
    round_ = round_of(spec)
    assert (round_.index, round_.kind, round_.state) == (0, "compare", None)
    assert loop.n_trials(spec) == len(round_.trials) == 6 * 3
    assert loop.n_rounds(spec) == 1
    assert [(trial.repeat, trial.label) for trial in round_.trials[:7]] == [
        *((1, label) for label in ("standard", "eq1", "every", "tau 0.3", "listed", "fast")), (2, "standard"),
    ]  # fmt: skip
    assert [trial.k for trial in round_.trials] == list(range(18))
    results = tuple(TrialResult(0, trial.k, failed=True) for trial in round_.trials)
    assert loop.next_round(spec, [RoundRecord(round_, results)]) is None


def test_entries_share_everything_random_and_seeds_share_nothing() -> None:
    trials = round_of(job()).trials
    seeds = {(t.label, t.repeat): (t.init_seed, t.order_seed, t.noise_seed) for t in trials}
    for repeat in (1, 2, 3):
        assert len({shared for (_, r), shared in seeds.items() if r == repeat}) == 1
    assert len({seed for shared in seeds.values() for seed in shared}) == 9


def test_its_seeds_are_fresh_for_a_search_of_the_same_seed() -> None:
    search = parse_job({"seed": 5, "train": {"n_epochs": 4}, "search": {"n_rounds": 1, "n_trials": 2}})
    history, _ = loop.run_search(
        search,
        lambda round_, _: [
            TrialResult(round_.index, t.k, objective=0.1, validation_accuracy=0.9) for t in round_.trials
        ],
    )
    used = {s for r in history for t in r.round.trials for s in (t.init_seed, t.order_seed, t.noise_seed)}
    assert used.isdisjoint(s for t in round_of(job()).trials for s in (t.init_seed, t.order_seed, t.noise_seed))


def test_each_kind_of_schedule_and_none_for_a_method_without() -> None:
    """tau 0.9 asked of Standard changes nothing: it keeps every sample, and its keep rate says so."""
    keep_rate = {trial.label: trial.keep_rate for trial in round_of(job()).trials}
    assert keep_rate["standard"] == keep_rate["every"] == (1.0,) * 4
    assert keep_rate["eq1"] == coteaching_keep_rate(4, 0.5, 2)
    assert keep_rate["tau 0.3"] == coteaching_keep_rate(4, 0.3, 2)
    assert keep_rate["listed"] == tuple(LISTED)


def test_entries_of_one_method_and_settings_share_populations() -> None:
    """Four Co-teaching entries differ in the schedule alone: 12 trials in stacks of 4; the others are stacked apart."""
    spec = job(plan={"population": 4, "dtype": "bfloat16"})
    groups = loop.populations(spec, round_of(spec))
    assert [(group.train.method, group.train.learning_rate, len(group.trials)) for group in groups] == [
        ("standard", 1e-3, 3), ("coteaching", 1e-3, 4), ("coteaching", 1e-3, 4), ("coteaching", 1e-3, 4),
        ("coteaching", 0.01, 3),
    ]  # fmt: skip
    assert {group.plan.dtype for group in groups} == {"float32"}


def test_a_schedule_of_a_job_is_looked_up_by_a_service_only() -> None:
    with pytest.raises(SpecError, match=r"compare\.entries\[0\]\.schedule\.job = '0199': a job of a service"):
        job([{"method": "coteaching", "schedule": {"kind": "job", "job": "0199"}}])
