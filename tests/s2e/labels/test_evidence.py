"""The evidence of held-out labels, of one training and of several together: plain loops, and cases with a known end."""

from __future__ import annotations

import numpy as np
import pytest

from s2e.labels.choice import noisy_score
from s2e.labels.em import tempered
from s2e.labels.evidence import FEWEST_ROWS, MOST_ROWS, N_STEPS, evidence, verdict
from s2e.words import Evidence, read, to_json

C = 4
RNG = np.random.default_rng(7)
T_CC = 0.6 * np.eye(C) + 0.4 * np.roll(np.eye(C), 1, axis=1)


def drawn(n: int, sharp: float = 3.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions [n, C] that know most true classes, labels through T, and the classes."""
    true = RNG.integers(0, C, n)
    p = np.exp(sharp * np.eye(C)[true] + RNG.normal(size=(n, C)))
    given = np.array([RNG.choice(C, p=T_CC[i]) for i in true])
    return p / p.sum(1, keepdims=True), given, true


def test_the_jury_s_posterior_is_what_plain_sums_say() -> None:
    p, given, _ = drawn(60)
    others = p[:, [1, 0, 2, 3]], np.full((60, C), 0.25), p
    kept = [evidence(None, (one, given), T_CC) for one in others]
    assert [read(Evidence, to_json(one)) for one in kept] == kept
    right_KV = verdict(kept).right_KV
    for v in range(60):
        joint = np.zeros(C)
        for one in others:
            q = tempered(np.log(one[v : v + 1]), noisy_score(one, given, T_CC).exponent)[0]
            joint += [q[i] * T_CC[i, given[v]] for i in range(C)]
        for k, one in enumerate(others):
            assert right_KV[k, v] == pytest.approx(joint[one[v].argmax()] / joint.sum(), abs=2e-3)


def test_a_jury_ranks_by_the_true_accuracy() -> None:
    p, given, true = drawn(1_000)
    flipped = np.array([RNG.choice(C, p=T_CC[i]) for i in true])  # what a network predicts that has learned the noise
    worse = np.eye(C)[np.where(RNG.random(1_000) < 0.75, true, RNG.integers(0, C, 1_000))] * 0.5 + 0.125
    jury = [p, worse, np.eye(C)[flipped] * 0.9 + 0.025]
    expected = verdict([evidence(None, (one, given), T_CC) for one in jury]).right_KV.mean(1)
    truth = np.array([(one.argmax(1) == true).mean() for one in jury])
    assert np.argsort(expected).tolist() == np.argsort(truth).tolist() == [2, 1, 0]
    as_given = verdict([evidence(None, (one, given), None) for one in jury]).right_KV.mean(1)
    assert as_given == pytest.approx([(one.argmax(1) == given).mean() for one in jury], abs=0.02)


def test_of_right_labels_the_accuracy_is_kept_and_without_a_matrix_noisy_ones_beside_them_do_not_count() -> None:
    p, given, true = drawn(200)
    kept = evidence((p, true), (p, given), T_CC)
    assert (kept.n_right, kept.n_noisy) == (200, 200)
    assert kept.right == pytest.approx((p.argmax(1) == true).mean())
    assert evidence((p, true), None, T_CC).n_noisy == 0
    assert evidence((p, true), (p, given), None) == evidence((p, true), None, T_CC)


def test_of_very_many_rows_some_are_kept() -> None:
    p, given, _ = drawn(3_000)
    assert evidence(None, (p, given), T_CC).n_noisy == MOST_ROWS
    many = np.full((300, 1_000), 1e-3)
    assert evidence(None, (many, np.arange(300)), np.eye(1_000)).n_noisy == FEWEST_ROWS


def test_weights_are_those_that_plain_loops_find() -> None:
    p, given, _ = drawn(40)
    kept = [evidence(None, (one, given), T_CC) for one in (p, p[:, [1, 0, 2, 3]], np.full((40, C), 0.25))]
    joints = [
        [
            tempered(np.log(one[v : v + 1]), noisy_score(one, given, T_CC).exponent)[0] * T_CC[:, given[v]]
            for v in range(40)
        ]
        for one in (p, p[:, [1, 0, 2, 3]], np.full((40, C), 0.25))
    ]
    weights = [1 / 3] * 3
    for _ in range(N_STEPS):
        shares = [0.0] * 3
        for v in range(40):
            likely = [weight * joint[v].sum() for weight, joint in zip(weights, joints, strict=True)]
            shares = [share + one / sum(likely) for share, one in zip(shares, likely, strict=True)]
        weights = [share / 40 for share in shares]
    said = verdict(kept, "weighed")
    assert said.weight_K == pytest.approx([3 * weight for weight in weights], abs=5e-3)  # 1 is an equal share
    assert verdict(kept).weight_K == pytest.approx([1, 1, 1])
    right_KV = said.right_KV
    for v in range(40):
        together = sum(weight * joint[v] for weight, joint in zip(weights, joints, strict=True))
        assert right_KV[0, v] == pytest.approx(together[p[v].argmax()] / together.sum(), abs=5e-3)


def test_near_relatives_do_not_outvote_who_makes_the_labels_likelier() -> None:
    p, given, true = drawn(600, sharp=2.0)
    mistaken = np.where(RNG.random(600) < 0.4, RNG.integers(0, C, 600), true)  # the same mistakes in all of them
    relatives = [np.exp(3 * np.eye(C)[mistaken] + 0.3 * RNG.normal(size=(600, C))) for _ in range(29)]
    jury = [p, *(one / one.sum(1, keepdims=True) for one in relatives)]
    kept = [evidence(None, (one, given), T_CC) for one in jury]
    truth = [(one.argmax(1) == true).mean() for one in jury]
    assert truth[0] > max(truth) - 1e-9 > truth[1] + 0.05
    even, weighed = (verdict(kept, how).right_KV.mean(1) for how in ("even", "weighed"))
    assert even[0] < even[1:].min()
    assert weighed[0] > weighed[1:].max() + 0.05
    assert weighed[0] == pytest.approx(truth[0], abs=0.05)
