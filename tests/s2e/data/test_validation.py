"""Accuracy on noisy validation labels: its correction, how exact it is, and when it misleads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s2e.data.datasets import load_split, noisy_labels, noisy_validation_labels
from s2e.data.noise import corrupt
from s2e.data.transition import mapped, pair, symmetric
from s2e.data.validation import (
    scores,
    standard_error,
    validation_warning,
)
from s2e.door import parse_job
from s2e.door.data import validation_problems
from s2e.words import DataSpec, NoiseSpec, SpecError

SKEW = np.array([[0.5, 0.25, 0.25], [0.0, 0.75, 0.25], [0.5, 0.0, 0.5]])


def corrected_accuracy(predicted_S, noisy_label_S, T_CC):
    """As the engine has it: the mean of what the predictions are worth."""
    return scores(T_CC)[noisy_label_S, predicted_S].mean()


def test_expected_counts_give_the_clean_accuracy_back():
    """Four samples for each (class, prediction, label) that the rows of quarters deal out exactly."""
    joint_CC = np.array([[8, 4, 0], [0, 12, 4], [8, 0, 4]])  # class, prediction
    rows = [
        (predicted, label)
        for c in range(3)
        for predicted in range(3)
        for label in range(3)
        for _ in range(int(joint_CC[c, predicted] * SKEW[c, label]))
    ]
    predicted_S, label_S = np.array(rows).T
    assert len(rows) == joint_CC.sum()
    assert corrected_accuracy(predicted_S, label_S, SKEW) == pytest.approx(np.trace(joint_CC) / joint_CC.sum())
    assert (predicted_S == label_S).mean() != pytest.approx(np.trace(joint_CC) / joint_CC.sum(), abs=0.05)


@pytest.mark.parametrize("T_CC", [SKEW, symmetric(3, 0.5), pair(3, 0.4)])
def test_the_correction_is_unbiased_with_the_standard_error_it_states(T_CC):
    """2,000 draws of 300 labels of a perfect network: the mean within 5 standard errors of 1."""
    class_S = np.arange(300) % 3
    drawn = [corrected_accuracy(class_S, corrupt(class_S, T_CC, seed), T_CC) for seed in range(2_000)]
    error = standard_error(T_CC, 300)
    assert np.mean(drawn) == pytest.approx(1, abs=5 * error / np.sqrt(2_000))
    assert np.std(drawn) == pytest.approx(error, rel=0.08)


def test_a_plain_loop_counts_the_same():
    rng = np.random.default_rng(0)
    predicted_S, label_S = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    inverse_CC = np.linalg.inv(SKEW)
    total = 0.0
    for predicted, label in zip(predicted_S, label_S, strict=True):
        total += inverse_CC[label, predicted]
    assert corrected_accuracy(predicted_S, label_S, SKEW) == pytest.approx(total / 50, abs=1e-12)


def test_without_noise_nothing_is_corrected():
    np.testing.assert_array_equal(scores(np.eye(4)), np.eye(4))
    assert standard_error(np.eye(4), 100) == 0


def test_a_singular_matrix_is_refused():
    with pytest.raises(SpecError, match=r"data\.validation_labels = 'condition number .*has an inverse"):
        scores(pair(4, 0.5))


def test_validation_noise_is_a_draw_of_its_own():
    spec = DataSpec(noise=NoiseSpec("symmetric", 0.5), validation_labels="noisy")
    clean_V = load_split(spec).validation.labels
    noisy_V = noisy_validation_labels(spec, 7)
    assert 0.4 < (noisy_V != clean_V).double().mean() < 0.6
    assert torch.equal(noisy_V, noisy_validation_labels(spec, 7))
    assert not torch.equal(noisy_V, noisy_validation_labels(spec, 8))
    flipped_V = (noisy_V != clean_V).tolist()
    flipped_S = (noisy_labels(spec, 7) != load_split(spec).train.labels).tolist()
    assert flipped_S[:300] != flipped_V


@pytest.mark.parametrize(
    ("data", "allowed"),
    [
        (DataSpec(name="cifar10", noise=NoiseSpec("open_set"), validation_labels="noisy"), "keeps all labels"),
        (DataSpec("cifar10", NoiseSpec("human"), "s2e", validation_labels="noisy"), "split s2e validates on others"),
        (DataSpec("cifar10", NoiseSpec("human"), validation_labels="noisy_corrected"), "of human noise is not known"),
        (DataSpec(noise=NoiseSpec("symmetric", 0.9), validation_labels="noisy_corrected"), "has an inverse"),
    ],
)
def test_validation_labels_that_do_not_exist_are_refused(data, allowed):
    (problem,) = validation_problems(data)
    assert problem.field == "data.validation_labels"
    assert allowed in problem.allowed


@pytest.mark.parametrize(
    "data",
    [
        DataSpec(),
        DataSpec("cifar10", NoiseSpec("human"), n_validation=5_000, validation_labels="noisy"),
        DataSpec(noise=NoiseSpec("pair", 0.45), validation_labels="noisy_corrected"),
        DataSpec("csv", NoiseSpec("pair", 0.45), validation_labels="noisy_corrected"),
    ],
)
def test_validation_labels_that_exist_are_accepted(data):
    assert validation_problems(data) == []


def test_the_door_asks():
    job = {"data": {"noise": {"noise_rate": 0.9}, "validation_labels": "noisy_corrected"}}
    with pytest.raises(SpecError, match=r"data\.validation_labels"):
        parse_job(job)
    assert parse_job({"data": {"validation_labels": "noisy"}}).data.validation_labels == "noisy"


@pytest.mark.parametrize(
    ("noise", "labels", "words"),
    [
        (NoiseSpec("pair", 0.45), "clean", ""),
        (NoiseSpec("none"), "noisy", ""),
        (NoiseSpec("symmetric", 0.5), "noisy", ""),
        (NoiseSpec("symmetric", 0.85), "noisy", ""),
        (NoiseSpec("pair", 0.2), "noisy", ""),
        (NoiseSpec("pair", 0.45), "noisy", "a wrong label is 0.82 times as frequent"),
        (NoiseSpec("symmetric", 0.2), "noisy_corrected", ""),
        (NoiseSpec("pair", 0.45), "noisy_corrected", "a standard error of up to"),
        (NoiseSpec("human"), "noisy", "their matrix is not known"),
    ],
)
def test_a_job_is_warned_where_ranking_is_in_doubt(noise, labels, words):
    warning = validation_warning(DataSpec("cifar10", noise, n_validation=1_000, validation_labels=labels))
    assert words in warning
    assert bool(warning) == bool(words)


def test_confusion_lets_the_worse_network_look_better():
    """The case behind the warning: of 1,000 samples one network errs on 300, always towards the noise, the other on
    200, elsewhere. Uncorrected accuracy prefers the first; corrected accuracy, the second."""
    class_S = np.repeat(np.arange(10), 100)
    T_CC = mapped(10, 0.45, {i: (i + 1) % 10 for i in range(10)})
    label_S = np.concatenate([np.repeat([c, (c + 1) % 10], [55, 45]) for c in range(10)])
    rng = np.random.default_rng(0)
    wrong = rng.permutation(1_000)
    towards_S, elsewhere_S = class_S.copy(), class_S.copy()
    towards_S[wrong[:300]] = (class_S[wrong[:300]] + 1) % 10
    elsewhere_S[wrong[:200]] = (class_S[wrong[:200]] + 5) % 10
    assert (towards_S == label_S).mean() > (elsewhere_S == label_S).mean()
    assert corrected_accuracy(towards_S, label_S, T_CC) < corrected_accuracy(elsewhere_S, label_S, T_CC)
