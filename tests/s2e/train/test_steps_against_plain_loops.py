"""Methods with a step of their own against plain loops in float64: separate modules, no stack, no shared code.

The draws of an epoch (mixing weights, partners, trusted batches) are inputs: the loops read the engine's.
"""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from s2e.data.datasets import load_split, noisy_labels
from s2e.methods.engine import MiniBatch
from s2e.methods.reweight import share
from s2e.train.epoch import epoch_order, run_epoch
from s2e.train.optimizer import learning_rate
from s2e.train.population import StackedTrials
from s2e.words import replace

pytestmark = pytest.mark.usefixtures("smooth_adam")

CPU = torch.device("cpu")


class PlainLoop:
    """Trial 0 with plain modules; a case overrides ``step``."""

    n_networks = 1

    def __init__(self, population):
        self.population, self.train = population, population.train
        self.engine = StackedTrials(population, CPU, torch.float64)
        self.data = load_split(population.data)
        self.images = self.data.train.images.double() / self.data.max_value
        self.labels = noisy_labels(population.data, population.trials[0].noise_seed)
        network, tensors = self.engine.network, self.engine.tensors
        self.modules = [network.to_module(network.state_dict(tensors, n)).train() for n in range(self.n_networks)]
        self.optimizers = [torch.optim.Adam(module.parameters()) for module in self.modules]
        self.start()

    def start(self):
        """State of the loop between steps."""

    def run(self):
        n_classes = self.data.n_classes
        for t in range(self.train.n_epochs):
            self.engine.set_epoch(t)
            self.engine.method.begin_epoch(self.engine, t)
            for m, index in enumerate(epoch_order(self.engine, t)):
                one_hot = F.one_hot(self.labels[index], n_classes).double()
                for loss, optimizer in zip(self.step(m, index, one_hot), self.optimizers, strict=True):
                    optimizer.param_groups[0]["lr"] = learning_rate(self.train, t)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                self.after_step()

    def after_step(self):
        """After every optimiser moved."""


class PlainElr(PlainLoop):
    def start(self):
        self.targets = {i: torch.zeros(4, dtype=torch.float64) for i in range(len(self.labels))}

    def loss(self, logits, label, target):
        p = logits.softmax(-1).clamp(1e-4, 1 - 1e-4)
        return -logits.log_softmax(-1)[label] + 3 * torch.log(1 - p @ target)

    def step(self, m, index, one_hot):
        total = 0.0
        for i, logits in zip(index.tolist(), self.modules[0](self.images[index]), strict=True):
            p = logits.detach().softmax(-1).clamp(1e-4, 1 - 1e-4)
            self.targets[i] = 0.7 * self.targets[i] + 0.3 * p / p.sum()
            total = total + self.loss(logits, self.labels[i], self.targets[i])
        return [total / len(index)]


class PlainElrKl(PlainElr):
    def loss(self, logits, label, target):
        log_p = logits.log_softmax(-1)
        return -log_p[label] - 1.0 * target @ log_p


class PlainMixup(PlainLoop):
    def mixture(self, m):
        state = self.engine.draws
        return state["mix_weight"][0, m].item(), state["mix_partner"][0, m]

    def step(self, m, index, one_hot):
        weight, partner = self.mixture(m)
        assert sorted(partner.tolist()) == list(range(len(index)))
        x = self.images[index]
        log_p = self.modules[0](weight * x + (1 - weight) * x[partner]).log_softmax(-1)
        mixed = weight * one_hot + (1 - weight) * one_hot[partner]
        return [-(mixed * log_p).sum(-1).mean()]


