"""The noise matrix without one clean label: networks and matrix in turn, from two starts.

    1. Folds train on the labels as given; their held-out predictions give two first guesses of T (``starts``).
    2. From each guess fresh folds train with forward correction by T. Every few epochs T is refitted, by EM, to their
       predictions for the rows they do not train on, and training goes on under the new T.
    3. After two such fits the start whose labels are likelier goes on alone, until their likelihood stops growing.
    4. Latent classes get the names under which most labels are right; a symmetric matrix replaces T where T predicts
       labels of other rows no better, or stands beside it where that is not decided (``settled``).

The likelihood of labels that were not trained on decides everything, and no truth is looked at.

Legend: S samples, C classes, F folds, M steps of an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.labels.em import Array, Labels, TransitionFit, fit_transition
from s2e.labels.settled import settled
from s2e.labels.starts import dominant, first_guesses, naming
from s2e.labels.verdict import NoiseEstimate
from s2e.networks.base import StackedNetwork
from s2e.train.crossfit import Member, Rule, Samples, Stack, fold_members, stratified_folds
from s2e.words import DataError, TrainSpec, replace

Progress = Callable[[float], None]
"""Told the share of the work that is done, at most 1."""

WARM_UP_STEPS = 300
"""Training on the labels as given: long enough to tell classes apart, too short to learn labels by heart."""
N_WARM_UPS = 3
"""Networks of each fold whose predictions are averaged: the scatter of single ones hides the clusters."""
STEPS_PER_FIT = 120
"""Between two fits of T."""
MAX_FITS = 20
N_RACING = 2
"""Fits after which one start is left."""
PATIENCE = 2
"""Fits in a row that do not make labels likelier, before training stops."""
WEIGHT_DECAY = 1e-3
"""At least this: a network that learns labels by heart says little about those of other rows."""
FIRST_TRUST, TRUST_DECAY = 0.3, 0.7
"""Training under T takes labels for right this much more than T says, at first: a first guess that confuses two classes
would otherwise teach networks to. Falls by the factor from fit to fit."""
FEWEST_LABELS = 2
"""Of a class: they lie in two folds, so the networks that judge one have learned from another."""
SMALLEST_CHANCE = 1e-4
"""No T_ij below this in training: a label must not rule a class out."""


@dataclass(frozen=True, eq=False)
class LabelFit:
    """The estimate, and its verdict on every row; a trusted row has its label's numbers."""

    estimate: NoiseEstimate
    p_SC: Array
    """P(class) from networks that did not train on the row; the given label is not used."""
    posterior_SC: Array
    """P(class) given the label too."""
    margin_S: NDArray[np.float32]
    """Mean over visits in training of the logit of the given label minus the largest other."""
    others_p_HC: Array
    """P(class) of rows that were only looked at, the mean over the networks of all folds."""
    others_posterior_HC: Array
    """The same given their labels."""
    plain: Plain
    over_plain: float
    """Standard errors by which labels are likelier under ``p_SC`` and the matrix than under the plain networks."""


@dataclass(frozen=True, eq=False)
class Plain:
    """The networks that were trained on the labels as given, at the end of the warm-up."""

    p_SC: Array
    """P(given label) from those that did not train on the row; a trusted row has its label's numbers."""
    margin_S: NDArray[np.float32]
    """As :attr:`LabelFit.margin_S`."""


@dataclass(frozen=True, eq=False)
class _Fit:
    """One start after one fit of T."""

    start: str
    fit: TransitionFit
    p_SC: Array
    margin_S: NDArray[np.float32]
    p_FHC: NDArray[np.float32] | None = None
    """Of rows that are only looked at, by the network of each fold."""


