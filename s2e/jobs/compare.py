"""The one round of a comparison: every entry on every seed, with all that is random shared by the entries of a seed."""

from __future__ import annotations

from s2e.jobs.trials import coteaching_schedule, default_keep_rate, make_repeat
from s2e.parts import METHODS
from s2e.words import EntrySpec, JobSpec, Round

KIND = "compare"


def entries_of(spec: JobSpec) -> tuple[EntrySpec, ...]:
    """The entries of a comparison job."""
    assert spec.compare is not None  # refused at the door
    return spec.compare.entries


def n_trials(spec: JobSpec) -> int:
    """Trials of the whole comparison."""
    assert spec.compare is not None
    return len(spec.compare.entries) * spec.compare.n_seeds


def compare_round(spec: JobSpec) -> Round:
    """Entries x seeds.

    Initial weights, data order and noise draw are those of the seed, so differences are paired. No search of the same
    job seed has seen them.
    """
    assert spec.compare is not None
    pairs = [(repeat, entry) for repeat in range(1, spec.compare.n_seeds + 1) for entry in spec.compare.entries]
    schedules = {entry.label: keep_rate_of(entry, spec) for entry in spec.compare.entries}
    trials = (
        make_repeat(spec, 0, k, entry.label, schedules[entry.label], entry.overrides, (KIND, repeat))
        for k, (repeat, entry) in enumerate(pairs)
    )
    return Round(0, KIND, tuple(trials))


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
        "list": "given, epoch by epoch",
        "job": f"recommended by job {schedule.job}",
    }[schedule.kind]
