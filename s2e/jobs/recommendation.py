"""The trial to recommend: the one of lowest posterior mean, not of the lowest objective observed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from s2e.door.overrides import merged
from s2e.jobs.trials import searched
from s2e.search.parameters import features_of
from s2e.search.surrogate import NO_ROUND, CurveSurrogate, lowest
from s2e.words import JobSpec, RoundRecord, TrialSpec, of_highest_fidelity, to_json


@dataclass(frozen=True)
class Tried:
    """One succeeded trial: its schedule, its own training settings, its objective, and the share of a full training
    that it is."""

    keep_rate: Sequence[float]
    train: Mapping[str, Any]
    objective: float
    share: float = 1.0
    round: int = NO_ROUND
    """Trials of a round share the data order."""


def succeeded(record: RoundRecord) -> list[tuple[TrialSpec, Tried]]:
    """The trials of a round that ended with an objective, each as :class:`Tried`."""
    return [
        (trial, Tried(trial.keep_rate, trial.train, result.objective, trial.share, trial.round))
        for trial, result in zip(record.round.trials, record.results, strict=True)
        if result.objective is not None
    ]


def best_bets(spec: JobSpec, tried: Sequence[Tried], n: int = 1, beside: Sequence[Tried] = ()) -> list[int]:
    """Indices of the ``n`` lowest posterior means, best first: no schedule with the same settings twice.

    Only the trials with the largest share of a full training compete: shorter ones rank otherwise. Trials ``beside``
    them, with the same share, are not to be chosen but known to the posterior.
    """
    index_N = [i for i, _ in of_highest_fidelity(list(enumerate(tried)), lambda pair: pair[1].share)]
    if not index_N:
        return []
    tried = [tried[i] for i in index_N]
    known = [*tried, *(one for one in beside if one.share == tried[0].share)]
    extra_MF = _setting_features(spec, known)
    rounds = None if spec.report.rules == 1 else [one.round for one in known]
    fit = CurveSurrogate([one.keep_rate for one in known], [one.objective for one in known], extra_MF, rounds)
    extra_NF = None if extra_MF is None else extra_MF[: len(tried)]
    mean_N = fit.posterior_mean([one.keep_rate for one in tried], extra_NF)
    best: list[int] = []
    while len(best) < n and np.isfinite(mean_N).any():
        best.append(lowest(mean_N))
        if len(best) < n:
            key = _key(tried[best[-1]])
            mean_N = np.where([_key(one) == key for one in tried], np.inf, mean_N)
    return [index_N[i] for i in best]


def _setting_features(spec: JobSpec, tried: Sequence[Tried]) -> list[list[float]] | None:
    """Features of the searched training parameters of each trial, the job's own value where it has none of its own."""
    parameters, conditions = searched(spec)
    if not parameters:
        return None
    return [features_of(parameters, to_json(merged(spec.train, one.train)), conditions) for one in tried]


def _key(one: Tried) -> tuple[tuple[float, ...], str]:
    return tuple(one.keep_rate), json.dumps(one.train, sort_keys=True)
