"""The compiled max-pooling gives torch's bits, forward and back."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from s2e.networks import library
from s2e.networks.pool import pool_2x2, reads
from s2e.train.trial import train_population
from s2e.words import replace

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(library.instruction_set() is None, reason="the native library is not built for this processor"),
]


def images(shape, dtype):
    """Multiples of 1/2 with many ties and zeros, and a NaN and infinities in every place of a window."""
    generator = torch.Generator().manual_seed(sum(shape))
    x = (torch.randn(shape, generator=generator) * 3).round() / 2
    x[0, 0, 0, 1] = x[-1, -1, 1, 0] = float("nan")
    x[0, -1, 1, 1], x[-1, 0, 0, 0] = float("inf"), -float("inf")
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def same(a, b):
    return torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(7), b.nan_to_num(7))


@pytest.mark.parametrize("name", [name for name in library.INSTRUCTION_SETS if library.kernels_of(name)])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(4, 36, 12, 12), (3, 8, 4, 6), (2, 7, 9, 11), (3, 19, 2, 3), (2, 1, 5, 2)])
def test_it_is_max_pooling_and_relu(monkeypatch, shape, dtype, relu, name):
    monkeypatch.setattr("s2e.networks.pool.instruction_set", lambda: name)
    x = images(shape, dtype)
    mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    assert reads(mine)
    pooled, expected = pool_2x2(mine, relu=relu), F.max_pool2d(other, 2)
    expected = expected.relu() if relu else expected
    assert same(pooled, expected)
    gradient = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    pooled.backward(gradient)
    expected.backward(gradient)
    assert torch.equal(mine.grad, other.grad)


def test_other_layouts_and_types_are_left_to_torch():
    assert not reads(torch.zeros(2, 3, 4, 4))
    assert not reads(torch.zeros(2, 3, 4, 4, dtype=torch.float64).contiguous(memory_format=torch.channels_last))
    assert not reads(torch.zeros(2, 3, 1, 4).contiguous(memory_format=torch.channels_last))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_a_forward_derivative_is_left_to_torch():
    """``reweight`` takes one through the network; the compiled pass has none."""
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    assert reads(x)

    def pooled(x):
        assert not reads(x)
        return F.max_pool2d(x, 2)

    torch.func.jvp(pooled, (x,), (torch.ones_like(x),))


def test_a_method_with_a_forward_derivative_trains_a_network_that_pools(tiny):
    population = tiny(dtype="float32", method="reweight", network="model1", n_epochs=1, n_train=32, n_clean=16)
    *_, end = train_population(population)
    assert not end.results[0].failed


@pytest.mark.parametrize("network", ["model1", "model2"])
def test_a_training_does_not_move_by_a_bit(tiny, network):
    """Model 1 pools before ReLU, Model 2 behind it."""
    population = tiny((0, 1), dtype="float32", network=network, n_epochs=2, n_train=32)
    ends = []
    for step in ("native", "torch"):
        *_, end = train_population(replace(population, plan=replace(population.plan, step=step)))
        ends.append(end)
    assert ends[0].results == ends[1].results
    for name, tensor in ends[1].models[0].items():
        assert torch.equal(ends[0].models[0][name], tensor), name