class PlainElrPlus(PlainMixup):
    n_networks = 2
    average_momentum, average_ramp, strength_ramp, refine = 0.9, 8, 6, True

    def start(self):
        self.averages = [copy.deepcopy(module).train() for module in self.modules]
        self.targets = [torch.zeros(len(self.labels), 4, dtype=torch.float64) for _ in self.modules]
        self.done = 0

    def ramp(self, step, length):
        return math.exp(-5 * (1 - min(step, length) / length) ** 2)

    def step(self, m, index, one_hot):
        weight, partner = self.mixture(m)
        assert weight >= 0.5
        x = self.images[index]
        losses = []
        for n, module in enumerate(self.modules):
            with torch.no_grad():
                taught = self.averages[1 - n](x).softmax(-1)
            self.targets[n][index] = 0.7 * self.targets[n][index] + 0.3 * taught / taught.sum(-1, keepdim=True)
            target = weight * self.targets[n][index] + (1 - weight) * self.targets[n][index][partner]
            label = weight * one_hot + (1 - weight) * one_hot[partner]
            if self.refine:
                label = label * target / (label * target).sum(-1, keepdim=True)
            logits = module(weight * x + (1 - weight) * x[partner])
            p = logits.softmax(-1).clamp(1e-4, 1 - 1e-4)
            strength = 3 * self.ramp(self.done, self.strength_ramp)
            regulariser = torch.log(1 - (p * target).sum(-1)).mean()
            losses.append(-(label * logits.log_softmax(-1)).sum(-1).mean() + strength * regulariser)
        return losses

    def after_step(self):
        self.done += 1
        gamma = self.average_momentum * self.ramp(self.done, self.average_ramp)
        for average, module in zip(self.averages, self.modules, strict=True):
            for mean, weight in zip(average.parameters(), module.parameters(), strict=True):
                mean.data = gamma * mean.data + (1 - gamma) * weight.data


class PlainConsistent(PlainLoop):
    """Self-teaching, and the squared error of dropped samples from the mean of their earlier predictions."""

    def start(self):
        self.earlier = {}

    def step(self, m, index, one_hot):
        keep = math.floor(self.population.trials[0].keep_rate[self.engine.t] * len(index) + 1e-9)
        p_BC = self.modules[0](self.images[index]).softmax(-1)
        losses = [-torch.log(p_BC[b, self.labels[i]]) for b, i in enumerate(index.tolist())]
        order = sorted(range(len(index)), key=lambda b: losses[b].item())
        total = sum(losses[b] for b in order[:keep])
        for b in order[keep:]:
            if earlier := self.earlier.get(index[b].item()):
                share = [0.4 * 0.6**age for age in range(len(earlier))]
                mean_C = sum(w * q for w, q in zip(share, reversed(earlier), strict=True)) / sum(share)
                total = total + 1.5 * (p_BC[b] - mean_C).square().sum()
        for b, i in enumerate(index.tolist()):
            self.earlier.setdefault(i, []).append(p_BC[b].detach())
        return [total / keep]


class PlainReweight(PlainLoop):
    """The second-order form: a virtual step whose graph is kept, and the trusted loss's derivative by e at e = 0."""

    step_size = 0.37

    def step(self, m, index, one_hot):
        logits = self.modules[0](self.images[index])
        weight = share(self.agreement(self.modules[0], m, index)[None, None])[0, 0]
        return [(weight * F.cross_entropy(logits, self.labels[index], reduction="none")).sum()]

    def agreement(self, module, m, index):
        parameters = dict(module.named_parameters())
        buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
        e = torch.zeros(len(index), dtype=torch.float64, requires_grad=True)
        losses = F.cross_entropy(
            functional_call(module, (parameters, buffers), (self.images[index],)), self.labels[index], reduction="none"
        )
        gradients = torch.autograd.grad((e * losses).sum(), list(parameters.values()), create_graph=True)
        virtual = {
            name: weight - self.step_size * g for (name, weight), g in zip(parameters.items(), gradients, strict=True)
        }
        trusted = self.engine.draws["clean_index"][0, m]
        x = self.data.clean.images[trusted].double() / self.data.max_value
        loss = F.cross_entropy(functional_call(module, (virtual, buffers), (x,)), self.data.clean.labels[trusted])
        return -torch.autograd.grad(loss, e)[0] / self.step_size


PLUS = {
    "mixup_alpha": 1.0,
    "average_momentum": 0.9,
    "average_ramp_steps": 8,
    "strength_ramp_steps": 6,
    "refine_labels": True,
}
CASES = {
    "elr": (PlainElr, {}),
    "elr_kl": (PlainElrKl, {}),
    "mixup": (PlainMixup, {}),
    "elr_plus": (PlainElrPlus, PLUS),
    "selfteaching": (PlainConsistent, {"dropped": "consistency", "dropped_weight": 1.5}),
    "reweight": (PlainReweight, {"clean_batch_size": 8}),
}


