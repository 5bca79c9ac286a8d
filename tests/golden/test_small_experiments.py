"""Experiments of the papers, small enough for a test: what each method is about must be seen, not only computed."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from s2e.methods.base import Method, Setup
from s2e.methods.declared.regularisation import Elr as ElrParams
from s2e.methods.elr import Elr
from s2e.methods.plain import Standard
from s2e.train.trial import train_population
from s2e.words import DataSpec, NoiseSpec, PlanSpec, Population, TrainSpec, TrialSpec


@pytest.mark.slow
def test_ascent_forgets_what_stopping_does_not():
    """SIGUA Fig. 1, its deep network, reduced: 1,024 digits instead of MNIST, 80 % symmetric noise, 30 epochs of plain
    training (all labels memorised) and 10 with the oracle's masks instead of 150 and 150; ascent of 0.02 instead of
    0.001 because it has 160 steps instead of 8,850. Without ascent (StopGrad) the network keeps most of what it
    memorised. Three seeds reached 44 %, 32 % and 39 % without, 81 %, 66 % and 69 % with ascent; this is the first."""
    after_memorising, at_the_end = {}, {}
    for method, params in (("stopgrad", {}), ("sigua", {"gamma": 0.02})):
        train = TrainSpec(
            method=method,
            params={"good": "oracle", "warm_up_epochs": 30, **params},
            network="sigua_deep",
            n_epochs=40,
            batch_size=64,
            optimizer="sgd",
            learning_rate=0.05,
            lr_schedule="constant",
        )
        data = DataSpec(name="digits", noise=NoiseSpec("symmetric", 0.8), n_validation=100, n_train=1_024)
        trial = TrialSpec(0, 0, "search", 0, (1.0,) * train.n_epochs, 1, 6, 8)
        *epochs, _ = train_population(Population(data, train, PlanSpec(), 1, (trial,)))
        accuracies = [epoch.epochs[0].test_accuracy for epoch in epochs]
        after_memorising[method], at_the_end[method] = accuracies[29], accuracies[-1]
    assert after_memorising["sigua"] == after_memorising["stopgrad"] < 0.25
    assert at_the_end["sigua"] > at_the_end["stopgrad"] + 0.2


K, S, D, WRONG = 20, 50, 100, 20
"""Seeds, samples, inputs and wrong labels of ELR's linear model (its Figures A.1 and B.1)."""


def mixture(generator: torch.Generator, n_samples: int, centre_KD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x = e (v - sigma z), e a sign that alternates, sigma = 0.1, and the class it stands for: x_KSD, y_KS."""
    y_KS = torch.arange(n_samples).expand(K, -1) % 2
    z_KSD = torch.randn(K, n_samples, D, generator=generator, dtype=torch.float64)
    return (2 * y_KS - 1)[..., None] * (centre_KD[:, None] - 0.1 * z_KSD), y_KS


def linear_model(method: Method, seen_at: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Full-batch descent of step 0.1 on a linear softmax classifier: the fraction predicted as their *true* class at
    the iterations ``seen_at``, of samples with right labels, with wrong labels, and of test samples [M, K] each."""
    generator = torch.Generator().manual_seed(0)
    centre_KD = F.normalize(torch.randn(K, D, generator=generator, dtype=torch.float64), dim=-1)
    x_KSD, true_KS = mixture(generator, S, centre_KD)
    test_KSD, test_true_KS = mixture(generator, 400, centre_KD)
    label_KS = torch.cat([1 - true_KS[:, :WRONG], true_KS[:, WRONG:]], dim=1)
    difference_KD = 2 * F.normalize(torch.randn(K, D, generator=generator, dtype=torch.float64), dim=-1)
    theta_KCD = torch.stack([-difference_KD / 2, difference_KD / 2], dim=1).requires_grad_()
    state, index_S = method.init_state(setup(label_KS, true_KS)), torch.arange(S)
    seen = []
    for iteration in range(max(seen_at) + 1):
        logits_KSC = x_KSD @ theta_KCD.mT
        if iteration in seen_at:
            right_KS = (logits_KSC.argmax(-1) == true_KS).double()
            test_right_KS = ((test_KSD @ theta_KCD.mT).argmax(-1) == test_true_KS).double()
            seen.append(torch.stack([right_KS[:, WRONG:].mean(1), right_KS[:, :WRONG].mean(1), test_right_KS.mean(1)]))
        loss_K = method.losses(logits_KSC[:, None], label_KS, index_S, state).mean((1, 2))
        (gradient_KCD,) = torch.autograd.grad(loss_K.sum(), theta_KCD)
        with torch.no_grad():
            theta_KCD -= 0.1 * gradient_KCD
    right, wrong, test = torch.stack(seen, dim=1)
    return right, wrong, test


def setup(label_KS: torch.Tensor, true_KS: torch.Tensor) -> Setup:
    return Setup(
        n_trials=K,
        n_samples=S,
        n_classes=2,
        device=label_KS.device,
        dtype=torch.float64,
        label_KS=label_KS,
        true_label_S=true_KS[0],
        transition_KCC=None,
        init_seeds=tuple(range(K)),
    )


def test_cross_entropy_memorises_where_early_learning_regularisation_does_not():
    """ELR Figs. A.1 and B.1, lambda 3, beta 0.7. Fraction predicted as the true class, mean of 20 seeds:

    | iteration             | 0   | 10  | 30  | 100 | 300 | 2000 |
    |-----------------------|-----|-----|-----|-----|-----|------|
    | CE, wrongly labelled  | .49 | .73 | .88 | .81 | .32 | .01  |
    | CE, test              | .47 | .74 | .93 | .95 | .86 | .68  |
    | ELR, wrongly labelled | .49 | .72 | .93 | .95 | .95 | .95  |

    The accuracy a run starts from is uniform on [0, 1]. ELR keeps what it believes early: the one seed of the 20 that
    starts with less than 1 % right ends with all wrong, the others end with all right.
    """
    right, wrong, test = (seen.mean(1) for seen in linear_model(Standard(), (0, 10, 30, 100, 300, 2000)))
    assert wrong.max() > 0.85
    assert wrong[-1] < 0.05
    assert right[-1] > 0.95
    assert test.max() > 0.9 > 0.75 > test[-1]

    elr = Elr(ElrParams(strength=3.0, target_momentum=0.7))
    _, wrong, test = linear_model(elr, (0, 100, 300, 1000))
    lost_K = test[0] < 0.01
    assert lost_K.sum() == 1
    assert wrong[1:, ~lost_K].min() > 0.95
    assert test[1:, ~lost_K].min() > 0.95
    assert test[-1, lost_K].max() < 0.05
