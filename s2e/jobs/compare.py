"""The one round of a comparison: every entry on every seed, with all that is random shared by the entries of a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from s2e.jobs.trials import coteaching_schedule, default_keep_rate, default_tau, make_repeat
from s2e.parts import METHODS
from s2e.words import EntrySpec, JobSpec, Round, TrialSpec, replace

KIND = "compare"
FEWEST_SEEDS = 2
"""Of a comparison that has to end in time: with one there is no interval."""
MOST_DROPPED = 0.95
"""Of tau where a factor is applied to it."""


def entries_of(spec: JobSpec) -> tuple[EntrySpec, ...]:
    """The entries of a comparison job."""
    assert spec.compare is not None  # refused at the door
    return spec.compare.entries


def n_trials(spec: JobSpec) -> int:
    """Trials of the whole comparison."""
    assert spec.compare is not None
    return len(spec.compare.entries) * spec.compare.n_seeds


def with_fewer_seeds(spec: JobSpec) -> Iterator[JobSpec]:
    """The comparison itself, then on one seed less each, down to FEWEST_SEEDS."""
    assert spec.compare is not None
    yield spec
    for n_seeds in range(spec.compare.n_seeds - 1, FEWEST_SEEDS - 1, -1):
        yield replace(spec, compare=replace(spec.compare, n_seeds=n_seeds))


def compare_round(spec: JobSpec) -> Round:
    """Entries x seeds.

    Initial weights, data order and noise draw are those of the seed, so differences are paired. No search of the same
    job seed has seen them.
    """
    return Round(0, KIND, compare_trials(spec, 0, entries_of(spec)))


def compare_trials(spec: JobSpec, m: int, entries: Sequence[EntrySpec]) -> tuple[TrialSpec, ...]:
    """Every entry on every seed, as trials of round m."""
    assert spec.compare is not None
    pairs = [(repeat, entry) for repeat in range(1, spec.compare.n_seeds + 1) for entry in entries]
    schedules = {entry.label: keep_rate_of(entry, spec) for entry in entries}
    return tuple(
        make_repeat(spec, m, k, entry.label, schedules[entry.label], entry.overrides, (KIND, repeat))
        for k, (repeat, entry) in enumerate(pairs)
    )


def uses_schedule(entry: EntrySpec) -> bool:
    """True if R(t) changes anything about the entry's training."""
    return METHODS[entry.method].scheduled


def keep_rate_of(entry: EntrySpec, spec: JobSpec) -> tuple[float, ...]:
    """R(t) of an entry; 1 for a method without a schedule."""
    schedule, n_epochs = entry.schedule, spec.train.n_epochs
    if schedule.kind == "all" or not uses_schedule(entry):
        return (1.0,) * n_epochs
    if schedule.kind == "default":
        return default_keep_rate(spec)
    if schedule.kind == "scaled":
        assert schedule.factor is not None  # refused at the door
        return coteaching_schedule(spec, min(schedule.factor * default_tau(spec), MOST_DROPPED))
    if schedule.kind == "tau":
        assert schedule.tau is not None  # refused at the door
        return coteaching_schedule(spec, schedule.tau)
    assert schedule.keep_rate  # given, or resolved at the door
    return schedule.keep_rate


def schedule_words(entry: EntrySpec) -> str:
    """The entry's schedule for people."""
    if not uses_schedule(entry):
        return "none: the method keeps no schedule"
    schedule = entry.schedule
    return {
        "default": "default eq. (1)",
        "all": "R = 1",
        "tau": f"eq. (1), tau {schedule.tau}",
        "scaled": f"eq. (1), {schedule.factor} times the default tau",
        "list": "given, epoch by epoch",
        "job": f"recommended by job {schedule.job}",
    }[schedule.kind]
