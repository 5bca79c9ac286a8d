"""Noise that depends on the sample: its rate, its draw, and that it is a function of the features."""

from __future__ import annotations

import numpy as np
import pytest

from s2e.data.datasets import load_split, noisy_labels, noisy_validation_labels
from s2e.data.instance import MARGINS, Rows, part_dependent, polynomial_margin
from s2e.data.noise import one_after_another
from s2e.data.transition import noise_rate, true_transition
from s2e.data.transition import one_after_another as matrix_of
from s2e.door import parse_job
from s2e.words import DataSpec, NoiseSpec, SpecError

N = 6_000
RNG = np.random.default_rng(0)
LABEL = RNG.integers(0, 4, N)
ROWS = Rows((RNG.normal(size=(N, 6)) + 1.5 * np.eye(4, 6)[LABEL]).astype(np.float32), LABEL)


@pytest.mark.parametrize("make", [part_dependent, polynomial_margin])
@pytest.mark.parametrize("rate", [0.2, 0.4])
def test_the_share_of_wrong_labels_is_the_rate(make, rate):
    """6,000 labels: a share's standard deviation is at most 0.0065, 5 of them allowed."""
    noisy = make(ROWS, ROWS, 4, rate, 1, 2)
    assert (noisy != LABEL).mean() == pytest.approx(rate, abs=0.033)
    assert set(np.unique(noisy)) <= set(range(4))
    np.testing.assert_array_equal(noisy, make(ROWS, ROWS, 4, rate, 1, 2))
    assert (noisy != make(ROWS, ROWS, 4, rate, 1, 3)).mean() > 0.05


def test_part_dependent_noise_sends_a_sample_where_its_features_say():
    """Draws of one function send a row to one class again and again, by W; another function sends it elsewhere."""
    draws = np.stack([part_dependent(ROWS, ROWS, 4, 0.4, 1, seed) for seed in range(20)])
    target_SC = np.stack([((draws == c) & (draws != LABEL)).sum(0) for c in range(4)], axis=1)
    often = target_SC.sum(1) >= 6
    assert (target_SC.max(1) / np.maximum(target_SC.sum(1), 1))[often].mean() > 0.75  # by chance of three classes 0.55
    other = part_dependent(ROWS, ROWS, 4, 0.4, 7, 0)
    both = (other != LABEL) & (draws[0] != LABEL)
    assert (other[both] == draws[0][both]).mean() < 0.6


@pytest.mark.parametrize("margin_type", [1, 2, 3])
def test_margin_noise_flips_near_the_border_and_between_two_classes(margin_type):
    draws = np.stack([polynomial_margin(ROWS, ROWS, 4, 0.3, 1, seed, margin_type) for seed in range(10)])
    targets = [set(column) - {own} for column, own in zip(draws.T[:500], LABEL[:500], strict=True)]
    assert max(map(len, targets)) == 1
    flips = (draws != LABEL).mean(0)
    near = np.sort(ROWS.x_SF[:, :4], axis=1)
    gap = near[:, -1] - near[:, -2]
    assert flips[gap < 0.3].mean() > 1.5 * flips[gap > 1.5].mean()
    assert MARGINS[margin_type](1.0) == pytest.approx(0)
    assert MARGINS[margin_type](0.0) in (0.5, 1)


@pytest.mark.parametrize("kind", ["part_dependent", "margin"])
def test_a_job_s_labels_and_its_validation_labels_go_through_one_function(kind):
    data = DataSpec(noise=NoiseSpec(kind, 0.3), n_validation=400)
    split = load_split(data)
    assert (noisy_labels(data, 5) != split.train.labels).double().mean() == pytest.approx(0.3, abs=0.075)
    given = noisy_validation_labels(data, 5)
    assert (given != split.validation.labels).double().mean() == pytest.approx(0.3, abs=0.12)
    assert noise_rate(data) == 0.3
    assert true_transition(data, 10) is None


def test_elr_s_asymmetric_noise_changes_labels_that_were_changed():
    """ELR's program at 0.4: cats keep 0.6 + 0.4 x 0.4, and 18.4 % of all labels are wrong, not 20."""
    data = DataSpec(name="cifar10", noise=NoiseSpec("asymmetric_elr", 0.4))
    T_CC = true_transition(data, 10)
    assert T_CC is not None
    assert T_CC[3, 5] == pytest.approx(0.24)
    assert T_CC[5, 3] == pytest.approx(0.4)
    assert noise_rate(data) == pytest.approx(0.184)
    label_S = np.repeat(np.arange(10), 1_000)
    confused = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}
    counts_CC = np.zeros((10, 10))
    np.add.at(counts_CC, (label_S, one_after_another(label_S, 0.4, confused, seed=3)), 1)
    np.testing.assert_allclose(counts_CC / 1_000, matrix_of(10, 0.4, confused), atol=0.05)
    exact = [counts_CC[9, 1], counts_CC[2, 0], counts_CC[4, 7], counts_CC[3, 3] + counts_CC[3, 5]]
    assert exact == [400, 400, 400, 1_000]


@pytest.mark.parametrize(
    "noise",
    [
        {"kind": "symmetric", "margin_type": 2},
        {"kind": "asymmetric_elr", "noise_rate": 0.4},
    ],
)
def test_what_does_not_fit_is_refused(noise):
    with pytest.raises(SpecError):
        parse_job({"data": {"noise": noise}})
    assert parse_job({"data": {"noise": {"kind": "margin", "margin_type": 3, "noise_rate": 0.3}}})
