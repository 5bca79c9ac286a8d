"""The noise matrix by turns of training and EM: on digits with noise that is known here, and on clouds of points."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s2e.data.datasets import load_split, noisy_labels
from s2e.data.estimate import confident_transition, noise_rate_of
from s2e.data.noise import corrupt
from s2e.data.transition import pair, symmetric
from s2e.door import parse_job
from s2e.labels.job import job_samples
from s2e.labels.noise import estimate_noise
from s2e.networks.declared import TabularMLP
from s2e.networks.mlp import StackedTabularMLP
from s2e.train.crossfit import Rule, Samples, Stack, fold_members, stratified_folds
from s2e.words import DataError, TrainSpec, derive_seed, replace

TRAIN = TrainSpec(method="standard", batch_size=32)


def clouds(T_CC, n=600, distance=3.0, seed=0):
    """Points around the corners of a simplex, labelled through T; the network and the classes behind the labels."""
    rng = np.random.default_rng(seed)
    n_classes = len(T_CC)
    class_S = np.arange(n) % n_classes
    x_SF = (distance * np.eye(n_classes, 6)[class_S] + rng.normal(size=(n, 6))).astype(np.float32)
    network = StackedTabularMLP((6,), n_classes, TabularMLP(hidden=(32,)))
    return Samples(torch.from_numpy(x_SF), corrupt(class_S, T_CC, seed + 1)), network, class_S


def total_variation(T_CC, other_CC):
    return 0.5 * np.abs(np.array(T_CC) - other_CC).sum(1).mean()


@pytest.mark.parametrize(("kind", "rate"), [("symmetric", 0.5), ("pair", 0.45)])
def test_the_noise_of_digits(kind, rate):
    """997 rows. Confident learning on the same network's held-out predictions is off by more."""
    spec = parse_job({"data": {"noise": {"kind": kind, "noise_rate": rate}}, "train": {"batch_size": 32}})
    job = job_samples(spec)
    wrong_S = job.samples.label_S != job.true_label_S
    fit = estimate_noise(job.samples, job.network, spec.train, seed=1)
    estimate = fit.estimate
    assert estimate.noise_rate == pytest.approx(wrong_S.mean(), abs=0.03)
    assert estimate.interval[0] <= wrong_S.mean() <= estimate.interval[1]
    assert estimate.kind == ("full" if kind == "pair" else "symmetric")
    assert (kind == "pair") == any(alarm.code == "asymmetric" for alarm in estimate.alarms)
    T_CC = (pair if kind == "pair" else symmetric)(10, rate)
    assert total_variation(estimate.transition, T_CC) < 0.1
    assert ((1 - fit.posterior_SC[np.arange(997), job.samples.label_S] > 0.5) == wrong_S).mean() > 0.85
    if kind == "pair":
        confident_CC = _confident(job, spec.train)
        assert abs(noise_rate_of(confident_CC, job.samples.label_S) - wrong_S.mean()) > 0.04
        assert total_variation(confident_CC, T_CC) > 2 * total_variation(estimate.transition, T_CC)


def _confident(job, train):
    """The estimate this one replaces: five folds of cross entropy, then confident learning."""
    label_S = job.samples.label_S
    members = fold_members(stratified_folds(label_S, 5, 1), 1, "test")
    held_out = Stack(job.samples, job.network, members, train).run([Rule()] * 5, 10, n_averaged=1)
    return confident_transition(held_out.combined(len(label_S)), label_S)


def test_labels_that_are_right_are_left_alone():
    samples, network, _ = clouds(np.eye(3), distance=6.0)
    fit = estimate_noise(samples, network, TRAIN)
    assert fit.estimate.noise_rate < 0.01
    assert (fit.p_SC.argmax(1) == samples.label_S).mean() > 0.98
    assert (fit.margin_S > 0).mean() > 0.98


def test_a_seed_fixes_everything_and_progress_ends_at_one():
    samples, network, _ = clouds(symmetric(3, 0.3), n=240)
    seen = []
    one, other = (estimate_noise(samples, network, TRAIN, n_folds=3, seed=5, progress=seen.append) for _ in range(2))
    assert one.estimate == other.estimate
    np.testing.assert_array_equal(one.posterior_SC, other.posterior_SC)
    np.testing.assert_array_equal(one.margin_S, other.margin_S)
    half = seen[: len(seen) // 2]
    assert half == sorted(half)
    assert half[-1] == 1
    assert 0 < half[0] < 1
    assert estimate_noise(samples, network, TRAIN, n_folds=3, seed=6).estimate != one.estimate


def test_trusted_rows_are_right_and_say_nothing_about_the_noise():
    """Half of the rows are trusted and right; the rate is that of the other half alone."""
    T_CC = pair(3, 0.4)
    samples, network, class_S = clouds(T_CC, distance=4.0)
    trusted = np.arange(0, 600, 2)
    label_S = samples.label_S.copy()
    label_S[trusted] = class_S[trusted]
    fit = estimate_noise(Samples(samples.x, label_S), network, TRAIN, trusted=trusted)
    assert fit.estimate.n_rows == 300
    assert fit.estimate.noise_rate == pytest.approx((label_S != class_S)[1::2].mean(), abs=0.05)
    np.testing.assert_array_equal(fit.p_SC[trusted], np.eye(3)[label_S[trusted]])
    np.testing.assert_array_equal(fit.posterior_SC[trusted], np.eye(3)[label_S[trusted]])
    np.testing.assert_allclose(fit.posterior_SC.sum(1), 1, atol=1e-9)


def test_features_that_say_nothing_are_refused():
    samples, network, _ = clouds(np.eye(3), n=300, distance=0.0)
    with pytest.raises(DataError, match="the noise of these 300 labels cannot be estimated"):
        estimate_noise(samples, network, TRAIN, n_folds=3)


def test_too_few_labels_are_named():
    samples, network, _ = clouds(np.eye(3), n=300)
    label_S = samples.label_S.copy()
    label_S[label_S == 2] = 0
    label_S[0] = 2
    with pytest.raises(DataError, match=r"a class needs at least 2 labels, in two folds: 2 \(1\)"):
        estimate_noise(Samples(samples.x, label_S), network, TRAIN)
    with pytest.raises(DataError, match="5 folds need at least 5 labels, one for each: there are 4"):
        estimate_noise(Samples(samples.x[:4], samples.label_S[:4]), network, TRAIN)
    with pytest.raises(DataError, match="all labels are the same"):
        estimate_noise(Samples(samples.x, np.zeros_like(label_S)), network, TRAIN)


def test_training_that_diverges_is_named():
    samples, network, _ = clouds(symmetric(3, 0.2), n=300)
    with pytest.raises(DataError, match="training diverged: try a smaller learning rate"):
        estimate_noise(Samples(1e30 * samples.x, samples.label_S), network, replace(TRAIN, optimizer="sgd"))


def test_a_job_gives_its_rows_labels_and_network():
    spec = parse_job({"data": {"noise": {"kind": "symmetric", "noise_rate": 0.4}}, "train": {"batch_size": 32}})
    job = job_samples(spec)
    expected_S = noisy_labels(spec.data, derive_seed(spec.seed, "noise")).numpy()
    np.testing.assert_array_equal(job.samples.label_S, expected_S)
    rows = job.samples.at(torch.arange(3))
    pixels = load_split(spec.data).train.images[:3].flatten(1)
    torch.testing.assert_close(rows.flatten(1), pixels / load_split(spec.data).max_value)
