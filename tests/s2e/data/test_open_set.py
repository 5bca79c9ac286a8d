"""Open-set noise: which images are replaced, by what, and what the engine makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from s2e.data.open_set import OWN, foreign_images, replaced
from s2e.door import parse_job
from s2e.parts import NOISE
from s2e.words import DataError, DataSpec, JobSpec, NoiseSpec, SpecError

SOURCE = "others.npz"


def test_exactly_the_asked_share_is_replaced_by_different_images():
    foreign_S = replaced(1_000, 700, 0.4, seed=1)
    taken = foreign_S[foreign_S != OWN]
    assert len(taken) == len(set(taken)) == 400
    assert 0 <= taken.min() <= taken.max() < 700
    few = replaced(1_000, 50, 0.4, seed=1)
    assert (few != OWN).sum() == 400
    assert len(set(few)) <= 51
    assert (foreign_S != replaced(1_000, 700, 0.4, seed=2)).any()
    np.testing.assert_array_equal(foreign_S, replaced(1_000, 700, 0.4, seed=1))


@pytest.fixture
def digits_with_others(tmp_path):
    """A job on the digits that takes images of their shape from a file."""

    def build(noise_rate=0.4, **images):
        pool = np.full((40, 8, 8, 1), 99, dtype=np.uint8)
        np.savez(tmp_path / SOURCE, **(images or {"images": pool}))
        return DataSpec(noise=NoiseSpec("open_set", noise_rate, open_set=SOURCE)), str(tmp_path)

    return build


def test_images_of_another_scale_are_refused(digits_with_others):
    """Digits hold 0..16 and an image file 0..255: divided by 16 its images would be of another brightness."""
    spec, root = digits_with_others()
    with pytest.raises(DataError, match=r"open_set = 'others\.npz': .* of 0\.\.255 do not fit digits: \(1, 8, 8\)"):
        foreign_images(spec, root)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros((4, 8, 8, 1), np.uint8)}, "holds no array 'images'"),
        ({"images": np.zeros((4, 8, 8), np.uint8)}, r"images of shape \(4, 8, 8\), expected \[P, H, W, D\]"),
        ({"images": np.zeros((0, 8, 8, 1), np.uint8)}, r"images of shape \(0, 8, 8, 1\)"),
        ({"images": np.array([None])}, "holds no array 'images'"),
    ],
)
def test_files_without_images_are_refused(digits_with_others, arrays, message):
    spec, root = digits_with_others(**arrays)
    with pytest.raises(DataError, match=message):
        foreign_images(spec, root)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (DataSpec("cifar10", NoiseSpec("open_set")), "data.noise.open_set"),
        (DataSpec("cifar10", NoiseSpec("open_set", open_set="cifar10")), "data.noise.open_set"),
        (DataSpec("cifar10", NoiseSpec("open_set", open_set="mnist")), "data.noise.open_set"),
        (DataSpec("cifar10", NoiseSpec("open_set", open_set="../a.npz")), "data.noise.open_set"),
        (DataSpec("cifar10", NoiseSpec("pair", 0.2, open_set="svhn")), "data.noise.open_set"),
        (DataSpec("newsgroups20", NoiseSpec("open_set", open_set="svhn")), "data.noise.kind"),
    ],
)
def test_open_set_noise_that_cannot_be_is_refused_at_the_door(data, field):
    assert [problem.field for problem in NOISE[data.noise.kind]().problems(JobSpec(data=data))] == [field]


def test_open_set_noise_that_can_be_is_accepted():
    job = {"data": {"name": "cifar10", "noise": {"kind": "open_set", "noise_rate": 0.4, "open_set": "svhn"}}}
    assert parse_job(job).data.noise.open_set == "svhn"
    with pytest.raises(SpecError, match=r"one of cifar100, svhn, or an \.npz file"):
        parse_job({"data": {"name": "cifar10", "noise": {"kind": "open_set", "open_set": "mnist"}}})
