"""Crop and flip: what one does to an image, and that every (trial, epoch, sample, view) has its own draw."""

from __future__ import annotations

import pytest
import torch

from s2e.data.datasets import load_split
from s2e.parts import DATASETS
from s2e.train.augment import PAD, crop_flip
from s2e.train.population import StackedTrials
from s2e.words import replace

CPU = torch.device("cpu")


def plain_crop_flip(image_DHW, top, left, mirrored):
    """Pixel by pixel: what lies outside the image is black."""
    _, height, width = image_DHW.shape
    out = torch.zeros_like(image_DHW)
    for row in range(height):
        for column in range(width):
            i, j = row + top - PAD, (width - 1 - column if mirrored else column) + left - PAD
            if 0 <= i < height and 0 <= j < width:
                out[:, row, column] = image_DHW[:, i, j]
    return out


def test_every_crop_and_flip_is_the_plain_one():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (6, 3, 8, 10), generator=generator).to(torch.uint8)
    moves = torch.tensor([[4, 4, 0], [4, 4, 1], [0, 8, 0], [8, 0, 1], [2, 5, 1], [7, 3, 0]])
    for image, (top, left, mirrored), moved in zip(images, moves.tolist(), crop_flip(images, moves), strict=True):
        assert torch.equal(moved, plain_crop_flip(image, top, left, mirrored))
    assert torch.equal(crop_flip(images, moves)[0], images[0])


@pytest.mark.parametrize("network", ["mlp", "model1"])
@pytest.mark.parametrize("shared_order", [True, False])
def test_a_trial_sees_the_same_images_alone_and_in_a_population(tiny, network, shared_order):
    settings = {"network": network, "augment": "crop_flip", "shared_order": shared_order}
    together, alone = (StackedTrials(tiny(ks=ks, **settings), CPU, torch.float64) for ks in ((0, 1, 2), (1,)))
    for trials in (together, alone):
        trials.set_epoch(3)
    index = torch.arange(7, 16)
    own = index.expand(3, -1)
    seen = together.images(own)[1]
    assert torch.equal(seen, alone.images(index[None])[0])
    assert torch.equal(together.images(own)[0], seen) == shared_order
    if shared_order:
        assert torch.equal(together.images(index), seen)


def test_views_epochs_and_samples_differ_and_none_is_plain(tiny):
    trials = StackedTrials(tiny(augment="crop_flip"), CPU, torch.float64)
    plain = StackedTrials(tiny(), CPU, torch.float64)
    for engine in (trials, plain):
        engine.set_epoch(0)
    index = torch.arange(16)
    first, second = trials.images(index), trials.images(index, view=1)
    assert torch.equal(first, trials.images(index))  # a view is one draw, however often it is asked for
    assert not torch.equal(first, second)
    assert torch.equal(trials.images(index, view=None), plain.images(index))
    trials.set_epoch(1)
    assert not torch.equal(first, trials.images(index))
    twice = trials.images(torch.zeros(1, 16, dtype=torch.int64))
    assert torch.equal(twice[0, :1].expand_as(twice[0]), twice[0])  # a sample's draw belongs to the sample


@pytest.mark.parametrize("augment", ["none", "crop_flip"])
@pytest.mark.parametrize("network", ["mlp", "model1"])
def test_normalised_pixels_have_the_published_mean_taken_off(tiny, monkeypatch, network, augment):
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)
    population = tiny(network=network, augment=augment)
    monkeypatch.setattr(DATASETS[population.data.name], "mean_std", (mean, std))
    population = replace(population, data=replace(population.data, normalise="channels"))
    trials = StackedTrials(population, CPU, torch.float64)
    assert trials.data.train.images.dtype == torch.uint8
    split = load_split(population.data)
    index = torch.tensor([3, 0, 7])
    plain = split.train.images[index].double() / 255
    expected = (plain - torch.tensor(mean).double().view(-1, 1, 1)) / torch.tensor(std).double().view(-1, 1, 1)
    normalised = trials.images(index, view=None)
    torch.testing.assert_close(normalised, trials.network.arrange(expected), rtol=0, atol=1e-7)
    trials.set_epoch(0)
    if augment == "crop_flip":  # the padding is black, not the mean
        assert trials.images(torch.arange(80)).amin() >= (0 - 0.3) / 0.125 - 1e-6
