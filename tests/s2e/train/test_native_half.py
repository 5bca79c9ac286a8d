"""The compiled step in bfloat16, where the processor multiplies bfloat16 numbers and the library is there."""

from __future__ import annotations

import pytest
import torch

from s2e.networks import library
from s2e.train.native import Images, Layer, Move, NativeStack
from s2e.train.trial import train_population
from s2e.words import replace


def run(population, step):
    *epochs, end = train_population(replace(population, plan=replace(population.plan, step=step)))
    return [step.epochs for step in epochs], end


@pytest.mark.parametrize("name", [name for name in library.HALF_SETS if library.kernels_of(name)])
def test_in_bfloat16_every_product_is_that_of_rounded_numbers(monkeypatch, name):
    """The first layer's logits and gradient against float64 products of the same rounded inputs, weights and gradients:
    what is left is float32's rounding of sums of 45 and 37 terms, at most n u sum |a| |b| with u = 2^-24, in whatever
    order a processor adds (Higham, 3.5). Sizes are no multiples of a tile's."""
    monkeypatch.setattr("s2e.train.native.instruction_set", lambda half: name)
    generator = torch.Generator().manual_seed(5)
    weight, bias = torch.randn(2, 11, 45, generator=generator), torch.randn(2, 11, generator=generator)
    x, gradient = torch.randn(37, 45, generator=generator), torch.randn(1, 2, 37, 11, generator=generator)
    layer, before = Layer(weight, bias, (None, None), (None, None)), weight.clone()
    sizes = {"n_trials": 1, "batch_size": 37, "n_orders": 1, "looks_first": True, "half": True}

    def rounded(values):
        return values.bfloat16().double()

    def assert_rounded(mine, equation, a, b, plus=0.0, n=48):
        expected = torch.einsum(equation, rounded(a), rounded(b)) + plus
        bound = n * 2**-24 * (torch.einsum(equation, rounded(a).abs(), rounded(b).abs()) + abs(plus))
        assert ((mine.double() - expected).abs() <= bound).all()

    with NativeStack([layer], Images(x, 1.0), **sizes) as stack:
        for _ in range(2):  # the second time with the weights that the first one moved
            logits = stack.forward(torch.arange(37).view(1, 37))[0]
            assert_rounded(logits, "bi,gci->gbc", x, weight, plus=bias[:, None].double())
            stack.backward(Move(1.0, 0.0, 0), gradient)
            # the difference of two stored weights is rounded once more, by u of the larger
            assert_rounded(before - weight, "gbc,bi->gci", gradient[0], x, n=48 + 16)
            before = weight.clone()
        classes, _ = stack.predict(36)
        assert (classes[0, :2, :36] == stack.forward(torch.arange(37).view(1, 37))[0, :, :36].argmax(-1)).all()


@pytest.mark.skipif(library.instruction_set(half=True) is None, reason="no bfloat16 products here")
def test_in_bfloat16_it_learns_what_float32_learns(tiny):
    population = tiny((0, 1), dtype="bfloat16", method="standard", keep=1.0, n_epochs=6)
    mine, other = (run(population, step) for step in ("native", "torch"))
    for row, one in zip(mine[0][-1], other[0][-1], strict=True):
        assert row.loss == pytest.approx(one.loss, rel=0.05)
        assert row.validation_accuracy == pytest.approx(one.validation_accuracy, abs=0.1)
