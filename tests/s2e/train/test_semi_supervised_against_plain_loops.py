"""Methods that learn labels, or divide the samples, against plain loops in float64: separate modules, one sample or one
batch at a time, no stack.

The draws of an epoch are inputs: the loops read the engine's. The two mixtures are compared with scikit-learn and scipy
in tests/s2e/methods/test_mixtures.py and used here as they are.
"""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from s2e.data.datasets import noisy_labels
from s2e.methods.mixtures import fit_two_betas, low_loss_posterior, unit_range
from s2e.train.epoch import epoch_order, run_epoch, train_step
from s2e.train.population import StackedTrials
from s2e.train.trial import train_population
from s2e.words import replace

pytestmark = pytest.mark.usefixtures("smooth_adam")

CPU = torch.device("cpu")
C = 4


class PlainLoop:
    """Trial 0 with plain modules; a method overrides ``start``, ``begin`` and ``step``."""

    n_networks = 1

    def __init__(self, population):
        self.population, self.train = population, population.train
        self.draws = StackedTrials(population, CPU, torch.float64)
        self.labels = noisy_labels(population.data, population.trials[0].noise_seed)
        self.initial = [
            self.draws.network.to_module(self.draws.network.state_dict(self.draws.tensors, n)).train()
            for n in range(self.n_networks)
        ]
        self.reset()
        for name, value in population.train.params.items():
            setattr(self, name, value)
        self.start()

    def reset(self):
        self.modules = copy.deepcopy(self.initial)
        self.optimizers = [torch.optim.Adam(module.parameters(), lr=1e-3) for module in self.modules]

    def start(self):
        """State of the loop between steps."""

    def begin(self, t):
        """Before an epoch."""

    def predictions(self, module):
        with torch.no_grad():
            return torch.cat([module(self.draws.images(torch.tensor([i]), view=None)) for i in range(len(self.labels))])

    def mixture(self, m):
        drawn = self.draws.draws
        return drawn["mix_weight"][0, m].item(), drawn["mix_partner"][0, m].tolist()

    def run(self):
        for t in range(self.train.n_epochs):
            self.draws.set_epoch(t)
            self.draws.method.begin_epoch(self.draws, t)
            self.begin(t)
            for m, index in enumerate(epoch_order(self.draws, t)):
                losses = self.step(t, m, index)
                for loss, optimizer in zip(losses, self.optimizers, strict=True):
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()


def one_hot(label):
    return F.one_hot(label, C).double()


def balance(logits_BC):
    return sum(0.25 * torch.log(0.25 / mean) for mean in logits_BC.softmax(-1).mean(0))


class PlainPencil(PlainLoop):
    """The label distributions get their gradient from autograd, as in the paper."""

    official_double_softmax = False

    def start(self):
        self.y = [10 * one_hot(label) for label in self.labels]

    def step(self, t, m, index):
        logits_BC = self.modules[0](self.draws.images(index))
        if t < self.label_start:
            return [F.cross_entropy(logits_BC, self.labels[index])]
        tilde = [self.y[i].clone().requires_grad_() for i in index.tolist()]
        total = 0.0
        for logits, y_tilde, i in zip(logits_BC, tilde, index.tolist(), strict=True):
            p, y = logits.softmax(-1), y_tilde.softmax(-1)
            total = total + (p * (p.log() - y.log())).sum() / C
            if t < self.label_end:
                kept = y.softmax(-1) if self.official_double_softmax else y
                total = total - self.compatibility * kept.log()[self.labels[i]] - self.entropy * (p * p.log()).sum() / C
        total = total / len(index)
        if t < self.label_end:
            slopes = torch.autograd.grad(total, tilde, retain_graph=True)
            for i, slope in zip(index.tolist(), slopes, strict=True):
                self.y[i] = self.y[i] - self.label_step * slope
        return [total]

    def learnt(self):
        return {"label_logits_KSC": torch.stack(self.y)}


class PlainJointOptim(PlainLoop):
    def start(self):
        self.soft = {i: one_hot(label) for i, label in enumerate(self.labels)}
        self.history = {i: [one_hot(label)] * self.window for i, label in enumerate(self.labels)}

    def begin(self, t):
        if self.label_start <= t <= self.retrain_start:
            self.soft = {i: torch.stack(outputs).mean(0) for i, outputs in self.history.items()}
        if t == self.retrain_start:
            self.reset()

    def step(self, t, m, index):
        logits_BC = self.modules[0](self.draws.images(index))
        p_BC = logits_BC.softmax(-1)
        target_BC = torch.stack([self.soft[i] for i in index.tolist()])
        loss = -(target_BC * p_BC.log()).sum(-1).mean()
        if t < self.retrain_start:
            for i, p in zip(index.tolist(), p_BC.detach(), strict=True):
                self.history[i] = [*self.history[i][1:], p]
            loss = loss + self.balance * balance(logits_BC) - self.entropy * (p_BC * p_BC.log()).sum(-1).mean()
        return [loss]

    def learnt(self):
        return {"soft_KSC": torch.stack(list(self.soft.values()))}


