"""Services of the engine to a method with a step of its own."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from s2e.data.datasets import load_split
from s2e.data.transition import symmetric
from s2e.door import parse_job
from s2e.methods.base import Method, pick, put
from s2e.methods.plain import Standard
from s2e.parts import METHODS, MethodPart, method
from s2e.train.epoch import run_epoch
from s2e.train.population import StackedTrials
from s2e.train.trial import train_population
from s2e.words import SpecError, replace

pytestmark = pytest.mark.usefixtures("smooth_adam")

CPU = torch.device("cpu")


class Hooked(Standard):
    """Uses every hook: noisy inputs from the epoch's draws, label mixing from the whole training set, an average."""

    def init_state(self, setup):
        return {
            "noise": torch.zeros(setup.n_trials, 5, 16, device=setup.device),
            "prediction": torch.zeros(setup.n_trials, setup.n_samples, dtype=torch.int64),
            "average": torch.zeros(setup.n_trials, 1, setup.n_classes, dtype=setup.dtype),
        }

    def begin_epoch(self, engine, t):
        state = engine.method_state
        state["noise"] = engine.draw("hooked", lambda rng: rng.standard_normal((engine.n_steps, engine.batch_size)))
        if t == 2:
            engine.reset_networks()
        state["prediction"] = engine.train_logits().argmax(-1)[:, 0]

    def step(self, engine, batch):
        noise_KB = engine.method_state["noise"].index_select(1, batch.step[None])[:, 0]
        x = engine.images(batch.index)
        x = x.expand(engine.n_trials, *x.shape[-2:]) + 0.1 * noise_KB[:, :, None].to(x)
        logits_KNBC = engine.forward(x)
        label_KB = pick(engine.method_state["prediction"], batch.index)
        loss_KN, weight_KNB = self.weighted(engine, batch, logits_KNBC)
        own_KN = self.losses(logits_KNBC, label_KB, batch.index, {}).mean(-1)
        return loss_KN + 0.1 * own_KN, weight_KNB

    @torch.no_grad()
    def after_step(self, engine):
        bias_KNC = engine.tensors["output.bias"].view(engine.n_trials, 1, -1)
        engine.method_state["average"].mul_(0.9).add_(bias_KNC, alpha=0.1)


@pytest.fixture
def hooked(monkeypatch):
    @method("hooked", rule="hooked:Hooked")
    class HookedPart(MethodPart):
        """Of these tests."""

    monkeypatch.setitem(sys.modules, "hooked", SimpleNamespace(Hooked=Hooked))
    yield
    METHODS.discard("hooked")


@pytest.mark.parametrize("shared_order", [True, False])
def test_a_method_of_hooks_trains_stacked_as_alone(tiny, hooked, shared_order):
    settings = {"method": "hooked", "shared_order": shared_order}
    *_, together = train_population(tiny(ks=(0, 1, 2), **settings))
    for k in range(3):
        *_, alone = train_population(tiny(ks=(k,), **settings))
        for name, tensor in alone.models[0].items():
            torch.testing.assert_close(together.models[k][name], tensor, rtol=0, atol=1e-12)


def test_state_and_draws_follow_the_trials_that_stay(tiny, hooked):
    trials, alone = (StackedTrials(tiny(ks=ks, method="hooked"), CPU, torch.float64) for ks in ((0, 1, 2), (2,)))
    for t in range(3):
        run_epoch(trials, t)
        run_epoch(alone, t)
        if t == 0:
            trials.keep([0, 2])
    for name, tensor in alone.method_state.items():
        torch.testing.assert_close(trials.method_state[name][1:], tensor, rtol=0, atol=1e-12)


def test_reset_networks_brings_the_initial_weights_and_a_fresh_optimiser(tiny):
    trials = StackedTrials(tiny(ks=(0, 1)), CPU, torch.float64)
    before = {name: tensor.detach().clone() for name, tensor in trials.tensors.items()}
    run_epoch(trials, 0)
    trials.reset_networks()
    assert not trials.optimizer.state
    for name, tensor in trials.tensors.items():
        assert torch.equal(tensor, before[name])
        assert tensor.requires_grad


