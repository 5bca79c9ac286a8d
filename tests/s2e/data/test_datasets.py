"""Data sets, splits and limits: digits always; MNIST and CIFAR-10 where S2E_DATA_ROOT holds them."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from s2e.data import images
from s2e.data.datasets import Dataset, checked, load_split, noisy_labels
from s2e.data.images import load_digits
from s2e.data.splits import long_tailed
from s2e.door import parse_job
from s2e.parts import DATASETS
from s2e.words import DataError, DataSpec, JobSpec, NoiseSpec, SpecError, TrainSpec, replace

ROOT = os.environ.get("S2E_DATA_ROOT")
needs_root = pytest.mark.skipif(ROOT is None, reason="S2E_DATA_ROOT is not set")


def rows(images):
    return {bytes(image.flatten().tolist()) for image in images}


def test_holdout_validates_on_training_samples_that_are_not_trained_on():
    data, whole = load_split(DataSpec(n_validation=300, n_train=400)), load_digits()
    assert (len(data.train.labels), len(data.validation.labels), len(data.test.labels)) == (400, 300, 500)
    assert torch.equal(data.test.labels, whole.test_labels)
    train, validation = rows(data.train.images), rows(data.validation.images)
    assert train | validation <= rows(whole.train_images)
    assert not train & validation
    assert torch.bincount(data.validation.labels).min() >= 29
    assert torch.bincount(data.train.labels).min() >= 38


def test_the_digits_are_those_of_scikit_learn(monkeypatch):
    """Read from its file, without it; and by its loader where the file is somewhere else."""
    read = images._digits()
    monkeypatch.setattr(images, "find_spec", lambda _: None)
    assert (read == images._digits()).all()
    assert read.shape == (1797, 65)


def test_the_papers_split_halves_the_official_test_set():
    data, whole = load_split(DataSpec(split="s2e")), load_digits()
    assert torch.equal(data.train.labels, whole.train_labels)
    assert torch.equal(data.validation.labels, whole.test_labels[:250])
    assert torch.equal(data.test.images, whole.test_images[250:])


def test_a_split_depends_on_its_seed_only():
    first = load_split(DataSpec(split_seed=1))
    noisy = load_split(DataSpec(split_seed=1, noise=NoiseSpec("pair", 0.4)))
    other = load_split(DataSpec(split_seed=2))
    assert torch.equal(first.validation.images, noisy.validation.images)
    assert not torch.equal(first.validation.images, other.validation.images)
    assert torch.equal(first.test.images, other.test.images)


def test_training_labels_are_noisy_and_validation_labels_clean():
    spec = DataSpec(noise=NoiseSpec("symmetric", 0.5))
    data, whole = load_split(spec), load_digits()
    noisy = noisy_labels(spec, 7)
    assert 0.45 < (noisy != data.train.labels).double().mean() < 0.55
    assert torch.equal(noisy, noisy_labels(spec, 7))
    assert not torch.equal(noisy, noisy_labels(spec, 8))
    clean = {bytes(i.flatten().tolist()): int(y) for i, y in zip(whole.train_images, whole.train_labels, strict=True)}
    assert all(
        clean[bytes(i.flatten().tolist())] == int(y)
        for i, y in zip(data.validation.images, data.validation.labels, strict=True)
    )


def too_few(data, batch_size):
    return DATASETS[data.name]().too_few(JobSpec(data=data, train=TrainSpec(batch_size=batch_size)))


@pytest.mark.parametrize(
    ("data", "batch_size", "field"),
    [
        (DataSpec(n_validation=1297), 32, "data.n_validation"),
        (DataSpec(n_validation=297, n_train=1001), 32, "data.n_train"),
        (DataSpec(split="s2e", n_train=1298), 32, "data.n_train"),
        (DataSpec(n_train=31), 32, "train.batch_size"),
        (DataSpec(n_validation=1266), 32, "train.batch_size"),
        (DataSpec(name="mnist", n_validation=60_000), 32, "data.n_validation"),
        (DataSpec(name="cifar10", n_validation=100_000), 32, "data.n_validation"),
    ],
)
def test_a_job_larger_than_its_data_is_refused(data, batch_size, field):
    (problem,) = too_few(data, batch_size)
    assert problem.field == field
    assert str(problem.value) in str(problem)


def test_the_largest_job_that_fits_is_accepted():
    assert too_few(DataSpec(n_validation=297, n_train=1000), 1000) == []
    assert too_few(DataSpec(split="s2e", n_validation=10**6), TrainSpec().batch_size) == []


def test_parse_job_refuses_sizes_beside_other_problems():
    with pytest.raises(SpecError) as refused:
        parse_job({"data": {"n_validation": 5000}, "search": {"searcher": "newton", "n_trials": 1}})
    assert {problem.field for problem in refused.value.problems} == {"data.n_validation", "search.n_trials"}


def test_a_split_larger_than_an_unknown_data_set_is_refused(monkeypatch):
    from s2e.data.splits import split

    labels = torch.arange(20).numpy() % 2
    with pytest.raises(DataError, match=r"data\.n_validation = 20, but only 19"):
        split(DataSpec(n_validation=20), labels, 10)
    with pytest.raises(DataError, match=r"data\.n_train = 11, but only 10"):
        split(replace(DataSpec(), n_validation=10, n_train=11), labels, 10)


@pytest.mark.parametrize(
    ("train_labels", "test_shape", "message"),
    [
        ([0, 1, 3], (2, 1, 4, 4), r"training set of odd: labels 0\.\.3, allowed 0\.\.2"),
        ([0, 1, -1], (2, 1, 4, 4), r"labels -1\.\.1, allowed 0\.\.2"),
        ([0, 1], (2, 1, 4, 4), "training set of odd: 3 samples, but 2 labels"),
        ([0, 1, 2], (2, 1, 5, 4), r"test set of odd: samples of shape \(1, 5, 4\), training samples \(1, 4, 4\)"),
        ([0, 1, 2], (0, 1, 4, 4), "test set of odd: 0 samples"),
    ],
)
def test_a_data_set_that_does_not_fit_itself_is_refused(train_labels, test_shape, message):
    test = torch.zeros(test_shape, dtype=torch.uint8), torch.zeros(test_shape[0], dtype=torch.int64)
    data = Dataset("odd", 3, 255, torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.tensor(train_labels), *test)
    with pytest.raises(DataError, match=message):
        checked(data)


def test_declarations_need_neither_torch_nor_numpy():
    code = "import sys; from s2e.parts import listing; listing('datasets'); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.data
@needs_root
@pytest.mark.parametrize(("name", "n_train"), [("mnist", 60_000), ("cifar10", 50_000)])
def test_the_papers_split_of_the_real_sets(name, n_train):
    data = load_split(DataSpec(name=name, split="s2e"), ROOT)
    assert (len(data.train.labels), len(data.validation.labels), len(data.test.labels)) == (n_train, 5000, 5000)


# --- long-tailed class counts -----------------------------------------------------------------------------------------


def test_a_long_tail_has_the_published_counts():
    """CIFAR-10 of imbalance 100: 5,000 x 100^(-c / 9)."""
    label_S = np.random.default_rng(1).permutation(np.repeat(np.arange(10), 5_000))
    kept = long_tailed(label_S, 100, np.random.default_rng(0))
    assert np.bincount(label_S[kept]).tolist() == [5_000, 2_997, 1_796, 1_077, 645, 387, 232, 139, 83, 50]
    assert (np.diff(kept) > 0).all()
    uneven = np.repeat([0, 1, 2], [30, 4, 2])  # a class keeps what it has, and at least one
    assert np.bincount(uneven[long_tailed(uneven, 100, np.random.default_rng(0))]).tolist() == [12, 1, 1]


@pytest.mark.parametrize("split", ["holdout", "s2e"])
def test_training_and_validation_samples_are_of_the_tail_and_test_samples_are_not(split):
    data = DataSpec(n_validation=100, imbalance=10, split=split, noise=NoiseSpec("pair", 0.3))
    tail, whole = load_split(data), load_split(replace(data, imbalance=None))
    counts = np.bincount(tail.train.labels)
    assert counts[0] / counts[9] == pytest.approx(10, abs=2)
    assert (np.diff(counts) < 0).all()
    assert set(tail.train_rows.tolist()) < set(range(1_297))
    assert torch.equal(tail.test.labels, whole.test.labels)
    if split == "holdout":
        assert not set(tail.train_rows.tolist()) & set(tail.validation_rows.tolist())
        assert np.bincount(tail.validation.labels)[0] > 5 * np.bincount(tail.validation.labels)[9]
    assert (noisy_labels(data, 1) != tail.train.labels).double().mean() == pytest.approx(0.3, abs=0.08)
    assert parse_job({"data": {"imbalance": 10}}).data.imbalance == 10


def test_the_true_class_of_a_given_label_is_not_known_so_it_makes_no_tail():
    given = {"name": "arrays", "params": {"path": "a.npz"}, "imbalance": 10}
    with pytest.raises(SpecError, match=r"data\.imbalance = '?10.*null for labels that are given"):
        parse_job({"data": given})
    with pytest.raises(SpecError, match=r"data\.imbalance"):
        parse_job({"data": {"imbalance": 0.5}})
