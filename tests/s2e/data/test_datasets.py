"""Data sets, splits and limits: digits always; MNIST and CIFAR-10 where S2E_DATA_ROOT holds them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from s2e.data.datasets import load_cifar10, load_digits, load_mnist, load_split, noisy_labels
from s2e.data.limits import FACTS, check_sizes
from s2e.errors import DataError, SpecError
from s2e.spec import DataSpec, NoiseSpec, TrainSpec, parse_job, replace

ROOT = os.environ.get("S2E_DATA_ROOT")
needs_root = pytest.mark.skipif(ROOT is None, reason="S2E_DATA_ROOT is not set")


def rows(images):
    return {bytes(image.flatten().tolist()) for image in images}


def test_digits_have_the_promised_sizes_and_pixels():
    data = load_digits()
    assert data.train_images.shape == (FACTS["digits"].n_train, 1, 8, 8)
    assert data.test_images.shape == (FACTS["digits"].n_test, 1, 8, 8)
    assert data.train_images.dtype == torch.uint8
    assert int(data.train_images.max()) == data.max_value == 16
    assert len(rows(data.train_images) | rows(data.test_images)) == 1797  # no image of scikit-learn's set is lost
    per_class = torch.bincount(data.test_labels)
    assert (int(per_class.min()), int(per_class.max())) == (48, 51)  # stratified: 178 / 1797 is least, 183 is most


def test_holdout_validates_on_training_samples_that_are_not_trained_on():
    data, whole = load_split(DataSpec(n_validation=300, n_train=400)), load_digits()
    assert (len(data.train.labels), len(data.validation.labels), len(data.test.labels)) == (400, 300, 500)
    assert torch.equal(data.test.labels, whole.test_labels)
    train, validation = rows(data.train.images), rows(data.validation.images)
    assert train | validation <= rows(whole.train_images)
    assert not train & validation
    assert torch.bincount(data.validation.labels).min() >= 29
    assert torch.bincount(data.train.labels).min() >= 38


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


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_missing_data_root_says_what_to_set(name, monkeypatch, tmp_path):
    monkeypatch.delenv("S2E_DATA_ROOT", raising=False)
    with pytest.raises(DataError, match="set S2E_DATA_ROOT to a folder that holds"):
        load_split(DataSpec(name=name))
    with pytest.raises(DataError, match=r"not found below S2E_DATA_ROOT .* expected (MNIST/raw|cifar-10-batches-py)"):
        load_split(DataSpec(name=name), str(tmp_path))


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
    with pytest.raises(SpecError) as refused:
        check_sizes(data, batch_size)
    (problem,) = refused.value.problems
    assert problem.field == field
    assert str(problem.value) in str(refused.value)


def test_the_largest_job_that_fits_is_accepted():
    check_sizes(DataSpec(n_validation=297, n_train=1000), 1000)
    check_sizes(DataSpec(split="s2e", n_validation=10**6), TrainSpec().batch_size)


def test_parse_job_refuses_sizes_beside_other_problems():
    with pytest.raises(SpecError) as refused:
        parse_job({"data": {"n_validation": 5000}, "search": {"n_trials": 1}})
    assert {problem.field for problem in refused.value.problems} == {"data.n_validation", "search.n_trials"}


def test_a_split_larger_than_an_unknown_data_set_is_refused(monkeypatch):
    from s2e.data.splits import split

    labels = torch.arange(20).numpy() % 2
    with pytest.raises(DataError, match=r"data\.n_validation = 20, but only 19"):
        split(DataSpec(n_validation=20), labels, 10)
    with pytest.raises(DataError, match=r"data\.n_train = 11, but only 10"):
        split(replace(DataSpec(), n_validation=10, n_train=11), labels, 10)


def test_limits_need_no_torch():
    code = "import sys, s2e.data.limits; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.data
@needs_root
def test_mnist_is_the_official_set():
    data = load_mnist(ROOT)
    assert data.train_images.shape == (60_000, 1, 28, 28)
    assert data.test_images.shape == (10_000, 1, 28, 28)
    assert data.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert torch.bincount(data.train_labels).tolist()[:3] == [5923, 6742, 5958]
    assert data.train_images.double().mean() / 255 == pytest.approx(0.1307, abs=1e-4)


@pytest.mark.data
@needs_root
def test_cifar10_is_the_official_set():
    data = load_cifar10(ROOT)
    assert data.train_images.shape == (50_000, 3, 32, 32)
    assert data.test_images.shape == (10_000, 3, 32, 32)
    assert data.train_labels[:5].tolist() == [6, 9, 9, 4, 1]
    assert data.test_labels[:5].tolist() == [3, 8, 8, 0, 6]
    assert torch.bincount(data.train_labels).tolist() == [5000] * 10
    mean = data.train_images.double().mean((0, 2, 3)) / 255
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)


@pytest.mark.data
@needs_root
@pytest.mark.parametrize(("name", "n_train"), [("mnist", 60_000), ("cifar10", 50_000)])
def test_the_papers_split_of_the_real_sets(name, n_train):
    data = load_split(DataSpec(name=name, split="s2e"), ROOT)
    assert (len(data.train.labels), len(data.validation.labels), len(data.test.labels)) == (n_train, 5000, 5000)
