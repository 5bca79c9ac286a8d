"""Human labels: both file layouts, alignment, and files that would run code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from s2e.data.human import COMPACT, PUBLISHED, human_labels
from s2e.data.record import noise_record
from s2e.words import DataError, DataSpec, NoiseSpec

ROOT = os.environ.get("S2E_DATA_ROOT")
CLEAN = np.array([0, 1, 2, 0])
GIVEN = np.array([0, 2, 2, 1])


@pytest.fixture
def compact(tmp_path):
    def write(**arrays):
        (tmp_path / "cifar-n").mkdir()
        np.savez(tmp_path / "cifar-n" / "cifar-n-labels.npz", **arrays)
        return str(tmp_path)

    return write


@pytest.fixture
def published(tmp_path):
    def write(content):
        (tmp_path / "cifar-n").mkdir()
        torch.save(content, tmp_path / "cifar-n" / "CIFAR-100_human.pt")
        return str(tmp_path)

    return write


def test_labels_are_read_from_the_compact_file(compact):
    root = compact(cifar10_clean_label=CLEAN.astype(np.uint8), cifar10_worse_label=GIVEN.astype(np.uint8))
    read = human_labels("cifar10", "worse_label", CLEAN, 3, root)
    np.testing.assert_array_equal(read, GIVEN)
    assert read.dtype == np.int64


def test_labels_are_read_from_the_published_file(published):
    root = published({"clean_label": CLEAN, "noisy_label": GIVEN, "noisy_coarse_label": [0, 1, 1, 0]})
    np.testing.assert_array_equal(human_labels("cifar100", "noisy_label", CLEAN, 3, root), GIVEN)


class Planted:
    def __reduce__(self):
        return os.mkdir, ("planted",)


def test_a_published_file_cannot_run_code(published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = published({"clean_label": Planted()})
    with pytest.raises(DataError, match=r"CIFAR-100_human\.pt is not a dict of label arrays"):
        human_labels("cifar100", "noisy_label", CLEAN, 3, root)
    (tmp_path / "cifar-n" / "CIFAR-100_human.pt").write_bytes(pickle.dumps(Planted(), protocol=2))
    with pytest.raises(DataError, match=r"CIFAR-100_human\.pt is not a dict of label arrays"):
        human_labels("cifar100", "noisy_label", CLEAN, 3, root)
    assert not (tmp_path / "planted").exists()


def test_another_order_of_the_samples_is_refused(compact):
    root = compact(cifar10_clean_label=np.array([0, 1, 0, 2]), cifar10_worse_label=GIVEN)
    message = r"not aligned: .* differs .* for 2 of 4 samples, first at sample 2 \(0 instead of 2\)"
    with pytest.raises(DataError, match=message):
        human_labels("cifar10", "worse_label", CLEAN, 3, root)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"cifar10_clean_label": CLEAN}, "no worse_label among the human labels; found: clean_label"),
        ({"cifar10_clean_label": CLEAN, "cifar10_worse_label": GIVEN[:3]}, r"worse_label is int64 \(3,\), not 4 whole"),
        ({"cifar10_clean_label": CLEAN, "cifar10_worse_label": GIVEN / 2}, r"worse_label is float64 \(4,\), not 4"),
        ({"cifar10_clean_label": CLEAN, "cifar10_worse_label": GIVEN + 1}, r"holds 1\.\.3, allowed 0\.\.2"),
    ],
)
def test_labels_that_do_not_fit_are_refused(compact, arrays, message):
    with pytest.raises(DataError, match=message):
        human_labels("cifar10", "worse_label", CLEAN, 3, compact(**arrays))


def test_a_missing_file_is_named(tmp_path, published):
    with pytest.raises(DataError, match=r"cifar-n/cifar-n-labels\.npz or cifar-n/CIFAR-10_human\.pt below S2E_DATA_RO"):
        human_labels("cifar10", "worse_label", CLEAN, 3, str(tmp_path))
    with pytest.raises(DataError, match="holds a list"):
        human_labels("cifar100", "noisy_label", CLEAN, 3, published([CLEAN]))


@pytest.mark.data
@pytest.mark.skipif(ROOT is None, reason="S2E_DATA_ROOT is not set")
@pytest.mark.parametrize(("label_set", "share"), [("aggre_label", 0.0901), ("worse_label", 0.4021)])
def test_cifar10n_has_the_published_rate_on_the_real_set(label_set, share):
    spec = DataSpec(name="cifar10", split="s2e", noise=NoiseSpec("human", human_labels=label_set))
    record = noise_record(spec, 0, ROOT)
    assert record.transition is None
    assert record.realised_noise_rate == pytest.approx(share, abs=5e-5)
    if label_set == "worse_label":  # truck -> automobile .28, cat -> dog .21
        assert record.counts[9][1] / 5000 == pytest.approx(0.28, abs=0.005)
        assert record.counts[3][5] / 5000 == pytest.approx(0.21, abs=0.005)
    half = DataSpec(name="cifar10", n_validation=5000, n_train=1000, noise=spec.noise)
    part = noise_record(half, 0, ROOT)
    assert part.n_samples == 1000
    assert set(part.flipped) <= set(record.flipped)  # a part's samples keep their own labels


@pytest.mark.data
@pytest.mark.skipif(ROOT is None, reason="S2E_DATA_ROOT is not set")
@pytest.mark.parametrize(("dataset", "label_set"), [("cifar10", "random_label2"), ("cifar100", "noisy_label")])
def test_the_real_published_files_equal_the_compact_one(dataset, label_set, tmp_path):
    compact, published = (Path(ROOT or "") / name for name in (COMPACT, PUBLISHED[dataset]))
    if not (compact.is_file() and published.is_file()):
        pytest.skip("the data root holds only one of the two")
    (tmp_path / "cifar-n").mkdir()
    (tmp_path / PUBLISHED[dataset]).symlink_to(published)
    with np.load(compact) as file:
        clean_S, given_S = (file[f"{dataset}_{key}"].astype(np.int64) for key in ("clean_label", label_set))
    read = human_labels(dataset, label_set, clean_S, int(clean_S.max()) + 1, str(tmp_path))
    np.testing.assert_array_equal(read, given_S)
