"""What every method keeps on every network, so that a new one is trusted by passing this file."""

from __future__ import annotations

import pytest
import torch

from s2e.data.transition import symmetric
from s2e.methods.base import Batch, Method, Setup
from s2e.networks.base import StackedNetwork
from s2e.parts import METHODS, NETWORKS
from s2e.train.runtime import has_fast_bfloat16
from s2e.train.trial import train_population
from s2e.words import replace

K, B, C, S = 3, 8, 4, 40
SHAPE = (3, 16, 16)
TRIED = ("mlp", "model1", "model2")
"""Dense, convolutional, and with batch norm; that each other network stacks is tests/s2e/networks' business."""
CASES = [(method, network) for method in METHODS for network in TRIED]


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest) -> tuple[Method, StackedNetwork]:
    method, network = request.param
    return METHODS[method]().make(), NETWORKS[network]().make(SHAPE, C)


def batch(network, n_trials=K):
    generator = torch.Generator().manual_seed(2)
    x = network.arrange(torch.rand(B, *SHAPE, generator=generator))
    label_KB = torch.randint(0, C, (n_trials, B), generator=generator)
    return x, label_KB, torch.arange(B)


def logits(method, network, tensors, x):
    return network.forward(tensors, x, train=True).unflatten(0, (-1, method.n_networks))


def seen(method, logits_KNBC, keep_K):
    state = state_of(method, len(keep_K))
    return Batch(logits_KNBC.detach(), keep_K, keep_K.double() / B, torch.tensor(10_000), torch.arange(B), state)


def random_logits(method):
    return torch.rand(K, method.n_networks, B, C, generator=torch.Generator().manual_seed(1))


def state_of(method, n_trials=K):
    label_S = torch.arange(S) % C
    setup = Setup(
        n_trials=n_trials,
        n_samples=S,
        n_classes=C,
        device=torch.device("cpu"),
        dtype=torch.float32,
        label_KS=label_S.expand(n_trials, S),
        true_label_S=label_S,
        transition_KCC=torch.from_numpy(symmetric(C, 0.4)).float().expand(n_trials, C, C),
        init_seeds=tuple(range(n_trials)),
    )
    return method.init_state(setup)


def test_losses_and_weights_have_one_number_for_each_sample(case):
    method, network = case
    x, label_KB, index = batch(network)
    logits_KNBC = logits(method, network, network.init(range(K), method.n_networks), x)
    loss_KNB = method.losses(logits_KNBC, label_KB, index, state_of(method))
    weight_KNB = method.weights(loss_KNB.detach(), seen(method, logits_KNBC, torch.tensor([1, 4, B])))
    assert loss_KNB.dtype == weight_KNB.dtype == torch.float32
    assert loss_KNB.shape == weight_KNB.shape == (K, method.n_networks, B)
    assert loss_KNB.isfinite().all()
    assert weight_KNB.isfinite().all()
    assert not weight_KNB.requires_grad


def test_at_least_one_sample_is_selected_even_when_one_is_kept(case):
    method, _ = case
    loss_KNB = torch.rand(K, method.n_networks, B, generator=torch.Generator().manual_seed(0))
    weight_KNB = method.weights(loss_KNB, seen(method, random_logits(method), torch.ones(K, dtype=torch.int64)))
    assert ((weight_KNB > 0).sum(-1) >= 1).all()


def test_an_empty_selection_is_finite_and_only_where_it_may_be(case):
    """Networks that agree on every sample leave nothing to a method that learns from disagreement."""
    method, _ = case
    loss_KNB = torch.rand(K, method.n_networks, B, generator=torch.Generator().manual_seed(0))
    agree_KNBC = random_logits(method)[:, :1].expand(-1, method.n_networks, -1, -1)
    weight_KNB = method.weights(loss_KNB, seen(method, agree_KNBC, torch.tensor([1, 4, B])))
    assert weight_KNB.isfinite().all()
    assert method.may_skip or (weight_KNB != 0).any(-1).all()


def test_the_declaration_says_which_methods_train_under_a_schedule(case):
    """Another number of samples to keep changes the weights of these methods, and of no other."""
    method, _ = case
    loss_KNB = torch.rand(K, method.n_networks, B, generator=torch.Generator().manual_seed(0))
    few, most = (
        method.weights(loss_KNB, seen(method, random_logits(method), torch.full((K,), keep))) for keep in (2, B)
    )
    assert torch.equal(few, most) != method.params.scheduled


