"""Image loaders on tiny files in the layouts torchvision reads, and on the real sets where the data root holds them."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import struct

import numpy as np
import pytest
import torch
from scipy.io import savemat

from s2e.data.images import (
    load_cifar10,
    load_cifar100,
    load_digits,
    load_fashion_mnist,
    load_mnist,
    load_svhn,
)
from s2e.data.torchvision_guard import datasets as torchvision_datasets
from s2e.parts import DATASETS
from s2e.words import DataError

ROOT = os.environ.get("S2E_DATA_ROOT")
needs_root = pytest.mark.skipif(ROOT is None, reason="S2E_DATA_ROOT is not set")


def pixels(n_samples, *shape):
    return np.random.default_rng(n_samples).integers(0, 256, (n_samples, *shape), dtype=np.uint8)


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_idx(path, array):
    path.write_bytes(struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes())


@pytest.mark.parametrize(("loader", "folder"), [(load_mnist, "MNIST"), (load_fashion_mnist, "FashionMNIST")])
def test_grey_images_are_read_from_idx_files(tmp_path, loader, folder):
    raw = tmp_path / folder / "raw"
    raw.mkdir(parents=True)
    for half, n_samples in (("train", 6), ("t10k", 4)):
        write_idx(raw / f"{half}-images-idx3-ubyte", pixels(n_samples, 28, 28))
        write_idx(raw / f"{half}-labels-idx1-ubyte", np.arange(n_samples, dtype=np.uint8))
    data = loader(str(tmp_path))
    np.testing.assert_array_equal(data.train_images.numpy(), pixels(6, 28, 28)[:, None])
    assert data.test_labels.tolist() == [0, 1, 2, 3]
    assert (data.n_classes, data.max_value, data.train_labels.dtype) == (10, 255, torch.int64)
    assert data.train_images.shape[1:] == DATASETS[data.name].shape


@pytest.fixture
def cifar100_files(tmp_path, monkeypatch):
    """CIFAR-100's three pickles with 6 and 4 samples; the checksums torchvision asks for are theirs."""
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    reader = torchvision_datasets().CIFAR100
    for half, n_samples in (("train", 6), ("test", 4)):
        rows = pixels(n_samples, 3, 32, 32).reshape(n_samples, -1)
        fine = {"data": rows, "fine_labels": list(range(90, 90 + n_samples)), "coarse_labels": [0] * n_samples}
        (folder / half).write_bytes(pickle.dumps(fine))
        monkeypatch.setattr(reader, f"{half}_list", [[half, md5(folder / half)]])
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(i) for i in range(100)]}))
    monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": md5(folder / "meta")})
    return tmp_path


def test_cifar100_has_fine_labels_and_channels_first(cifar100_files):
    data = load_cifar100(str(cifar100_files))
    np.testing.assert_array_equal(data.train_images.numpy(), pixels(6, 3, 32, 32))
    np.testing.assert_array_equal(data.test_images.numpy(), pixels(4, 3, 32, 32))
    assert data.train_labels.tolist() == [90, 91, 92, 93, 94, 95]
    assert (data.n_classes, data.train_images.shape[1:]) == (100, DATASETS["cifar100"].shape)


def test_a_damaged_file_is_refused(cifar100_files):
    with (cifar100_files / "cifar-100-python" / "test").open("ab") as file:
        file.write(b"x")
    with pytest.raises(
        DataError, match=r"CIFAR100 not found .* expected cifar-100-python/train, test and meta .*corrupt"
    ):
        load_cifar100(str(cifar100_files))


def test_svhn_is_read_from_matlab_files_and_its_ten_is_zero(tmp_path, monkeypatch):
    reader = torchvision_datasets().SVHN
    files = {}
    for half, n_samples in (("train", 6), ("test", 4)):
        images = pixels(n_samples, 3, 32, 32)
        path = tmp_path / f"{half}_32x32.mat"
        savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": np.arange(10, 10 - n_samples, -1)[:, None]})
        files[half] = ["", path.name, md5(path)]
    monkeypatch.setattr(reader, "split_list", files)
    data = load_svhn(str(tmp_path))
    np.testing.assert_array_equal(data.train_images.numpy(), pixels(6, 3, 32, 32))
    assert data.train_labels.tolist() == [0, 9, 8, 7, 6, 5]
    assert data.train_images.is_contiguous()
    assert (data.train_images.shape[1:], data.test_images.shape[0]) == (DATASETS["svhn"].shape, 4)


@pytest.mark.parametrize(
    ("loader", "names"),
    [
        (load_mnist, "MNIST/raw/train-images-idx3-ubyte"),
        (load_fashion_mnist, "FashionMNIST/raw/train-images-idx3-ubyte"),
        (load_cifar10, r"cifar-10-batches-py/data_batch_1\.\.5"),
        (load_cifar100, "cifar-100-python/train"),
        (load_svhn, r"train_32x32\.mat and test_32x32\.mat"),
    ],
)
def test_missing_files_are_named_with_the_variable(loader, names, tmp_path):
    with pytest.raises(DataError, match=f"set S2E_DATA_ROOT to a folder that holds {names}"):
        loader(None)
    with pytest.raises(DataError, match=f"not found below S2E_DATA_ROOT = .*expected {names}"):
        loader(str(tmp_path))


def test_a_truncated_idx_file_is_refused(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for half in ("train", "t10k"):
        write_idx(raw / f"{half}-images-idx3-ubyte", pixels(3, 28, 28))
        write_idx(raw / f"{half}-labels-idx1-ubyte", np.arange(3, dtype=np.uint8))
    (raw / "t10k-images-idx3-ubyte").write_bytes(gzip.compress(b"not an idx file"))
    with pytest.raises(DataError, match="MNIST not found below S2E_DATA_ROOT"):
        load_mnist(str(tmp_path))


def test_digits_have_the_promised_sizes_and_pixels():
    data = load_digits()
    assert data.train_images.shape == (DATASETS["digits"].n_train, 1, 8, 8)
    assert data.test_images.shape == (DATASETS["digits"].n_test, 1, 8, 8)
    assert data.train_images.dtype == torch.uint8
    assert int(data.train_images.max()) == data.max_value == 16
    images = {bytes(i.flatten().tolist()) for part in (data.train_images, data.test_images) for i in part}
    assert len(images) == 1797  # no image of scikit-learn's set is lost
    per_class = torch.bincount(data.test_labels)
    assert (int(per_class.min()), int(per_class.max())) == (48, 51)  # stratified: 178 / 1797 is least, 183 is most


@pytest.mark.data
@needs_root
def test_mnist_is_the_official_set():
    data = load_mnist(ROOT)
    assert data.train_images.shape == (60_000, 1, 28, 28)
    assert data.test_images.shape == (10_000, 1, 28, 28)
    assert data.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert torch.bincount(data.train_labels).tolist()[:3] == [5923, 6742, 5958]
    assert data.train_images.numpy().mean() / 255 == pytest.approx(0.1307, abs=1e-4)


@pytest.mark.data
@needs_root
def test_cifar10_is_the_official_set():
    data = load_cifar10(ROOT)
    assert data.train_images.shape == (50_000, 3, 32, 32)
    assert data.test_images.shape == (10_000, 3, 32, 32)
    assert data.train_labels[:5].tolist() == [6, 9, 9, 4, 1]
    assert data.test_labels[:5].tolist() == [3, 8, 8, 0, 6]
    assert torch.bincount(data.train_labels).tolist() == [5000] * 10
    mean = data.train_images.numpy().mean((0, 2, 3)) / 255
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)