class PlainMDyrH(PlainLoop):
    def begin(self, t):
        if t >= self.guided_start:
            losses = F.cross_entropy(self.predictions(self.modules[0]), self.labels, reduction="none")
            self.fitted = fit_two_betas(losses[None])

    def batch(self, m, index):
        weight, partner = self.mixture(m)
        x = self.draws.images(index)
        with torch.no_grad():
            seen = self.modules[0](x)
        return weight, partner, x, seen, self.labels[index]

    def mixed(self, x, weights, partner):
        return torch.stack([w * x[i] + (1 - w) * x[j] for i, (w, j) in enumerate(zip(weights, partner, strict=True))])

    def noisy(self, seen, label):
        losses = F.cross_entropy(seen, label, reduction="none")
        return self.fitted.noisy_posterior(losses[None])[0].tolist()

    def step(self, t, m, index):
        weight, partner, x, seen, label = self.batch(m, index)
        logits = self.modules[0](self.mixed(x, [weight] * len(index), partner))
        log_p = logits.log_softmax(-1)
        if t < self.guided_start:
            terms = [-weight * p[label[i]] - (1 - weight) * p[label[partner[i]]] for i, p in enumerate(log_p)]
            return [sum(terms) / len(index)]
        noisy, predicted = self.noisy(seen, label), seen.argmax(-1)
        loss = 0.0
        for i, p in enumerate(log_p):
            for part, who in ((weight, i), (1 - weight, partner[i])):
                loss = loss - part * ((1 - noisy[who]) * p[label[who]] + noisy[who] * p[predicted[who]])
        return [loss / len(index) + self.balance * balance(logits)]

    def learnt(self):
        return {"noisy_KR": self.fitted.noisy_LR[0]}


class PlainMdDyrSh(PlainMDyrH):
    def step(self, t, m, index):
        if t < self.guided_start:
            return super().step(t, m, index)
        weight, partner, x, seen, label = self.batch(m, index)
        clean = [1 - noisy for noisy in self.noisy(seen, label)]
        own = [clean[i] / (clean[i] + clean[partner[i]]) for i in range(len(index))]
        logits = self.modules[0](self.mixed(x, own, partner))
        log_p = logits.log_softmax(-1)
        if t < self.bootstrap_start:
            terms = [-weight * p[label[i]] - (1 - weight) * p[label[partner[i]]] for i, p in enumerate(log_p)]
            return [sum(terms) / len(index)]
        steps = torch.linspace(1, 0.001, self.temperature_epochs, dtype=torch.float64)
        soft = (seen / steps[min(t - self.bootstrap_start, len(steps) - 1)]).softmax(-1)
        loss = 0.0
        for i, p in enumerate(log_p):
            for who in (i, partner[i]):
                loss = loss - 0.5 * (clean[who] * p[label[who]] + (1 - clean[who]) * (soft[who] * p).sum())
        return [loss / len(index) + self.balance * balance(logits)]