@pytest.mark.parametrize("name", sorted(name for name, part in METHODS.items() if part.scheduled))
def test_the_keep_rate_is_honoured_to_the_sample(name):
    """Networks that agree leave Co-teaching+ the whole batch, so that R counts in it for every method."""
    method, keep_K = METHODS[name]().make(), torch.tensor([1, 5, B])
    loss_KNB = torch.rand(K, method.n_networks, B, generator=torch.Generator().manual_seed(0))
    agree_KNBC = random_logits(method)[:, :1].expand(-1, method.n_networks, -1, -1)
    weight_KNB = method.weights(loss_KNB, seen(method, agree_KNBC, keep_K))
    assert torch.equal((weight_KNB > 0).sum(-1), keep_K[:, None].expand(-1, method.n_networks))


def test_a_trial_does_not_see_the_others(case):
    method, network = case
    x, label_KB, index = batch(network)
    seeds, keep_K = [5, 6, 7], torch.tensor([2, 4, 8])
    logits_KNBC = logits(method, network, network.init(seeds, method.n_networks), x)
    together = method.losses(logits_KNBC, label_KB, index, state_of(method))
    alone = method.losses(
        logits(method, network, network.init(seeds[1:2], method.n_networks), x),
        label_KB[1:2],
        index,
        state_of(method, 1),
    )
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)
    weights = method.weights(together.detach(), seen(method, logits_KNBC, keep_K))
    weights_alone = method.weights(together.detach()[1:2], seen(method, logits_KNBC[1:2], keep_K[1:2]))
    torch.testing.assert_close(weights[1:2], weights_alone)


def test_state_can_lose_a_trial(case):
    method, _ = case
    assert all(tensor.shape[0] == K for tensor in state_of(method).values())


def test_ten_steps_lower_the_loss_on_one_batch(case):
    method, network = case
    x, label_KB, index = batch(network)
    tensors = network.init(range(K), method.n_networks)
    parameters = [tensors[name].requires_grad_() for name in tensors if name not in network.buffer_names]
    optimizer, state, keep_K = torch.optim.Adam(parameters, lr=3e-3), state_of(method), torch.full((K,), B)
    means = []
    for _ in range(10):
        logits_KNBC = logits(method, network, tensors, x)
        loss_KNB = method.losses(logits_KNBC, label_KB, index, state)
        # measured with a fresh state: a regulariser that grows with the visits to a sample would hide the descent
        means.append(method.losses(logits_KNBC.detach(), label_KB, index, state_of(method)).mean().item())
        optimizer.zero_grad()
        weight_KNB = method.weights(loss_KNB.detach(), seen(method, logits_KNBC, keep_K))
        if (weight_KNB == 0).any():
            pytest.skip("promises nothing for samples it leaves out; compared with a plain loop in tests/s2e/train")
        (weight_KNB * loss_KNB).sum().backward()
        optimizer.step()
    chance_KNBC = torch.zeros(K, method.n_networks, B, C)
    chance = method.losses(chance_KNBC, label_KB, index, state_of(method)).mean().item()
    assert means[0] == pytest.approx(chance, rel=0.3)
    assert means[-1] < means[0] - 0.02


def trained(tiny, method, network, ks=(0, 1), **settings):
    """The end of two short epochs in the engine, the second with a keep rate of 0: one sample of eight counts."""
    settings |= {"method": method, "network": network, "n_epochs": 2, "batch_size": 8, "n_train": 24}
    population = tiny(ks=ks, late_stage=True, **settings)
    trials = tuple(replace(trial, keep_rate=(1.0, 0.0)) for trial in population.trials)
    data = replace(population.data, n_clean=8 if "clean" in METHODS[method].needs else 0)
    *epochs, end = train_population(replace(population, trials=trials, data=data))
    assert len(epochs) == 2
    assert not any(result.failed for result in end.results)
    return epochs, end


@pytest.mark.parametrize("shared_order", [True, False])
@pytest.mark.parametrize("network", ["mlp", "model1"])
@pytest.mark.parametrize("method", METHODS)
def test_a_population_trains_as_its_trials_alone(tiny, method, network, shared_order):
    together = trained(tiny, method, network, shared_order=shared_order)
    alone = trained(tiny, method, network, ks=(1,), shared_order=shared_order)
    for name, tensor in alone[1].models[0].items():
        torch.testing.assert_close(together[1].models[1][name], tensor, rtol=0, atol=1e-11)
    assert all(tensor.isfinite().all() for model in together[1].models for tensor in model.values())


@pytest.mark.skipif(not has_fast_bfloat16(), reason="this processor has no bfloat16 arithmetic")
@pytest.mark.parametrize("network", ["mlp", "model1"])
@pytest.mark.parametrize("method", METHODS)
def test_bfloat16_trains_near_float32(tiny, method, network):
    near, exact = (trained(tiny, method, network, ks=(0,), dtype=dtype) for dtype in ("bfloat16", "float32"))
    losses = [epochs[0].epochs[0].loss for epochs, _ in (near, exact)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05, abs=0.02)