def estimate_noise(
    samples: Samples,
    network: StackedNetwork,
    train: TrainSpec,
    *,
    n_folds: int = 5,
    seed: int = 0,
    trusted: Labels | None = None,
    others: Sequence[Samples] = (),
    progress: Progress | None = None,
) -> LabelFit:
    """Estimate how wrong the labels of ``samples`` are.

    ``network`` is trained as ``train`` says, except for its method, epochs and the course of its step size, and with
    some weight decay where it has none. Labels of ``trusted`` rows are right: they train, and say nothing about T.
    ``others`` are rows of which nothing is learned: they are judged, and change no number of the estimate.

    Raises DataError where there are too few rows, training diverges, or the noise cannot be identified.
    """
    label_S = samples.label_S
    unknown_S = np.ones(len(label_S), dtype=bool)
    if trusted is not None:
        unknown_S[trusted] = False
    _require_rows(label_S[unknown_S], n_folds, samples.class_names)
    weight_decay = max(train.weight_decay, WEIGHT_DECAY)
    train = replace(train, lr_schedule="constant", beta1_decay=None, weight_decay=weight_decay)
    folds = _Folds(samples, network, train, n_folds, seed, unknown_S, others)
    course = _Course(folds, progress or _unseen)
    best, rates = course.run()
    return _judged(best, rates, folds, course)


def _unseen(_share: float) -> None:
    """Progress that nobody watches."""


class _Folds:
    """Members that leave out one fold each; trusted rows are in every fold's training."""

    def __init__(
        self,
        samples: Samples,
        network: StackedNetwork,
        train: TrainSpec,
        n_folds: int,
        seed: int,
        unknown_S: NDArray[np.bool_],
        others: Sequence[Samples],
    ) -> None:
        self.samples, self.network, self.train, self.n_folds, self.seed = samples, network, train, n_folds, seed
        self.unknown_S, self.others = unknown_S, others
        fold_S = stratified_folds(samples.label_S, n_folds, seed)
        fold_S[~unknown_S] = -1
        self.fold_S = fold_S

    def warm_up_stack(self) -> Stack:
        """Every fold ``N_WARM_UPS`` times, from other weights each time."""
        return self._stack([each for i in range(N_WARM_UPS) for each in self._members(f"warm-up {i}")])

    def forward_stack(self, n_starts: int) -> Stack:
        """The folds once for every start, with equal weights and orders."""
        return self._stack(self._members("forward") * n_starts)

    def _members(self, purpose: str) -> list[Member]:
        trusted = np.flatnonzero(~self.unknown_S)
        return [Member(member.rows, member.seed, trusted) for member in fold_members(self.fold_S, self.seed, purpose)]

    def _stack(self, members: Sequence[Member]) -> Stack:
        return Stack(self.samples, self.network, members, self.train)

    def unknown(self, p_SC: Array) -> Array:
        """Predictions of the rows whose labels may be wrong. Raises DataError where a network has lost its numbers."""
        if not np.isfinite(p_SC[self.unknown_S]).all():
            raise DataError("training diverged: try a smaller learning rate, or features of a smaller scale")
        return p_SC[self.unknown_S]

    @property
    def labels(self) -> Labels:
        """The labels that may be wrong."""
        return self.samples.label_S[self.unknown_S]

    @property
    def other_labels(self) -> Labels:
        """Those of the rows that are only looked at."""
        return np.concatenate([np.empty(0, dtype=np.int64), *(part.label_S for part in self.others)])

    def looked_at(self, fit: _Fit, stack: Stack) -> _Fit:
        """The fit with the predictions of ``stack``, which made it, for the rows that are only looked at."""
        if not self.others:
            return fit
        p_KHC = [stack.predict(part.x).mean(1) for part in self.others]
        return replace(fit, p_FHC=torch.cat(p_KHC, dim=1).float().cpu().numpy())