@pytest.mark.parametrize("augment", ["none", "crop_flip"])
def test_train_logits_are_those_of_the_plain_modules(tiny, augment):
    population = tiny(ks=(0, 1), network="model1", augment=augment)
    trials = StackedTrials(population, CPU, torch.float64)
    data = load_split(population.data)
    logits_KNSC = trials.train_logits()
    assert not logits_KNSC.requires_grad
    for k in range(2):
        for n in range(2):
            module = trials.network.to_module(trials.network.state_dict(trials.tensors, 2 * k + n))
            with torch.no_grad():
                expected = module(data.train.images.double() / data.max_value)
            torch.testing.assert_close(logits_KNSC[k, n], expected, rtol=0, atol=1e-12)


def test_a_draw_depends_on_purpose_epoch_and_data_order_only(tiny):
    def drawn(ks, t, purpose, shared_order):
        trials = StackedTrials(tiny(ks=ks, shared_order=shared_order), CPU, torch.float64)
        trials.set_epoch(t)
        return trials.draw(purpose, lambda rng: rng.random(4))

    assert drawn((0, 1), 0, "a", True).shape == (2, 4)
    assert torch.equal(drawn((0, 1), 3, "a", False)[1:], drawn((1,), 3, "a", False))
    assert torch.equal(*drawn((0, 1), 3, "a", True))
    values = [drawn((0, 1), t, purpose, False) for t in (0, 1) for purpose in ("a", "b")]
    assert len(torch.cat(values).unique()) == 2 * 16


def test_the_setup_tells_a_method_what_the_noise_is(tiny, monkeypatch):
    seen = []
    monkeypatch.setattr(Method, "init_state", lambda self, setup: seen.append(setup) or {})
    population = tiny(ks=(0, 1))
    trials = StackedTrials(population, CPU, torch.float64)
    (setup,) = seen
    assert (setup.n_trials, setup.n_samples, setup.n_classes) == (2, 80, 4)
    np.testing.assert_array_equal(setup.transition_KCC[1], symmetric(4, 0.4))
    assert torch.equal(setup.label_KS, trials.label_KS)
    assert torch.equal(setup.true_label_S, load_split(population.data).train.labels)
    assert setup.init_seeds == (10, 11)


def test_trusted_samples_are_clean_and_apart_from_all_others(tiny):
    population = tiny()
    data = replace(population.data, n_clean=8)
    trials = StackedTrials(replace(population, data=data), CPU, torch.float64)
    split = load_split(data)
    assert trials.label_KS.shape == (1, 72)
    assert trials.clean_labels.bincount().tolist() == [2, 2, 2, 2]
    index = torch.tensor([3, 1])
    assert torch.equal(trials.clean_images(index), split.clean.images[index].flatten(1).double() / 255)
    parts = (split.train, split.validation, split.clean)
    rows = torch.cat([part.images.flatten(1) for part in parts])
    assert len(rows.unique(dim=0)) == len(rows) == 112


def test_a_method_that_learns_from_trusted_samples_is_refused_without(tiny):
    refusal = r"data\.n_clean = 0: >= 1 for method reweight"
    with pytest.raises(SpecError, match=refusal):
        parse_job({"train": {"method": "reweight"}})
    with pytest.raises(SpecError, match=refusal):
        next(train_population(tiny(method="reweight")))


@pytest.mark.parametrize("index", [torch.tensor([2, 0]), torch.tensor([[2, 0], [1, 3]])])
@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 3)])
def test_store_writes_what_pick_reads(index, shape):
    value = torch.arange(torch.tensor(shape).prod().item(), dtype=torch.float64).view(shape)
    own = index.expand(2, 2)
    picked = pick(value, index)
    for k in range(2):
        assert torch.equal(picked[k], value[k, own[k]])
    before = value.clone()
    put(value, index, -picked)
    assert torch.equal(pick(value, index), -picked)
    assert (value != before).sum() == (picked != 0).sum()