class PlainDivideMix(PlainLoop):
    n_networks = 2
    confidence_penalty, threshold, temperature, unlabelled = True, 0.5, 0.5, 25.0

    def start(self):
        self.past = [[], []]

    def begin(self, t):
        if t < self.warm_up_epochs:
            return
        for module, past in zip(self.modules, self.past, strict=True):
            losses = F.cross_entropy(self.predictions(module), self.labels, reduction="none")
            past.append(unit_range(losses[None]))
        mean = [torch.stack(past[-self.loss_window :]).mean(0) for past in self.past]
        first, second = (low_loss_posterior(losses)[0] for losses in mean)
        self.clean = [second, first]

    def sharpen(self, p):
        return p ** (1 / self.temperature) / (p ** (1 / self.temperature)).sum()

    def warm_up(self, module, index):
        log_p = module(self.draws.images(index)).log_softmax(-1)
        return F.nll_loss(log_p, self.labels[index]) + (log_p.exp() * log_p).sum(-1).mean()

    def step(self, t, m, index):
        if t < self.warm_up_epochs:
            return [self.warm_up(module, index) for module in self.modules]
        views = [self.draws.images(index, view) for view in (0, 1)]
        assert not torch.equal(*views)
        with torch.no_grad():
            p = [sum(module(x).softmax(-1) for x in views) / 2 for module in self.modules]
        ramp = min(1, (t - self.warm_up_epochs + m / 5) / self.ramp_epochs)
        return [self.divided(n, p, torch.cat(views), index, m, ramp) for n in range(2)]

    def divided(self, n, p, x, index, m, ramp):
        targets = []
        for b, i in enumerate(index.tolist()):
            w = self.clean[n][i].item()
            guess = w * one_hot(self.labels[i]) + (1 - w) * p[n][b] if w > self.threshold else (p[0][b] + p[1][b]) / 2
            targets.append(self.sharpen(guess))
        labelled = [self.clean[n][i].item() > self.threshold for i in index.tolist()] * 2
        weight, partner = self.mixture(m)
        assert weight >= 0.5
        assert sorted(partner) == list(range(2 * len(index)))
        target = torch.stack(targets * 2)
        target = weight * target + (1 - weight) * target[partner]
        logits = self.modules[n](weight * x + (1 - weight) * x[partner])
        q = logits.softmax(-1)
        given = [-(target[b] * q[b].log()).sum() for b in range(len(q)) if labelled[b]]
        guessed = [((q[b] - target[b]) ** 2).mean() for b in range(len(q)) if not labelled[b]]
        loss = balance(logits)
        loss = loss + (sum(given) / len(given) if given else 0)
        return loss + (self.unlabelled * ramp * sum(guessed) / len(guessed) if guessed else 0)

    def learnt(self):
        return {"clean_KSN": torch.stack(self.clean, dim=1)}


PENCIL = {"label_start": 1, "label_end": 3, "compatibility": 0.4, "entropy": 0.1, "label_step": 60.0}
JOINT = {"label_start": 1, "retrain_start": 3, "window": 2, "balance": 1.2, "entropy": 0.8}
CASES = {
    "pencil": (PlainPencil, PENCIL),
    "pencil, official": (PlainPencil, PENCIL | {"official_double_softmax": True}),
    "joint_optim": (PlainJointOptim, JOINT),
    "m_dyr_h": (PlainMDyrH, {"guided_start": 2, "balance": 1.0}),
    "md_dyr_sh": (
        PlainMdDyrSh,
        {"guided_start": 1, "bootstrap_start": 2, "temperature_epochs": 3, "balance": 1.0},
    ),
    "dividemix": (
        PlainDivideMix,
        {"warm_up_epochs": 2, "ramp_epochs": 2, "loss_window": 2, "confidence_penalty": True},
    ),
}


def population_of(tiny, case, **settings):
    method, params = case.split(",")[0], CASES[case][1]
    population = tiny(method=method, params=params, network="mlp", n_epochs=5, augment="crop_flip", **settings)
    return replace(population, train=replace(population.train, decay_start=1.0))


@pytest.mark.parametrize("case", CASES)
def test_five_epochs_equal_the_plain_loop(tiny, case):
    population = population_of(tiny, case)
    trials, plain = StackedTrials(population, CPU, torch.float64), CASES[case][0](population)
    for t in range(5):
        run_epoch(trials, t)
    plain.run()
    for n, module in enumerate(plain.modules):
        state = module.state_dict()
        for name, tensor in trials.network.state_dict(trials.tensors, n).items():
            torch.testing.assert_close(tensor, state[name], rtol=0, atol=1e-12)
    for name, expected in plain.learnt().items():
        torch.testing.assert_close(trials.method_state[name][0].double(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shared_order", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_a_population_equals_its_trials_alone(tiny, case, shared_order):
    *_, together = train_population(population_of(tiny, case, ks=(0, 1, 2), shared_order=shared_order))
    for k in (0, 2):
        *_, alone = train_population(population_of(tiny, case, ks=(k,), shared_order=shared_order))
        for name, tensor in alone.models[0].items():
            torch.testing.assert_close(together.models[k][name], tensor, rtol=0, atol=1e-12)


@pytest.mark.parametrize("clean", [0.0, 1.0])
def test_dividemix_trains_with_nothing_labelled_and_with_nothing_unlabelled(tiny, clean):
    params = {"warm_up_epochs": 1}
    trials = StackedTrials(tiny(method="dividemix", params=params, network="mlp"), CPU, torch.float64)
    run_epoch(trials, 0)
    trials.set_epoch(1)
    trials.method.begin_epoch(trials, 1)
    trials.method_state["clean_KSN"].fill_(clean)
    for index in epoch_order(trials, 1):
        loss_KN, weight_KNB = train_step(trials, index, trials.keep_KT[:, 1])
        assert loss_KN.isfinite().all()
        assert (weight_KNB == clean / 16).all()
    assert all(tensor.isfinite().all() for tensor in trials.tensors.values())
