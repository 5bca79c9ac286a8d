"""Each method in the engine against its own plain loop in float64: separate modules, host-side selection."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from s2e.data.datasets import load_split, noisy_labels
from s2e.data.transition import symmetric
from s2e.train.epoch import epoch_order, train_step
from s2e.train.optimizer import learning_rate
from s2e.train.population import StackedTrials
from s2e.train.trial import train_population
from s2e.words import replace

pytestmark = pytest.mark.usefixtures("smooth_adam")

CPU = torch.device("cpu")


def smallest(loss_B, n):
    return sorted(range(len(loss_B)), key=lambda i: (loss_B[i].item(), i))[:n]


def selfteaching(logits, labels, keep_rate, t):
    (loss_B,) = (F.cross_entropy(z, labels, reduction="none") for z in logits)
    return [loss_B[smallest(loss_B, math.floor(keep_rate * len(labels) + 1e-9))].mean()]


def decoupling(logits, labels, keep_rate, t):
    differ = [i for i in range(len(labels)) if logits[0][i].argmax() != logits[1][i].argmax()]
    losses = [F.cross_entropy(z[differ], labels[differ], reduction="sum") for z in logits]
    return [loss / max(0.1 * len(labels), len(differ)) for loss in losses] if differ else None


def coteaching_plus(logits, labels, keep_rate, t, warm_up_epochs=1):
    pool = [i for i in range(len(labels)) if logits[0][i].argmax() != logits[1][i].argmax()]
    if t < warm_up_epochs or not pool:
        pool = list(range(len(labels)))
    keep = max(1, math.floor(keep_rate * len(pool) + 1e-9))
    losses = [F.cross_entropy(z[pool], labels[pool], reduction="none") for z in logits]
    first, second = (smallest(loss, keep) for loss in losses)
    return [losses[0][second].mean(), losses[1][first].mean()]


def coteaching_plus_as_published(logits, labels, keep_rate, t):
    """Softmax twice after the warm-up, and the mean loss divided by the count once more."""
    pool = [i for i in range(len(labels)) if logits[0][i].argmax() != logits[1][i].argmax()]
    n_pool = len(pool) if pool and t >= 1 else len(labels)
    keep = max(1, math.floor(keep_rate * n_pool + 1e-9))
    outputs = logits if t < 1 else [z.softmax(-1) for z in logits]
    return [loss / keep for loss in coteaching_plus(outputs, labels, keep_rate, t)]


def taught(logits, labels, keep_rate, t, *, term, weight, peer):
    """The mean over the kept samples, and ``weight`` / keep times the sum of ``term`` over the others."""
    keep = math.floor(keep_rate * len(labels) + 1e-9)
    total = []
    for n, z in enumerate(logits):
        p_BC, q_BC = z.softmax(-1), logits[peer(n)].detach().softmax(-1)
        kept = smallest(F.cross_entropy(logits[peer(n)], labels, reduction="none"), keep)
        loss = sum(F.cross_entropy(z[i], labels[i]) for i in kept) / keep
        left = [i for i in range(len(labels)) if i not in kept]
        total.append(loss + weight * sum(term(p_BC[i], q_BC[i]) for i in left) / keep)
    return total


def pseudo_label(p_C, q_C, confidence=0.3):
    return -torch.log(p_C[q_C.argmax()]) if q_C.max() >= confidence else 0.0


def disagreement(p_C, q_C):
    return sum((p - q) ** 2 for p, q in zip(p_C, q_C, strict=True))


coteaching_pseudo = partial(taught, term=pseudo_label, weight=0.7, peer=lambda n: 1 - n)
selfteaching_pseudo = partial(taught, term=pseudo_label, weight=0.7, peer=lambda n: n)
coteaching_consistent = partial(taught, term=disagreement, weight=2.0, peer=lambda n: 1 - n)
PSEUDO = {"dropped": "pseudo_labels", "dropped_weight": 0.7, "dropped_confidence": 0.3}


def sigua_sl(logits, labels, keep_rate, t, gamma=0.1, fraction=0.5):
    (loss_B,) = (F.cross_entropy(z, labels, reduction="none") for z in logits)
    n_good = math.floor(keep_rate * len(labels) + 1e-9)
    n_bad = min(max(1, math.floor(fraction * (len(labels) - n_good))), len(labels) - n_good)
    order = smallest(loss_B, n_good + n_bad)
    good, bad = order[:n_good], order[n_good:]
    return [(loss_B[good].sum() - gamma * loss_B[bad].sum()) / len(labels)]


def gce(logits, labels, keep_rate, t):
    p = logits[0].softmax(-1)[range(len(labels)), labels]
    return [((1 - p**0.7) / 0.7).mean()]


def truncated_gce(logits, labels, keep_rate, t):
    """Before the first pruning all samples count; see test_truncated_gce_leaves_out_what_it_looked_at_last."""
    return gce(logits, labels, keep_rate, t)


def huber(logits, labels, keep_rate, t, threshold=0.5):
    total = 0
    for p_C, label in zip(logits[0].softmax(-1), labels.tolist(), strict=True):
        for c in range(len(p_C)):
            u = p_C[c] - int(c == label)
            total += u**2 / 2 if abs(u) <= threshold else threshold * (abs(u) - threshold / 2)
    return [total / len(labels)]


def sigua(logits, labels, keep_rate, t, gamma=0.05):
    (loss_B,) = (F.cross_entropy(z, labels, reduction="none") for z in logits)
    good = smallest(loss_B, math.floor(keep_rate * len(labels) + 1e-9))
    bad = [i for i in range(len(labels)) if i not in good]
    return [(loss_B[good].sum() - gamma * loss_B[bad].sum()) / len(labels)]


TINY_T = symmetric(4, 0.4)


def forward(logits, labels, keep_rate, t):
    p_BC = logits[0].softmax(-1)
    noisy_p = [sum(p_C[i] * TINY_T[i, y] for i in range(4)) for p_C, y in zip(p_BC, labels.tolist(), strict=True)]
    return [-sum(torch.log(p) for p in noisy_p) / len(labels)]


def corrected(logits, labels):
    inverse = np.linalg.inv(TINY_T)
    log_p_BC = logits[0].log_softmax(-1)
    return [
        -sum(inverse[y, j] * log_p[j] for j in range(4)) for log_p, y in zip(log_p_BC, labels.tolist(), strict=True)
    ]


def backward(logits, labels, keep_rate, t):
    return [sum(corrected(logits, labels)) / len(labels)]


def sigua_bc(logits, labels, keep_rate, t, gamma=0.5):
    return [sum(loss if loss >= 0 else -gamma * loss for loss in corrected(logits, labels)) / len(labels)]


def nnbc(logits, labels, keep_rate, t):
    return sigua_bc(logits, labels, keep_rate, t, gamma=0)


def plain_training(population, trials, objective, n_steps):
    trial, train = population.trials[0], population.train
    data = load_split(population.data)
    images, labels = data.train.images.double() / data.max_value, noisy_labels(population.data, trial.noise_seed)
    modules = [
        trials.network.to_module(trials.network.state_dict(trials.tensors, n)).train()
        for n in range(trials.method.n_networks)
    ]
    optimizers = [torch.optim.Adam(module.parameters()) for module in modules]
    done = 0
    for t in range(train.n_epochs):
        for index in epoch_order(trials, t):
            losses = objective([module(images[index]) for module in modules], labels[index], trial.keep_rate[t], t)
            for loss, optimizer in zip(losses or [], optimizers, strict=False):
                optimizer.param_groups[0]["lr"] = learning_rate(train, t)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            done += 1
            if done == n_steps:
                return modules
    raise AssertionError("fewer steps than asked")


def engine_training(trials, n_steps):
    done = 0
    for t in range(trials.train_spec.n_epochs):
        trials.set_epoch(t)
        for index in epoch_order(trials, t):
            if done < n_steps:
                train_step(trials, index, trials.keep_KT[:, t])
            done += 1


PUBLISHED = {"warm_up_epochs": 1, "official_double_softmax": True, "official_double_division": True}
CASES = {
    "huber": (huber, {}),
    "gce_truncated": (truncated_gce, {}),
    "sigua": (sigua, {"gamma": 0.05}),
    "forward": (forward, {}),
    "backward": (backward, {}),
    "nnbc": (nnbc, {}),
    "sigua_bc": (sigua_bc, {"gamma": 0.5}),
    "selfteaching": (selfteaching, {}),
    "sigua_sl": (sigua_sl, {"gamma": 0.1, "fraction": 0.5}),
    "gce": (gce, {}),
    "sigua_sl, few": (partial(sigua_sl, fraction=0.05), {"gamma": 0.1, "fraction": 0.05}),
    "decoupling": (decoupling, {}),
    "coteaching_plus": (coteaching_plus, {"warm_up_epochs": 1}),
    "coteaching, pseudo-labels": (coteaching_pseudo, PSEUDO),
    "selfteaching, pseudo-labels": (selfteaching_pseudo, PSEUDO),
    "coteaching, consistency": (coteaching_consistent, {"dropped": "consistency", "dropped_weight": 2.0}),
    "coteaching_plus, official": (coteaching_plus_as_published, PUBLISHED),
}


@pytest.mark.parametrize("n_steps", [4, 12])  # of five an epoch: by the twelfth the keep rate has fallen twice
@pytest.mark.parametrize("method", CASES)
def test_steps_equal_the_plain_loop(tiny, method, n_steps):
    objective, params = CASES[method]
    population = tiny(network="mlp", method=method.split(",")[0], params=params)
    trials = StackedTrials(population, CPU, torch.float64)
    before = {name: tensor.detach().clone() for name, tensor in trials.tensors.items()}
    expected = plain_training(population, trials, objective, n_steps)
    engine_training(trials, n_steps)
    for n, module in enumerate(expected):
        state = module.state_dict()
        for name, tensor in trials.network.state_dict(trials.tensors, n).items():
            torch.testing.assert_close(tensor, state[name], rtol=0, atol=1e-12)
            assert not torch.equal(tensor, before[name][n])


@pytest.mark.parametrize("method", CASES)
@pytest.mark.parametrize("shared_order", [True, False])
def test_a_population_equals_its_trials_alone(tiny, method, shared_order):
    settings = {"method": method.split(",")[0], "params": CASES[method][1], "shared_order": shared_order}
    *_, together = train_population(tiny(ks=(0, 1, 2), **settings))
    for k in range(3):
        *_, alone = train_population(tiny(ks=(k,), **settings))
        for name, tensor in alone.models[0].items():
            torch.testing.assert_close(together.models[k][name], tensor, rtol=0, atol=1e-12)


def test_decoupling_leaves_a_trial_whose_networks_agree_where_it_is(tiny):
    """Trial 1 has twice the same network and never disagrees; trial 0 trains on."""
    trials = StackedTrials(tiny(ks=(0, 1), method="decoupling"), CPU, torch.float64)
    with torch.no_grad():
        for tensor in trials.tensors.values():
            tensor[3] = tensor[2]
    before = {name: tensor.detach().clone() for name, tensor in trials.tensors.items()}
    engine_training(trials, 12)
    for name, tensor in trials.tensors.items():
        assert torch.equal(tensor[2:], before[name][2:]), name
        assert not torch.equal(tensor[:2], before[name][:2]), name


def test_a_skipped_step_does_not_coast_on_old_moments(tiny):
    trials = StackedTrials(tiny(method="decoupling"), CPU, torch.float64)
    index = epoch_order(trials, 0)[0]
    train_step(trials, index, trials.keep_KT[:, 0])
    with torch.no_grad():
        for tensor in trials.tensors.values():
            tensor[1] = tensor[0]
    before = {name: tensor.detach().clone() for name, tensor in trials.tensors.items()}
    moments = {name: trials.optimizer.state[tensor]["exp_avg"].clone() for name, tensor in trials.tensors.items()}
    assert any(moment.any() for moment in moments.values())
    _, weight_KNB = train_step(trials, index, trials.keep_KT[:, 0])
    assert not weight_KNB.any()
    for name, tensor in trials.tensors.items():
        assert torch.equal(tensor, before[name])
        assert torch.equal(trials.optimizer.state[tensor]["exp_avg"], moments[name])


@pytest.mark.parametrize(("params", "expected"), [({"warm_up": 1}, 0), ({"warm_up_epochs": 20_000}, 20_000)])
def test_the_engine_judges_no_stored_parameter(tiny, params, expected):
    """A job that was stored before a parameter went, or its range was tightened, trains as it was asked to."""
    population = tiny()
    stored = replace(population, train=replace(population.train, method="decoupling", params=params))
    assert StackedTrials(stored, CPU, torch.float64).method.params.warm_up_epochs == expected
