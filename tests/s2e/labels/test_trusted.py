"""Trusted rows choose and train: nobody is judged by what it saw, and the winner is a plain training on everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s2e.data.noise import corrupt
from s2e.data.transition import pair
from s2e.labels import trusted as module
from s2e.labels.trusted import N_NETWORKS, candidates, train_with_trusted
from s2e.labels.verdict import NoiseEstimate
from s2e.networks.declared import TabularMLP
from s2e.networks.mlp import StackedTabularMLP
from s2e.train.crossfit import Member, Samples, Stack, stratified_folds
from s2e.words import DataError, TrainSpec, derive_seed

TRAIN = TrainSpec(method="standard", n_epochs=6, batch_size=16)
T_CC = pair(3, 0.4)


def estimate():
    rows = tuple(map(tuple, T_CC.tolist()))
    return NoiseEstimate(200, 0.4, (0.3, 0.5), rows, "full", 0.6, 1.0, -1.0, (), {}, 10.0)


def clouds(n=260, n_trusted=60, seed=0):
    """Noisy rows, and trusted ones at random places; rows nobody has seen, and their classes."""
    rng = np.random.default_rng(seed)
    class_S = rng.integers(0, 3, n + 300)
    x_SF = torch.from_numpy(2.5 * np.eye(3, 5)[class_S] + rng.normal(size=(n + 300, 5)))
    label_S = corrupt(class_S[:n], T_CC, seed + 1)
    trusted = np.sort(rng.permutation(n)[:n_trusted])
    label_S[trusted] = class_S[trusted]
    network = StackedTabularMLP((5,), 3, TabularMLP(hidden=(16,)))
    return Samples(x_SF[:n], label_S), trusted, network, x_SF[n:], class_S[n:]


def test_candidates_are_three_curves_and_the_matrix():
    rules = candidates(estimate(), 8)
    assert list(rules) == ["anchored 1", "anchored 1.2", "anchored 1.4", "forward"]
    np.testing.assert_allclose(rules["anchored 1.2"].keep_rate, [1, 0.76, *[0.52] * 6])
    assert rules["anchored 1"].transition_CC is None
    np.testing.assert_allclose(rules["forward"].transition_CC, T_CC.clip(1e-4))
    assert rules["forward"].keep_rate == 1


def test_every_accuracy_and_the_winner_are_those_of_trainings_alone():
    samples, trusted, network, x, _ = clouds()
    fit = train_with_trusted(samples, trusted, network, TRAIN, estimate(), seed=3)
    rules = candidates(estimate(), TRAIN.n_epochs)
    assert set(fit.accuracy) == set(rules)
    half_m = stratified_folds(samples.label_S[trusted], 2, derive_seed(3, "trusted"))
    for name, rule in rules.items():
        right = 0
        for h in range(2):
            left_out, kept = trusted[half_m == h], trusted[half_m != h]
            rows = np.setdiff1d(np.arange(len(samples)), left_out)
            alone = Stack(samples, network, [Member(rows, derive_seed(3, "trusted", h), kept)], TRAIN, N_NETWORKS)
            alone.run([rule], TRAIN.n_epochs)
            p_BC = alone.predict(samples.x[left_out])[0].mean(0)
            right += int((p_BC.argmax(-1).numpy() == samples.label_S[left_out]).sum())
        assert fit.accuracy[name] == pytest.approx(right / len(trusted))
    assert fit.accuracy[fit.winner] == max(fit.accuracy.values())
    everything = Member(np.arange(len(samples)), derive_seed(3, "trusted", "all"), trusted)
    alone = Stack(samples, network, [everything], TRAIN, N_NETWORKS)
    alone.run([rules[fit.winner]], TRAIN.n_epochs)
    np.testing.assert_allclose(fit.predict(x), alone.predict(x)[0].mean(0).numpy(), atol=1e-12)


def test_a_left_out_label_changes_nothing_but_its_own_judgement(monkeypatch):
    """Networks of half 0 do not see the labels of half 0: their predictions stay when those labels change."""
    samples, trusted, network, _, _ = clouds()
    half_m = stratified_folds(samples.label_S[trusted], 2, derive_seed(3, "trusted"))
    monkeypatch.setattr(module, "stratified_folds", lambda *_: half_m)
    predicted = []
    monkeypatch.setattr(module, "_judged", lambda p_mC, label_m: (float(predicted.append(p_mC) or 0), 0.0))
    changed_S = samples.label_S.copy()
    changed_S[trusted[half_m == 0]] = (changed_S[trusted[half_m == 0]] + 1) % 3
    for label_S in (samples.label_S, changed_S):
        train_with_trusted(Samples(samples.x, label_S), trusted, network, TRAIN, estimate(), seed=3)
    for one, other in zip(predicted[:4], predicted[4:], strict=True):
        np.testing.assert_array_equal(one[half_m == 0], other[half_m == 0])
        assert (one[half_m == 1] != other[half_m == 1]).any()


def test_trusted_rows_help_on_pair_noise():
    samples, trusted, network, x, class_B = clouds(n=400, n_trusted=90)
    train = TrainSpec(method="standard", n_epochs=15, batch_size=16)
    fit = train_with_trusted(samples, trusted, network, train, estimate())
    assert (fit.predict(x).argmax(1) == class_B).mean() > 0.85


def test_a_class_without_two_trusted_rows_is_named():
    samples, _, network, _, _ = clouds()
    zeros = np.flatnonzero(samples.label_S == 0)[:6]
    one = np.flatnonzero(samples.label_S == 1)[:1]
    with pytest.raises(DataError, match=r"every class needs at least 2 trusted rows: 1 \(1\), 2 \(0\)"):
        train_with_trusted(samples, np.concatenate([zeros, one]), network, TRAIN, estimate())
