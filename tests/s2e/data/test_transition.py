"""Transition matrices: by hand, as published, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from s2e.data.declared.images import CIFAR100_SUPERCLASS
from s2e.data.transition import (
    injected_noise_rate,
    matrix,
    matrix_problems,
    pair,
    symmetric,
    symmetric_inclusive,
    true_transition,
)
from s2e.door import parse_job
from s2e.parts import DATASETS
from s2e.words import DataSpec, NoiseSpec, SpecError

ROOT = os.environ.get("S2E_DATA_ROOT")


@pytest.mark.parametrize("make", [symmetric, pair])
@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("noise_rate", [0.0, 0.2, 0.45])
def test_rows_sum_to_one_and_the_diagonal_keeps_the_rest(make, n_classes, noise_rate):
    T_CC = make(n_classes, noise_rate)
    np.testing.assert_allclose(T_CC.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(np.diag(T_CC), 1 - noise_rate, atol=1e-12)


def test_matrices_by_hand():
    np.testing.assert_allclose(symmetric(3, 0.5), [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]])
    np.testing.assert_allclose(symmetric_inclusive(3, 0.3), [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    np.testing.assert_allclose(pair(3, 0.4), [[0.6, 0.4, 0], [0, 0.6, 0.4], [0.4, 0, 0.6]])
    np.testing.assert_array_equal(matrix(DataSpec(noise=NoiseSpec("none", 0.5)), 3), np.eye(3))
    np.testing.assert_array_equal(matrix(DataSpec(noise=NoiseSpec("pair", 0.4)), 3), pair(3, 0.4))
    given = ((0.9, 0.1), (0.2, 0.8))
    np.testing.assert_allclose(matrix(DataSpec(noise=NoiseSpec("matrix", matrix=given)), 2), given)


def test_published_conditioning_and_column_sums():
    """Cond 1.29, 2.25, 10; column sums of T^-1 of CIFAR-10's map at 0.4."""
    conditions = [np.linalg.cond(T) for T in (symmetric(10, 0.2), symmetric(10, 0.5), pair(10, 0.45))]
    assert conditions == pytest.approx([1.29, 2.25, 10.0], abs=0.005)
    T_CC = matrix(DataSpec("cifar10", NoiseSpec("asymmetric", 0.4)), 10)
    columns = np.linalg.inv(T_CC).sum(axis=0)
    assert columns == pytest.approx([0.33, 0.33, 1.67, 1, 1.67, 1, 1, 0.33, 1, 1.67], abs=0.005)


def test_asymmetric_maps():
    assert DATASETS["mnist"].confused == {7: 1, 2: 7, 3: 8, 5: 6, 6: 5}
    blocks = DATASETS["cifar100"].confused
    assert [blocks[i] for i in (0, 3, 4, 5, 9, 95, 99)] == [1, 4, 0, 6, 5, 96, 95]
    superclasses = DATASETS["cifar100"].confused_in_superclass
    # aquatic mammals: beaver 4, dolphin 30, otter 55, seal 72, whale 95
    assert [superclasses[i] for i in (4, 30, 55, 72, 95)] == [30, 55, 72, 95, 4]
    assert sorted(superclasses.values()) == list(range(100))
    assert all(CIFAR100_SUPERCLASS[i] == CIFAR100_SUPERCLASS[j] for i, j in superclasses.items())
    with pytest.raises(SpecError, match="only for cifar10, cifar100, mnist, not for digits"):
        matrix(DataSpec(noise=NoiseSpec("asymmetric")), 10)


@pytest.mark.data
@pytest.mark.skipif(ROOT is None, reason="S2E_DATA_ROOT is not set")
def test_superclasses_are_those_of_the_published_file():
    file = Path(ROOT or "") / "cifar-n" / "cifar-n-labels.npz"
    if not file.is_file():
        pytest.skip("no CIFAR-100N labels below the data root")
    with np.load(file) as labels:
        fine_S, coarse_S = labels["cifar100_clean_label"], labels["cifar100_clean_coarse_label"]
    np.testing.assert_array_equal(np.array(CIFAR100_SUPERCLASS)[fine_S], coarse_S)


