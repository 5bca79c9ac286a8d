"""A population of models that are fitted in one go: each trial alone, measured once, as epoch 0.

Legend: S training samples, V validation samples, F features, C classes.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data.datasets import Part, load_split
from s2e.data.inputs import NetworkShape, inputs_of
from s2e.data.rows import in_memory
from s2e.data.transition import true_transition
from s2e.fitted_model import to_tensors
from s2e.labels.choice import noisy_score
from s2e.labels.evidence import evidence
from s2e.methods.fitted import Features, Fitted, FittedModel
from s2e.outcome import result_of
from s2e.parts import DATASETS, METHODS
from s2e.train.ends import validates_by_truth
from s2e.train.revise import revised_rows
from s2e.train.runtime import prepare_process
from s2e.train.seen import Seen, see
from s2e.train.subset import share_of
from s2e.train.told import PopulationEnd, PopulationEpoch
from s2e.words import EpochMetrics, Evidence, Population, TrialResult, TrialSpec, replace

CHUNK = 2_000
N_CHECKED = 300
"""Rows that a check fits a model to at first."""
MORE_CHECKED, TELLING_S = 4, 0.15
"""So many times as many follow a check that has taken less than so many seconds."""
Bools = NDArray[np.bool_]


def is_fitted(population: Population) -> bool:
    """True if its method is a model that is fitted in one go."""
    return METHODS.find(population.train.method, "train.method").fitted


class FittedTrials:
    """The data and the rule of a population; nothing of it changes from trial to trial but labels and seeds."""

    def __init__(self, population: Population, data_root: str | None) -> None:
        prepare_process(population.plan)
        spec = population.data
        self.population = population
        data = load_split(spec, data_root)
        data, rows = share_of(data, population.data_share, spec.split_seed)
        self.data, rows = revised_rows(spec, population.train, data, rows)
        trusted = self.data.trusted
        self.trusted_S = np.zeros(len(rows), dtype=bool) if trusted is None else trusted[rows].numpy()
        noise_seeds = [trial.noise_seed for trial in population.trials]
        self.seen: Seen = see(spec, self.data, rows, noise_seeds, data_root, torch.device("cpu"))
        statistics = DATASETS[spec.name].mean_std if spec.normalise == "channels" else None
        self.inputs = inputs_of(self.data, statistics)
        self.T_CC = true_transition(spec, self.data.n_classes)
        part = METHODS[population.train.method].stored(population.train.params, dataset=spec.name)
        self.rule: Fitted = part.make()

    def features(self, images: torch.Tensor) -> Features:
        """Samples as a network reads them, each as one row [S, F]."""
        x = images.float().div_(self.data.max_value)
        if self.inputs.mean:
            mean, deviation = (torch.tensor(of).view(1, -1, 1, 1) for of in (self.inputs.mean, self.inputs.deviation))
            x = x.sub_(mean).div_(deviation)
        return x.flatten(1).numpy()

    @cached_property
    def learned(self) -> Features:
        return self.features(in_memory(self.data.train.images, self.population.train.method))

    def fit(self, k: int, n_rows: int | None = None) -> FittedModel:
        """Trial k's model, of its first ``n_rows`` rows. Raises ValueError where the model cannot take the data."""
        from threadpoolctl import threadpool_limits

        label_S = self.seen.label_KS[k].numpy()[:n_rows]
        seed = self.population.trials[k].init_seed
        with threadpool_limits(self.population.plan.threads), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a solver that stops early is what its step limit says
            x_SF, trusted_S = self.learned[: len(label_S)], self.trusted_S[: len(label_S)]
            return self.rule.fit(x_SF, label_S, self.data.n_classes, self.T_CC, seed, trusted_S)

    def predict(self, model: FittedModel, part: Part) -> NDArray[np.float64]:
        """P(class) [S, C] of a part's samples."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(self.population.plan.threads):
            return np.concatenate([model.predict_proba(self.features(some)) for some in part.images.split(CHUNK)])


def train_fitted(population: Population, data_root: str | None) -> Iterator[PopulationEpoch | PopulationEnd]:
    """As :func:`s2e.train.trial.train_population`: one PopulationEpoch of the trials that could be fitted, and the end.

    There is nothing to go on from: a population that was cut off is fitted anew.
    """
    trials = FittedTrials(population, data_root)
    outcomes = [_outcome(trials, k) for k in range(len(population.trials))]
    rows = tuple(outcome.row for outcome in outcomes if outcome.row is not None)
    if rows:
        yield PopulationEpoch(rows, lambda: (None,) * len(population.trials))
    data = trials.data
    shape = NetworkShape(tuple(data.train.images.shape[1:]), data.max_value, data.n_classes, trials.inputs)
    models = tuple(None if outcome.model is None else to_tensors(outcome.model) for outcome in outcomes)
    yield PopulationEnd(tuple(outcome.result for outcome in outcomes), models, shape)


def check_fitted(population: Population, data_root: str | None) -> tuple[float, int]:
    """Seconds of CPU to fit the first trial's model to some of the rows, and how many: a few, or several times as many
    where those are too few for it, or too quick to tell what rows take from what every fit does. It is what a fit
    takes where nobody else uses the machine, as the fastest of a network's steps is. Raises what its training would
    raise, but a model that cannot take the data, which is a result."""
    trials, n_rows = FittedTrials(population, data_root), N_CHECKED
    trials.rule.estimator(trials.learned[:N_CHECKED], 0)  # scikit-learn loads here, once in a process
    while True:
        began_s, is_fit = time.process_time(), True
        try:
            model = trials.fit(0, n_rows)
            model.predict_proba(trials.learned[:n_rows])
            trials.predict(model, trials.data.validation)
        except ValueError:
            is_fit = False
        seconds = time.process_time() - began_s
        if (is_fit and seconds >= TELLING_S) or n_rows >= len(trials.learned):
            return seconds, n_rows
        n_rows *= MORE_CHECKED


@dataclass(frozen=True)
class _Outcome:
    result: TrialResult
    row: EpochMetrics | None = None
    model: FittedModel | None = None


def _outcome(trials: FittedTrials, k: int) -> _Outcome:
    population, trial = trials.population, trials.population.trials[k]
    try:
        model = trials.fit(k)
    except ValueError as error:
        reason = f"{population.train.method} cannot be fitted: {str(error).splitlines()[0]}"
        return _Outcome(result_of(trial, (), population.tail_epochs, reason))
    p_VC = trials.predict(model, trials.data.validation)
    p_test = None if population.test_every is None else trials.predict(model, trials.data.test)
    row = _measured(trials, k, trial, model, p_VC, p_test)
    result = result_of(trial, [row], population.tail_epochs)
    assert result.final is not None
    balanced = None
    if p_test is not None and population.test_every == 1:
        balanced = _balanced(p_test.argmax(1), trials.data.test.labels.numpy())
    final = replace(
        result.final,
        balanced=balanced,
        noisy_likelihood=_likelihood(trials, k, p_VC),
        evidence=_evidence(trials, k, model, p_VC) if population.judged else None,
        members=model.members,
    )
    return _Outcome(replace(result, final=final), row, model)


def _measured(
    trials: FittedTrials,
    k: int,
    trial: TrialSpec,
    model: FittedModel,
    p_VC: NDArray[np.float64],
    p_test: NDArray[np.float64] | None,
) -> EpochMetrics:
    validation = _validation_accuracy(trials, k, p_VC.argmax(1))
    test = None if p_test is None else float((p_test.argmax(1) == trials.data.test.labels.numpy()).mean())
    label_S = trials.seen.label_KS[k].numpy()
    predicted_S = trials.predict(model, trials.data.train).argmax(1)
    own = _memorised(predicted_S, label_S, trials) if trials.population.data.truth_is_known else {}
    train = float((predicted_S == label_S).mean())
    return EpochMetrics(
        k=trial.k,
        epoch=0,
        keep_rate=trial.keep_rate[0],
        kept=1.0,
        train_accuracy=train,
        validation_accuracy=validation,
        validation_ensemble=validation,
        test_accuracy=test,
        test_ensemble=test,
        networks=((train, validation, test),),
        **own,
    )


def _validation_accuracy(trials: FittedTrials, k: int, predicted_V: NDArray[np.int64]) -> float:
    seen = trials.seen
    labels = trials.data.validation.labels if seen.validation_label_KV is None else seen.validation_label_KV[k]
    if seen.score_CC is None:
        return float((predicted_V == labels.numpy()).mean())
    return float(np.clip(seen.score_CC.numpy()[labels.numpy(), predicted_V].mean(), 0, 1))


def _memorised(predicted_S: NDArray[np.int64], label_S: NDArray[np.int64], trials: FittedTrials) -> dict[str, float]:
    """Shares of the predictions that fit right and wrong labels; a share of no sample is left out."""
    true_S = trials.data.train.labels.numpy()
    clean_S = label_S == true_S
    shares = {
        "label_precision": clean_S.mean(),
        "clean_correct": _mean(predicted_S == true_S, clean_S),
        "wrong_correct": _mean(predicted_S == true_S, ~clean_S),
        "wrong_memorised": _mean(predicted_S == label_S, ~clean_S),
    }
    return {name: float(share) for name, share in shares.items() if share is not None}


def _mean(value_S: Bools, among_S: Bools) -> float | None:
    return float(value_S[among_S].mean()) if among_S.any() else None


def _balanced(predicted_S: NDArray[np.int64], label_S: NDArray[np.int64]) -> float:
    """Mean over the classes that the samples have."""
    return float(np.mean([(predicted_S[label_S == c] == c).mean() for c in np.unique(label_S)]))


def _likelihood(trials: FittedTrials, k: int, p_VC: NDArray[np.float64]) -> float | None:
    """As of networks: None where validation labels are right, or nobody knows their noise."""
    label_KV = trials.seen.validation_label_KV
    if validates_by_truth(trials.population.data) or trials.T_CC is None or label_KV is None:
        return None
    return noisy_score(p_VC, label_KV[k].numpy(), trials.T_CC).log_likelihood


def _evidence(trials: FittedTrials, k: int, model: FittedModel, p_VC: NDArray[np.float64]) -> Evidence:
    """As of networks."""
    if not validates_by_truth(trials.population.data):
        assert trials.seen.validation_label_KV is not None
        return evidence(None, (p_VC, trials.seen.validation_label_KV[k].numpy()), trials.T_CC)
    beside = trials.data.beside
    noisy = None if beside is None else (trials.predict(model, beside), beside.labels.numpy())
    return evidence((p_VC, trials.data.validation.labels.numpy()), noisy, trials.T_CC)
