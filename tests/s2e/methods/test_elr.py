"""ELR against its equations: the gradient of eq. (8), the targets and the bound (its linear model: tests/golden)."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from s2e.methods.base import Setup
from s2e.parts import METHODS

B, C, S = 6, 5, 9


def setup(n_samples=S, n_classes=C):
    label_S = torch.arange(n_samples) % n_classes
    return Setup(
        n_trials=1,
        n_samples=n_samples,
        n_classes=n_classes,
        device=torch.device("cpu"),
        dtype=torch.float64,
        label_KS=label_S[None],
        true_label_S=label_S,
        transition_KCC=None,
        init_seeds=(0,),
    )


def make(name, **params):
    return METHODS[name](**params).make()


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, 1, B, C, generator=generator, dtype=torch.float64, requires_grad=True)
    return logits, torch.randint(0, C, (1, B), generator=generator), torch.randperm(S, generator=generator)[:B]


def gradient_and_target(name, strength=3.0):
    """d(mean loss)/d logits after two earlier visits, with the probabilities, the labels and the targets used."""
    method = make(name, strength=strength, target_momentum=0.7)
    state = method.init_state(setup())
    logits, label, index = batch()
    for seed in (1, 2):
        method.losses(batch(seed)[0].detach(), label, index, state)
    (gradient,) = torch.autograd.grad(method.losses(logits, label, index, state).mean(), logits)
    p_BC = logits.detach()[0, 0].softmax(-1)
    return gradient[0, 0], p_BC, F.one_hot(label[0], C), state["target"][0, index, 0]


def test_the_gradient_of_elr_is_eq_8():
    """(p - y + lambda g) / B with g_c = p_c / (1 - <p, t>) sum_k (t_k - t_c) p_k."""
    gradient, p_BC, y_BC, t_BC = gradient_and_target("elr")
    for b in range(B):
        for c in range(C):
            inner = sum((t_BC[b, k] - t_BC[b, c]) * p_BC[b, k] for k in range(C))
            g = p_BC[b, c] / (1 - (p_BC[b] * t_BC[b]).sum()) * inner
            expected = (p_BC[b, c] - y_BC[b, c] + 3.0 * g) / B
            assert abs(gradient[b, c].item() - expected.item()) < 1e-15


def test_the_gradient_of_the_kl_variant():
    """(p - y + lambda (sum(t) p - t)) / B, with t not yet normalised."""
    gradient, p_BC, y_BC, t_BC = gradient_and_target("elr_kl")
    assert not torch.allclose(t_BC.sum(-1), torch.ones(B, dtype=torch.float64))
    expected = (p_BC - y_BC + 3.0 * (t_BC.sum(-1, keepdim=True) * p_BC - t_BC)) / B
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", ["elr", "elr_kl"])
def test_a_target_is_a_running_mean_by_sample_that_starts_at_zero(name):
    method = make(name, target_momentum=0.7)
    state = method.init_state(setup())
    expected = torch.zeros(S, C, dtype=torch.float64)
    for seed in range(4):
        logits, label, index = batch(seed)
        method.losses(logits, label, index, state)
        for b, i in enumerate(index.tolist()):
            expected[i] = 0.7 * expected[i] + 0.3 * logits[0, 0, b].detach().softmax(-1)
    torch.testing.assert_close(state["target"][0, :, 0], expected, rtol=0, atol=1e-15)


def test_after_n_visits_a_target_sums_to_one_minus_beta_to_the_n():
    method = make("elr", target_momentum=0.9)
    state = method.init_state(setup())
    logits, label, index = batch()
    for n in range(1, 6):
        method.losses(logits, label, index, state)
        assert state["target"][0, index, 0].sum(-1).tolist() == pytest.approx([1 - 0.9**n] * B, abs=1e-12)


@pytest.mark.parametrize(("n_classes", "lowest"), [(10, -6.91), (100, -4.62)])
def test_the_clamp_bounds_the_regulariser(n_classes, lowest):
    """A network that is certain, visited until its target is too."""
    method = make("elr", strength=1.0, target_momentum=0.0)
    logits = torch.full((1, 1, 1, n_classes), -200.0, dtype=torch.float64)
    logits[..., 0] = 200.0
    label, index = torch.zeros(1, 1, dtype=torch.int64), torch.tensor([0])
    loss = method.losses(logits, label, index, method.init_state(setup(1, n_classes))).item()
    assert loss == pytest.approx(lowest, abs=0.005)
    assert math.isfinite(loss)