@pytest.mark.parametrize(
    ("name", "noise", "share"),
    [
        ("digits", NoiseSpec("none", 0.5), 0.0),
        ("digits", NoiseSpec("symmetric", 0.5), 0.5),
        ("digits", NoiseSpec("symmetric_inclusive", 0.5), 0.45),
        ("cifar10", NoiseSpec("asymmetric", 0.4), 0.2),
        ("digits", NoiseSpec("matrix", matrix=((0.9, 0.1), (0.3, 0.7))), 0.2),
        ("cifar10", NoiseSpec("human", human_labels="aggre_label"), 0.0901),
        ("unheard of", NoiseSpec("symmetric_inclusive", 0.5), 0.5),
        ("unheard of", NoiseSpec("none", 0.5), 0.0),
    ],
)
def test_the_expected_share_of_wrong_labels(name, noise, share):
    assert injected_noise_rate(DataSpec(name=name, noise=noise)) == pytest.approx(share)


def test_the_true_matrix_is_known_for_injected_noise_only():
    np.testing.assert_array_equal(true_transition(DataSpec(noise=NoiseSpec("pair", 0.3)), 10), pair(10, 0.3))
    assert true_transition(DataSpec(name="cifar10", noise=NoiseSpec("human")), 10) is None


@pytest.mark.parametrize(
    ("rows", "n_classes", "message"),
    [
        (None, 2, "required for kind matrix"),
        (((0.5, 0.5),), 2, "2 x 2"),
        (((0.5, 0.5), (1.0,)), 2, "2 x 2"),
        (((0.5, 0.5), (0.5, 0.5)), 3, "3 x 3"),
        (((1.0,),), None, "square"),
        (((0.5, 0.5), (0.5, 0.4)), None, r"matrix\[1\] = 'sums to 0.9': a row sums to 1"),
    ],
)
def test_a_matrix_that_is_none_is_refused(rows, n_classes, message):
    with pytest.raises(SpecError, match=message):
        raise SpecError(*matrix_problems(rows, n_classes))


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"noise": {"kind": "pair", "noise_rate": 0.5}}, "data.noise.noise_rate"),
        ({"noise": {"kind": "asymmetric", "noise_rate": 0.4}}, "data.noise.kind"),
        ({"name": "mnist", "noise": {"kind": "asymmetric", "noise_rate": 0.6}}, "data.noise.noise_rate"),
        ({"noise": {"kind": "matrix"}}, "data.noise.matrix"),
        ({"noise": {"kind": "matrix", "matrix": [[1, 0], [0, 1]]}}, "data.noise.matrix"),
        ({"noise": {"kind": "matrix", "matrix": [[1.1, -0.1], [0, 1]]}}, "data.noise.matrix[0][0]"),
        ({"noise": {"kind": "pair", "noise_rate": 0.1, "matrix": [[1, 0], [0, 1]]}}, "data.noise.matrix"),
        ({"noise": {"kind": "human"}}, "data.noise.kind"),
        ({"name": "cifar10", "noise": {"kind": "human", "human_labels": "noisy_label"}}, "data.noise.human_labels"),
        ({"noise": {"kind": "symmetric", "true_superclass": True}}, "data.noise.true_superclass"),
    ],
)
def test_noise_that_does_not_fit_its_data_is_refused_at_the_door(data, field):
    with pytest.raises(SpecError) as refused:
        parse_job({"data": data})
    assert field in {problem.field for problem in refused.value.problems}


def test_noise_that_fits_is_accepted():
    T = [[0.9 if i == j else 0.1 / 9 for j in range(10)] for i in range(10)]
    assert parse_job({"data": {"noise": {"kind": "matrix", "matrix": T}}}).data.noise.matrix[3][3] == 0.9
    parse_job({"data": {"name": "cifar10", "noise": {"kind": "human", "human_labels": "random_label2"}}})
