"""Step-size schedules, Adam and SGD of a stack against torch's own on plain modules."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from s2e.data.datasets import load_split, noisy_labels
from s2e.train.epoch import epoch_order, run_epoch
from s2e.train.optimizer import Adam, learning_rate
from s2e.train.population import StackedTrials
from s2e.train.trial import train_population
from s2e.words import TrainSpec, replace

pytestmark = pytest.mark.usefixtures("smooth_adam")

CPU = torch.device("cpu")
SGD = {"optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 1e-3}
MULTISTEP = {"lr_schedule": "multistep", "lr_milestones": (1, 3), "lr_factor": 0.1}
COSINE = {"lr_schedule": "cosine_restarts", "lr_period": 3, "lr_minimum": 0.001}
STAGES = {"lr_schedule": "stages", "lr_milestones": (1, 3), "lr_values": (0.2, 0.01)}
CASES = {
    "sgd multistep": SGD | MULTISTEP,
    "sgd in stages": SGD | STAGES,
    "sgd without momentum": SGD | COSINE | {"momentum": 0.0},
    "adam, beta2 0.1, weight decay": {"beta2": 0.1, "weight_decay": 1e-2, "lr_schedule": "constant"},
}


def test_step_size_of_the_paper():
    """S2E section 4: 200 epochs, 1e-3 until epoch 80, then 1e-3 (200 - e) / 120."""
    paper = TrainSpec(n_epochs=200, decay_start=0.4)
    assert [learning_rate(paper, t) for t in (0, 79, 80)] == [1e-3] * 3
    assert learning_rate(paper, 140) == pytest.approx(1e-3 * 60 / 120)
    assert learning_rate(paper, 199) == pytest.approx(1e-3 / 120)
    assert learning_rate(replace(paper, decay_start=1.0), 199) == 1e-3


def test_a_multistep_schedule_falls_at_its_milestones():
    """ELR on CIFAR-10: 0.02, divided by 100 at epochs 40 and 80."""
    elr = TrainSpec(n_epochs=120, learning_rate=0.02, lr_schedule="multistep", lr_milestones=(40, 80), lr_factor=0.01)
    assert [learning_rate(elr, t) for t in (0, 39)] == [0.02] * 2
    assert [learning_rate(elr, t) for t in (40, 79)] == pytest.approx([2e-4] * 2)
    assert [learning_rate(elr, t) for t in (80, 119)] == pytest.approx([2e-6] * 2)


def test_a_constant_schedule_is_constant():
    assert {learning_rate(TrainSpec(n_epochs=50, lr_schedule="constant"), t) for t in range(50)} == {1e-3}


def test_cosine_restarts_are_those_of_torch():
    train = TrainSpec(n_epochs=25, learning_rate=0.02, lr_schedule="cosine_restarts", lr_period=10, lr_minimum=0.001)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.02)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10, eta_min=0.001)
    for t in range(25):
        assert learning_rate(train, t) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        scheduler.step()


def test_beta1_switches_at_the_decay(tiny):
    trials = StackedTrials(tiny(decay_start=0.5, beta1_decay=0.1), CPU, torch.float64)
    seen = []
    for t in range(4):
        trials.set_epoch(t)
        seen.append(trials.optimizer.param_groups[0]["betas"])
    assert seen == [(0.9, 0.999)] * 2 + [(0.1, 0.999)] * 2


def plain_training(population, trials):
    """Standard training of trial 0 with a plain module and torch's unfused optimiser."""
    trial, train = population.trials[0], population.train
    data = load_split(population.data)
    images, labels = data.train.images.double() / data.max_value, noisy_labels(population.data, trial.noise_seed)
    module = trials.network.to_module(trials.network.state_dict(trials.tensors, 0)).train()
    if train.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            module.parameters(), lr=1.0, momentum=train.momentum, weight_decay=train.weight_decay
        )
    else:
        betas = (train.beta1, train.beta2)
        optimizer = torch.optim.Adam(module.parameters(), betas=betas, weight_decay=train.weight_decay)
    for t in range(train.n_epochs):
        optimizer.param_groups[0]["lr"] = learning_rate(train, t)
        for index in epoch_order(trials, t):
            optimizer.zero_grad()
            F.cross_entropy(module(images[index]), labels[index]).backward()
            optimizer.step()
    return module.state_dict()


@pytest.mark.parametrize("case", CASES)
def test_training_equals_a_plain_module_with_torchs_optimiser(tiny, case):
    population = tiny(method="standard", **CASES[case])
    trials = StackedTrials(population, CPU, torch.float64)
    expected = plain_training(population, trials)
    for t in range(population.train.n_epochs):
        run_epoch(trials, t)
    for name, tensor in trials.network.state_dict(trials.tensors, 0).items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_adam_has_the_bits_and_the_state_of_torchs_own(dtype):
    """Also where a parameter has no gradient in some steps, and where step size and betas change."""
    pairs = [[torch.randn(3, 4, generator=torch.Generator().manual_seed(i), dtype=dtype) for i in range(2)]] * 2
    pairs = [[tensor.clone().requires_grad_() for tensor in tensors] for tensors in pairs]
    settings = {"lr": 0.01, "weight_decay": 1e-2, "eps": 1e-8, "fused": True}
    ours, torchs = Adam(pairs[0], **settings), torch.optim.Adam(pairs[1], **settings)
    assert Adam.step is not torch.optim.Adam.step
    for t in range(5):
        for optimizer, (one, other) in zip((ours, torchs), pairs, strict=True):
            optimizer.param_groups[0].update(lr=0.01 / (t + 1), betas=(0.9 - 0.1 * t, 0.99))
            optimizer.zero_grad()
            (one.square() if t % 2 else one * other.sin()).sum().backward()
            optimizer.step()
    for mine, theirs in zip(*pairs, strict=True):
        assert torch.equal(mine, theirs)
        assert ours.state[mine].keys() == torchs.state[theirs].keys()
        assert all(torch.equal(ours.state[mine][key], value) for key, value in torchs.state[theirs].items())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["coteaching", "decoupling"])  # the second leaves steps out
def test_a_population_equals_its_trials_alone(tiny, case, method):
    settings = CASES[case] | {"method": method, "augment": "crop_flip", "shared_order": False}
    *_, together = train_population(tiny(ks=(0, 1), **settings))
    for k in range(2):
        *_, alone = train_population(tiny(ks=(k,), **settings))
        for name, tensor in alone.models[0].items():
            torch.testing.assert_close(together.models[k][name], tensor, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_momentum_leaves_with_its_trial(tiny, case):
    trials, alone = (StackedTrials(tiny(ks=ks, **CASES[case]), CPU, torch.float64) for ks in ((0, 1, 2), (1,)))
    for t in range(4):
        run_epoch(trials, t)
        run_epoch(alone, t)
        if t == 1:
            trials.keep([1, 2])
    for name, tensor in alone.tensors.items():
        torch.testing.assert_close(trials.tensors[name][:2], tensor, rtol=0, atol=1e-12)


def test_a_reset_in_a_later_epoch_has_that_epochs_step_size(tiny):
    trials = StackedTrials(tiny(**SGD, **MULTISTEP), CPU, torch.float64)
    trials.set_epoch(2)
    trials.reset_networks()
    assert trials.optimizer.param_groups[0]["lr"] == pytest.approx(0.005)
