"""From a job's spec to its spaces, its default schedule, and its trials with their seeds."""

from __future__ import annotations

from typing import Any

from s2e.data.transition import noise_rate
from s2e.parts import METHODS, SPACES
from s2e.schedule import coteaching_keep_rate
from s2e.search.parameters import Parameter, parse_parameters, searched_conditions
from s2e.search.space import Space
from s2e.search.spaces import COTEACHING, fixed
from s2e.words import Condition, JobSpec, TrialSpec, conditions, derive_seed

UNKNOWN_TAU = 0.2
"""Of labels whose noise cannot be estimated: a guess, and reports say so."""


def make_space(spec: JobSpec) -> Space:
    """The space of schedules a job names, with the training parameters it searches beside them.

    The space ``fixed`` has nothing of its own: every trial gets the default Co-teaching schedule.
    """
    space: Space = SPACES.find(spec.search.space, "search.space").stored(spec.search.space_params).make()
    if not space.blocks:
        space = fixed(default_keep_rate(spec))
    return space.with_parameters(*searched(spec))


def searched(spec: JobSpec) -> tuple[dict[str, Parameter], dict[str, Condition]]:
    """The training parameters that a job searches, and under which values of others some of them count."""
    parameters = parse_parameters(spec.search.parameters)
    return parameters, searched_conditions(parameters, conditions(METHODS[spec.train.method])) if parameters else {}


def make_rival_space(spec: JobSpec) -> Space:
    """The space of the rival: eq. (1), with the same training parameters beside it."""
    return COTEACHING.with_parameters(*searched(spec))


def default_tau(spec: JobSpec) -> float:
    """tau of the default Co-teaching schedule: given, or the expected share of wrong labels; a common one where that
    could not be estimated.

    Raises DataError where it is to be estimated and is not yet.
    """
    if spec.report.tau is not None:
        return spec.report.tau
    if spec.data.unestimated:
        return UNKNOWN_TAU
    return noise_rate(spec.data)


def default_keep_rate(spec: JobSpec) -> tuple[float, ...]:
    """The default Co-teaching schedule: eq. (1) with the default tau."""
    return coteaching_schedule(spec, default_tau(spec))


def coteaching_schedule(spec: JobSpec, tau: float) -> tuple[float, ...]:
    """Eq. (1) for this job's epochs and ramp."""
    official = spec.report.ramp == "official_linspace"
    return coteaching_keep_rate(spec.train.n_epochs, tau, spec.report.ramp_epochs, official_linspace=official)


def make_trial(
    spec: JobSpec, m: int, k: int, label: str, keep_rate: tuple[float, ...], train: dict[str, Any]
) -> TrialSpec:
    """A trial on validation accuracy: its own initial weights, one data order for the round (common random numbers),
    the job's noise draw."""
    init, order = derive_seed(spec.seed, "init", m, k), derive_seed(spec.seed, "order", m)
    return TrialSpec(m, k, label, 0, keep_rate, init, order, derive_seed(spec.seed, "noise"), train=train)


def make_repeat(
    spec: JobSpec,
    m: int,
    k: int,
    label: str,
    keep_rate: tuple[float, ...],
    train: dict[str, Any],
    seeds: tuple[str, int],
) -> TrialSpec:
    """A trial on fresh seeds, (purpose, repeat): initial weights, data order and noise draw are all new, and alike for
    the schedules compared."""
    purpose, repeat = seeds
    init, order, noise = (derive_seed(spec.seed, what, purpose, repeat) for what in ("init", "order", "noise"))
    return TrialSpec(m, k, label, repeat, keep_rate, init, order, noise, train=train)
