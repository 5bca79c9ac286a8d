"""Draws that depend on (key, step, number of the draw) and on nothing else."""

from __future__ import annotations

import pytest
import torch

from s2e.networks.dropout import KeyedDropout, keyed_uniform

KEYS = (0, 1, 2**62 + 12345, 0x1234_5678_9ABC_DEF0 >> 1)


def mix(x):
    """lowbias32 in Python's unbounded integers."""
    x = (x ^ (x >> 16)) * 0x7FEB352D % 2**32
    x = (x ^ (x >> 15)) * 0x846CA68B % 2**32
    return x ^ (x >> 16)


def uniform(key, step, n_draws):
    first = mix(mix(key % 2**32) ^ step)
    second = mix(mix(key >> 32) ^ first)
    return [mix(mix(e ^ first) ^ second) / 2**32 for e in range(n_draws)]


def test_draws_equal_a_plain_loop():
    steps = [0, 7, 100_000, 3]
    drawn_GE = keyed_uniform(torch.tensor(KEYS), torch.tensor(steps), 9)
    assert drawn_GE.tolist() == [uniform(key, step, 9) for key, step in zip(KEYS, steps, strict=True)]


def test_draws_look_independent():
    """Over 40 streams of 5,000: mean and variance of a uniform number, and no correlation along or between streams.
    The bounds are six standard errors of each statistic."""
    drawn = keyed_uniform(torch.arange(40) * 2**31, torch.arange(40) // 8, 5_000)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    centred = drawn - 0.5
    assert centred.mean().abs() < 6 * (1 / 12 / drawn.numel()) ** 0.5
    assert (centred.square().mean() - 1 / 12).abs() < 6 * (1 / 180 / drawn.numel()) ** 0.5
    lag = (centred[:, 1:] * centred[:, :-1]).mean() * 12
    assert lag.abs() < 6 / drawn.numel() ** 0.5
    between = (centred @ centred.T) / 5_000 * 12
    assert (between - between.diag().diag()).abs().max() < 6 / 5_000**0.5


@pytest.mark.parametrize(
    ("axes", "together"),
    [(None, ()), (2, (2, 3)), (1, (1, 2, 3))],
    ids=["elements", "channels", "samples"],
)
def test_what_shares_a_draw_is_dropped_together(axes, together):
    layer = KeyedDropout(0.25, axes)
    layer.reset(99)
    out = layer(torch.ones(60, 50, 3, 3, dtype=torch.float64))
    assert set(out.unique().tolist()) == {0.0, 1 / 0.75}
    each = out.amax(together, keepdim=True) if together else out
    assert torch.equal(each.expand_as(out), out)
    n_draws = each.numel()
    assert ((each == 0).double().mean() - 0.25).abs() < 6 * (0.25 * 0.75 / n_draws) ** 0.5


def test_each_training_pass_draws_anew_and_evaluation_does_not():
    layer = KeyedDropout(0.5)
    layer.reset(3)
    x = torch.ones(4, 20)
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    assert torch.equal(layer.eval()(x), x)
    assert layer.step == 2
    layer.train().reset(3)
    assert torch.equal(layer(x), first)


def test_a_layer_resumes_from_its_state():
    layer, other = KeyedDropout(0.5), KeyedDropout(0.5)
    layer.reset(5)
    layer(torch.ones(3, 8))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer(torch.ones(3, 8)), other(torch.ones(3, 8)))


def test_the_gradient_is_that_of_what_was_kept():
    layer = KeyedDropout(0.3, axes=2)
    layer.reset(11)
    x = torch.rand(4, 6, 2, 2, dtype=torch.float64, requires_grad=True)
    out = layer(x)
    out.sum().backward()
    assert torch.equal(x.grad, (out != 0).double() / (1 - 0.3))