def population_of(tiny, method, params, **settings):
    population = tiny(method=method, params=params, **{"n_epochs": 2, **settings})
    return replace(population, data=replace(population.data, n_clean=12)) if method == "reweight" else population


@pytest.mark.parametrize("shared_order", [True, False])
@pytest.mark.parametrize("method", CASES)
def test_two_epochs_equal_the_plain_loop(tiny, method, shared_order):
    loop, params = CASES[method]
    population = population_of(tiny, method, params, ks=(0, 1), shared_order=shared_order)
    plain = loop(replace(population, trials=population.trials[:1]))
    plain.engine.shares_order = True  # a trial alone; its loop has no trial axis
    trials = StackedTrials(population, CPU, torch.float64)
    before = {name: tensor.detach().clone() for name, tensor in trials.tensors.items()}
    plain.run()
    for t in range(population.train.n_epochs):
        run_epoch(trials, t)
    for n, module in enumerate(plain.modules):
        state = module.state_dict()
        for name, tensor in trials.network.state_dict(trials.tensors, n).items():
            torch.testing.assert_close(tensor, state[name], rtol=0, atol=1e-12)
            assert (tensor - before[name][n]).abs().max() > 1e-4


@pytest.mark.parametrize("network", ["mlp", "model1", "model2"])
def test_forward_mode_agrees_with_the_second_order_step(tiny, network):
    settings = {"network": network, "batch_size": 8, "n_train": 32}
    population = population_of(tiny, "reweight", {"clean_batch_size": 8}, **settings)
    plain = PlainReweight(population)
    trials = plain.engine
    trials.set_epoch(1)
    trials.method.begin_epoch(trials, 1)
    buffers = {n: t.clone() for n, t in trials.tensors.items() if n in trials.network.buffer_names}
    index = torch.arange(8, 16)
    none_K = torch.zeros(1)
    batch = MiniBatch(index, trials.label_KS[:, index], none_K, none_K, trials.epoch, trials.step + 2)
    agreement = trials.method.agreement(trials, batch, trials.images(index))[0, 0]
    expected = plain.agreement(plain.modules[0], 2, index)
    assert (expected > 0).any()
    assert (expected < 0).any()
    torch.testing.assert_close(agreement, expected, rtol=1e-9, atol=1e-12 * expected.abs().max().item())
    for name, before in buffers.items():
        assert torch.equal(trials.tensors[name], before)


def test_no_agreement_gives_no_weight_and_no_nan():
    agreement = torch.tensor([[[-1.0, -2.0, 0.0]], [[1.0, -1.0, 3.0]]])
    assert share(agreement).tolist() == [[[0, 0, 0]], [[0.25, 0, 0.75]]]


@pytest.mark.parametrize(("steps", "expected"), [(1, 0.0), (4, 0.75), (1000, 0.99)])
def test_the_count_rule_averages_all_weights_until_gamma_caps_it(tiny, steps, expected):
    """Clothing1M: min(1 - 1/(s + 1), gamma) after step s = 0, 1, ..."""
    population = tiny(method="elr_plus", params={"average_rule": "count", "average_momentum": 0.99})
    trials = StackedTrials(population, CPU, torch.float64)
    trials.method.begin_epoch(trials, 0)
    trials.epoch.zero_()
    trials.step.fill_(steps - 1)
    with torch.no_grad():
        for tensor in trials.tensors.values():
            tensor.fill_(0.0)
    for name in trials.parameter_names:
        trials.method_state[f"average.{name}"].fill_(1.0)
    trials.method.after_step(trials)
    for name in trials.parameter_names:
        kept = trials.method_state[f"average.{name}"]
        torch.testing.assert_close(kept, torch.full_like(kept, expected), rtol=0, atol=1e-12)


def test_a_second_mixture_is_drawn_for_every_step_and_epoch(tiny):
    trials = StackedTrials(tiny(ks=(0, 1), method="mixup", shared_order=False), CPU, torch.float64)
    seen = []
    for t in range(2):
        trials.set_epoch(t)
        trials.method.begin_epoch(trials, t)
        seen.append(trials.draws["mix_weight"])
    assert len(torch.cat(seen).unique()) == 2 * 2 * 5
    assert trials.draws["mix_partner"].shape == (2, 5, 16)
