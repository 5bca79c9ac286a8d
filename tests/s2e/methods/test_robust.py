"""Robust losses: values worked out by hand, and gradients against finite differences (float64)."""

from __future__ import annotations

import math

import pytest
import torch

from s2e.methods.declared import robust as params
from s2e.methods.robust import GCE, SCE, BootstrapHard, BootstrapSoft, Huber, LogSum

P = (0.2, 0.5, 0.3)
LABEL = 0
LN5, LN2 = math.log(5), math.log(2)
ENTROPY = 0.2 * LN5 + 0.5 * LN2 - 0.3 * math.log(0.3)
METHODS = [GCE(), SCE(), BootstrapSoft(), BootstrapHard(), Huber(), LogSum()]


def loss(method, logits_C, label=LABEL):
    return method.losses(logits_C.view(1, 1, 1, -1), torch.tensor([[label]]), torch.tensor([0]), {}).squeeze()


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (GCE(params.Gce(q=0.5)), (1 - math.sqrt(0.2)) / 0.5),
        (GCE(params.Gce(q=1)), 0.8),
        (GCE(), (1 - 0.2**0.7) / 0.7),
        (SCE(), 0.1 * LN5 + 9.210340371976182 * 0.8),
        (SCE(params.Sce(alpha=6, beta=0.5, log_zero=-4)), 6 * LN5 + 0.5 * 4 * 0.8),
        (BootstrapSoft(), 0.95 * LN5 + 0.05 * ENTROPY),
        (BootstrapHard(), 0.8 * LN5 + 0.2 * LN2),
        (BootstrapHard(params.BootstrapHard(label_weight=1)), LN5),
        (Huber(), 0.5 * (0.8 - 0.25) + 0.5**2 / 2 + 0.3**2 / 2),  # u = -0.8, 0.5, 0.3
        (Huber(params.Huber(threshold=0.25)), 0.25 * (0.8 + 0.5 + 0.3 - 3 * 0.125)),
        (LogSum(params.LogSum(width=0.1)), math.log(9) + math.log(6) + math.log(4)),
    ],
)
def test_values_by_hand(method, expected):
    assert loss(method, torch.tensor(P, dtype=torch.float64).log()).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_gradients_are_those_of_the_values(method):
    logits_C = torch.tensor([0.3, -1.2, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: loss(method, z, 1), (logits_C,), atol=1e-8)


def test_the_gradient_of_gce_is_that_of_cross_entropy_times_p_to_the_q():
    logits_C = torch.tensor([0.3, -1.2, 0.9], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(GCE(), logits_C), logits_C)
    p = logits_C.detach().softmax(0)
    torch.testing.assert_close(gradient, p[0] ** 0.7 * (p - torch.tensor([1.0, 0, 0])), rtol=0, atol=1e-12)


def test_gce_tends_to_cross_entropy():
    logits_C = torch.tensor(P, dtype=torch.float64).log()
    assert loss(GCE(params.Gce(q=1e-6)), logits_C).item() == pytest.approx(LN5, abs=1e-5)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("label", [0, 1])
def test_a_certain_network_gives_finite_losses_and_gradients(method, label):
    logits_C = torch.tensor([90.0, -90.0, 0.0], requires_grad=True)
    value = loss(method, logits_C, label)
    value.backward()
    assert value.isfinite()
    assert logits_C.grad.isfinite().all()
