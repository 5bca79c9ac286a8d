"""The data order, and what a trial's seeds decide."""

from __future__ import annotations

import pytest
import torch

from s2e.train.epoch import epoch_order
from s2e.train.population import StackedTrials
from s2e.train.runtime import flushed_denormals, prepare_process
from s2e.train.trial import PopulationEpoch, train_population
from s2e.words import replace

CPU = torch.device("cpu")


def test_an_epoch_visits_every_sample_of_its_full_batches_once(tiny):
    trials = StackedTrials(tiny(ks=(0, 1), shared_order=False, batch_size=24), CPU, torch.float64)
    order_MKB = epoch_order(trials, 0)
    assert order_MKB.shape == (3, 2, 24)  # 80 samples: three batches of 24, the incomplete one is dropped
    for k in range(2):
        assert len(order_MKB[:, k].unique()) == 72
    assert not torch.equal(order_MKB[:, 0], order_MKB[:, 1])
    assert not torch.equal(order_MKB, epoch_order(trials, 1))


def test_a_shared_order_is_each_trials_own(tiny):
    shared = StackedTrials(tiny(ks=(0, 1)), CPU, torch.float64)
    order_MB = epoch_order(shared, 3)
    assert order_MB.shape == (5, 16)
    assert torch.equal(order_MB, epoch_order(StackedTrials(tiny(ks=(1,)), CPU, torch.float64), 3))


@pytest.mark.parametrize("seed", ["init_seed", "order_seed", "noise_seed"])
def test_each_seed_decides_one_thing(tiny, seed):
    population = tiny()
    changed = replace(population, trials=(replace(population.trials[0], **{seed: 999}),))
    a, b = (StackedTrials(p, CPU, torch.float64) for p in (population, changed))
    differs = {
        "init_seed": not torch.equal(a.tensors["hidden.weight"], b.tensors["hidden.weight"]),
        "order_seed": not torch.equal(epoch_order(a, 0), epoch_order(b, 0)),
        "noise_seed": not torch.equal(a.label_KS, b.label_KS),
    }
    assert {name for name, differing in differs.items() if differing} == {seed}


@pytest.mark.parametrize("network", ["mlp", "tiny_norm"])
def test_with_the_products_own_epsilon_what_the_networks_compute_agrees(tiny, network):
    """Torch's Adam scales up rounding where a gradient is 0 (the fixture smooth_adam says why), so weights of a
    population and of its trials alone may differ there: a bias in front of batch norm, for one. But a loss does not
    depend on such a weight, or its gradient would not be 0."""
    population = tiny(ks=(0, 1, 2), network=network, shared_order=False)
    together = [epoch.epochs for epoch in train_population(population) if isinstance(epoch, PopulationEpoch)]
    for i in range(3):
        alone = train_population(replace(population, trials=(population.trials[i],)))
        losses = [epoch.epochs[0].loss for epoch in alone if isinstance(epoch, PopulationEpoch)]
        assert [rows[i].loss for rows in together] == pytest.approx(losses, rel=0, abs=1e-12)


def test_images_stay_bytes_and_are_laid_out_once(tiny):
    population = tiny(network="model1")
    a, b = (StackedTrials(population, CPU, torch.float32) for _ in range(2))
    assert a.data is b.data
    assert a.data.train.images.dtype == torch.uint8


def test_preparing_the_process_twice_changes_nothing(tiny):
    plan = tiny().plan
    assert prepare_process(plan) == prepare_process(plan) == (CPU, torch.float64)
    assert torch.get_num_threads() == plan.threads


def test_denormals_are_zero_inside_and_come_back():
    tiniest = torch.tensor([torch.finfo(torch.float32).tiny])  # the smallest normal number
    with flushed_denormals():
        assert (tiniest / 2).item() == 0.0
    assert (tiniest / 2).item() > 0.0
