"""Programs: populations, of one job or of several, that one trainer trains as one stack."""

from __future__ import annotations

import hashlib
import json

from s2e.parts import METHODS, NETWORKS
from s2e.words import Population, replace, to_json
from s2e.words.fidelity import FULL
from workers.backend import PopulationKey

MOST_POPULATIONS = 8
"""Of one program: each has reports of its own."""


def program_of(population: Population) -> str:
    """A name that populations share if they may train as one program with the bits that each has alone; empty: never.

    Nothing but the trials may differ, and only the compiled step under a method that weighs by ranks keeps the bits
    (:func:`s2e.train.fused.is_exact`, which the trainer asks again). Continued trials begin at other epochs.
    """
    train, data, plan = population.train, population.data, population.plan
    native = plan.step == "native" and plan.device == "cpu" and train.augment == "none"
    fresh = all(trial.fidelity == FULL for trial in population.trials)
    if not native or not fresh or data.validation_labels != "clean" or not data.truth_is_known:
        return ""
    if train.method not in METHODS or not METHODS[train.method].stored(train.params, dataset=data.name).by_ranks():
        return ""
    if train.network not in NETWORKS or not NETWORKS[train.network].dense:
        return ""
    same = replace(population, trials=(), plan=replace(plan, population=1, chosen=None, auto=False))
    return hashlib.sha256(json.dumps(to_json(same), sort_keys=True).encode()).hexdigest()[:24]


def may_join(key: PopulationKey) -> bool:
    """True at the first try: what ended a trainer once trains alone, and takes nobody along should it do so again."""
    return key.attempt == 1