class _Course:
    """The trainings of one estimate, in order."""

    def __init__(self, folds: _Folds, progress: Progress) -> None:
        self.folds, self.progress = folds, progress
        self.n_epochs = 0.0
        """Passes of one network over all rows."""
        self.n_fits = 0

    def run(self) -> tuple[_Fit, Mapping[str, float]]:
        """The best fit, and the noise rate of each start when one was chosen."""
        guesses = self._warm_up()
        stack = self.folds.forward_stack(len(guesses))
        for _ in range(N_RACING):
            fits = self._fits(stack, guesses)
            guesses = {fit.start: fit.fit.T_CC for fit in fits}
        best = max(fits, key=_likelihood)
        rates = {fit.start: fit.fit.named(naming(fit.fit.T_CC, fit.fit.class_share_C)).noise_rate for fit in fits}
        at = [fit.start for fit in fits].index(best.start) * self.folds.n_folds
        stack.keep(range(at, at + self.folds.n_folds))
        best = self.folds.looked_at(best, stack)
        T_CC, since_best = best.fit.T_CC, 0
        while since_best < PATIENCE and self.n_fits < MAX_FITS:
            (fit,) = self._fits(stack, {best.start: T_CC})
            T_CC = fit.fit.T_CC
            if _likelihood(fit) > _likelihood(best):
                best, since_best = self.folds.looked_at(fit, stack), 0
            else:
                since_best += 1
        self.progress(1.0)
        return best, rates

    def _warm_up(self) -> dict[str, Array]:
        stack = self.folds.warm_up_stack()
        n_epochs = max(4, -(-WARM_UP_STEPS // stack.n_steps))
        held_out = stack.run([Rule()] * len(stack.members), n_epochs, n_averaged=n_epochs // 2)
        self._count(stack, n_epochs)
        self.progress(self._share)
        self.plain = Plain(held_out.combined(len(self.folds.unknown_S)), _mean_margins(stack, slice(None)))
        return first_guesses(self.folds.unknown(self.plain.p_SC), self.folds.labels)

    @property
    def _share(self) -> float:
        """Of the longest course, which begins with the warm-up; most end before."""
        return (1 + self.n_fits) / (1 + MAX_FITS)

    def _fits(self, stack: Stack, T_by_start: Mapping[str, Array]) -> list[_Fit]:
        """Train on from every start under its T, then refit T to the predictions of its folds."""
        n_folds, unknown_S = self.folds.n_folds, self.folds.unknown_S
        n_epochs = max(2, -(-STEPS_PER_FIT // stack.n_steps))
        trained = [self._to_train_on(T_CC) for T_CC in T_by_start.values()]
        rules = [Rule(T_CC) for T_CC in trained for _ in range(n_folds)]
        held_out = stack.run(rules, n_epochs, n_averaged=2)
        self._count(stack, n_epochs)
        self.n_fits += 1
        self.progress(min(self._share, 0.99))
        fits = []
        for j, (start, T_CC) in enumerate(T_by_start.items()):
            members = slice(j * n_folds, (j + 1) * n_folds)
            p_SC = held_out.combined(len(unknown_S), members)
            fit = fit_transition(self.folds.unknown(p_SC), self.folds.labels, T_CC)
            fits.append(_Fit(start, fit, p_SC, _mean_margins(stack, members)))
        return fits

    def _to_train_on(self, T_CC: Array) -> Array:
        trust = FIRST_TRUST * TRUST_DECAY**self.n_fits
        return np.clip((1 - trust) * dominant(T_CC) + trust * np.eye(len(T_CC)), SMALLEST_CHANCE, 1)

    def _count(self, stack: Stack, n_epochs: int) -> None:
        rows = len(stack.members) * stack.n_steps * stack.batch_size * n_epochs
        self.n_epochs += rows / len(self.folds.samples)


def passes(n_rows: int, batch_size: int, n_folds: int = 5, n_more: int = 6) -> float:
    """Passes of one network over all rows that an estimate takes, with so many fits after the race."""
    n_steps = max(1, (n_rows - n_rows // n_folds) // batch_size)
    per_fit = max(2, -(-STEPS_PER_FIT // n_steps))
    warm_up = N_WARM_UPS * max(4, -(-WARM_UP_STEPS // n_steps))
    return (n_folds - 1) * (warm_up + (2 * N_RACING + n_more) * per_fit)


def _likelihood(fit: _Fit) -> float:
    return fit.fit.log_likelihood


def _mean_margins(stack: Stack, members: slice) -> NDArray[np.float32]:
    """Margin sums of every row over the members that train on it, per visit."""
    total_S = stack.margin_KNS[members].sum((0, 1))
    n_visits = stack.t * (len(stack.members[members]) - 1) * stack.n_networks
    return np.asarray((total_S / max(n_visits, 1)).cpu().numpy())


def _judged(best: _Fit, rates: Mapping[str, float], folds: _Folds, course: _Course) -> LabelFit:
    """Names, the kind of the matrix, its interval and alarms, and every row's numbers under it."""
    label_S, unknown_S, seed = folds.samples.label_S, folds.unknown_S, folds.seed
    order_C = naming(best.fit.T_CC, best.fit.class_share_C)
    fit, p_SC = best.fit.named(order_C), best.p_SC[:, order_C]
    known_p_SC, given_S = p_SC[unknown_S], label_S[unknown_S]
    plain_p_SC, names = folds.unknown(course.plain.p_SC), folds.samples.class_names
    verdict = settled(known_p_SC, given_S, fit, rates, seed, plain_p_SC, names)
    fit = verdict.fit
    certain_SC = np.eye(len(order_C))[label_S]
    posterior_SC = certain_SC.copy()
    posterior_SC[unknown_S] = fit.posterior(known_p_SC, given_S)
    estimate = NoiseEstimate(
        n_rows=len(given_S),
        noise_rate=fit.noise_rate,
        interval=verdict.interval,
        transition=tuple(map(tuple, fit.T_CC.tolist())),
        kind=verdict.kind,
        agreement=verdict.agreement,
        exponent=fit.exponent,
        log_likelihood=fit.log_likelihood,
        alarms=verdict.alarms,
        starts=rates,
        n_epochs=round(course.n_epochs, 1),
    )
    others = _others(best.p_FHC, order_C, fit, folds.other_labels)
    plain = replace(course.plain, p_SC=np.where(unknown_S[:, None], course.plain.p_SC, certain_SC))
    p_SC = np.where(unknown_S[:, None], p_SC, certain_SC)
    return LabelFit(estimate, p_SC, posterior_SC, best.margin_S, *others, plain, verdict.over_plain)


def _others(
    p_FHC: NDArray[np.float32] | None, order_C: Labels, fit: TransitionFit, label_H: Labels
) -> tuple[Array, Array]:
    """Of rows that were only looked at (P(class), P(class) given the label): each fold's network is as sure as T was
    fitted to, so posteriors are averaged, not predictions."""
    if p_FHC is None:
        return np.empty((0, len(order_C))), np.empty((0, len(order_C)))
    named_FHC = p_FHC[:, :, order_C].astype(np.float64)
    posterior_HC = np.mean([fit.posterior(p_HC, label_H) for p_HC in named_FHC], axis=0)
    return named_FHC.mean(0), np.asarray(posterior_HC)


def _require_rows(label_S: Labels, n_folds: int, class_names: Sequence[Any]) -> None:
    if (n_rows := len(label_S)) < n_folds:
        raise DataError(f"{n_folds} folds need at least {n_folds} labels, one for each: there are {n_rows}; add rows")
    count_C = np.bincount(label_S)
    names = class_names if len(class_names) else range(len(count_C))
    scarce = [f"{name!s:.40} ({n})" for name, n in zip(names, count_C, strict=False) if 0 < n < FEWEST_LABELS]
    if scarce:
        more = f" and {len(scarce) - 5} more classes" if len(scarce) > 5 else ""
        raise DataError(
            f"a class needs at least {FEWEST_LABELS} labels, in two folds: {', '.join(scarce[:5])}{more}: add rows, "
            "mend the labels, or leave these rows out"
        )
    if (count_C > 0).sum() < 2:
        raise DataError("all labels are the same: there is nothing to tell apart")
