"""The entrance: what a population yields, that trials do not touch each other, and how one fails."""

from __future__ import annotations

import dataclasses
from statistics import fmean

import pytest
import torch

import s2e.train.trial as trial_module
from s2e.data.datasets import load_split, noisy_labels
from s2e.networks.mlp import StackedMLP
from s2e.train.runtime import has_fast_bfloat16
from s2e.train.trial import PopulationEnd, PopulationEpoch, train_population
from s2e.words import DataError, Fidelity, PlanSpec, SpecError, replace

pytestmark = pytest.mark.usefixtures("smooth_adam")

TOLERANCE = 1e-12
SHORT = {"n_epochs": 2, "batch_size": 8, "n_train": 16}
"""For Model 2, whose convolutions are slow in float64; ``tiny_norm`` has batch norm too."""


def run(population):
    *epochs, end = train_population(population)
    assert all(isinstance(epoch, PopulationEpoch) for epoch in epochs)
    assert isinstance(end, PopulationEnd)
    return epochs, end


def alone(population, i):
    return replace(population, trials=(population.trials[i],))


def assert_same_rows(a, b, tolerance):
    for field in dataclasses.fields(a):
        mine, other = getattr(a, field.name), getattr(b, field.name)
        if field.name == "networks":
            mine, other = sum(mine, ()), sum(other, ())
        assert mine == pytest.approx(other, abs=tolerance), field.name


@pytest.mark.parametrize(
    ("network", "settings", "shared_order"),
    [(network, {}, shared) for network in ("mlp", "model1", "tiny_norm") for shared in (True, False)]
    + [("model2", SHORT, True)],
)
def test_three_trials_equal_three_runs_alone(tiny, network, settings, shared_order):
    population = tiny(ks=(0, 1, 2), network=network, shared_order=shared_order, **settings)
    epochs, end = run(population)
    for i in range(3):
        epochs_alone, end_alone = run(alone(population, i))
        for together, apart in zip(epochs, epochs_alone, strict=True):
            assert_same_rows(together.epochs[i], apart.epochs[0], TOLERANCE)
        assert end.models[i].keys() == end_alone.models[0].keys()
        for name, tensor in end_alone.models[0].items():
            torch.testing.assert_close(end.models[i][name], tensor, rtol=0, atol=TOLERANCE)
    assert (end.models[0]["network0.output.weight"] - end.models[1]["network0.output.weight"]).abs().max() > 1e-3


def test_standard_trains_one_network_on_everything(tiny):
    epochs, end = run(tiny(ks=(0, 1), method="standard"))
    assert {name.split(".")[0] for name in end.models[0]} == {"network0"}
    assert {row.kept for epoch in epochs for row in epoch.epochs} == {1.0}


def test_rows_follow_the_schedule_and_results_are_tail_means(tiny):
    population = tiny(ks=(4, 7))
    epochs, end = run(population)
    assert [[row.epoch for row in epoch.epochs] for epoch in epochs] == [[t, t] for t in range(4)]
    for i, k in enumerate((4, 7)):
        rows = [epoch.epochs[i] for epoch in epochs]
        assert {row.k for row in rows} == {k}
        assert tuple(row.keep_rate for row in rows) == population.trials[i].keep_rate
        assert [row.kept for row in rows] == [max(1, int(row.keep_rate * 16 + 1e-9)) / 16 for row in rows]
        result, tail = end.results[i], rows[-population.tail_epochs :]
        assert result.objective == 1 - fmean(row.validation_accuracy for row in tail)
        assert result.test_accuracy == fmean(row.test_accuracy for row in tail)
        assert result.label_precision == fmean(row.label_precision for row in tail)
        assert not result.failed


def test_accuracies_are_the_mean_over_the_two_exported_networks(tiny):
    population = tiny()
    epochs, end = run(population)
    data = load_split(population.data)
    network = StackedMLP((3, 8, 8), 4)
    for part, measured in (
        (data.validation, epochs[-1].epochs[0].validation_accuracy),
        (data.test, epochs[-1].epochs[0].test_accuracy),
    ):
        accuracies = []
        for n in range(2):
            module = network.make_module().double()
            prefix = f"network{n}."
            module.load_state_dict(
                {name.removeprefix(prefix): t for name, t in end.models[0].items() if name.startswith(prefix)}
            )
            predicted = module(part.images.double() / data.max_value).argmax(1)
            accuracies.append((predicted == part.labels).double().mean().item())
        assert measured == pytest.approx(fmean(accuracies), abs=1e-12)


def test_keeping_everything_has_the_precision_of_the_labels(tiny):
    """At R = 1 the selected samples are all samples of the 5 full batches, which here are all 80."""
    population = tiny(keep=1.0)
    epochs, _ = run(population)
    data = load_split(population.data)
    clean = (noisy_labels(population.data, population.trials[0].noise_seed) == data.train.labels).double().mean().item()
    assert 0.4 < clean < 0.8
    for epoch in epochs:
        assert epoch.epochs[0].label_precision == pytest.approx(clean, abs=1e-12)
        assert epoch.epochs[0].label_recall == 1.0


def test_at_least_one_sample_is_kept(tiny):
    population = tiny(keep=0.0)
    starved = replace(population, trials=(replace(population.trials[0], keep_rate=(1.0, 0.0, 0.0, 0.0)),))
    epochs, end = run(starved)
    assert [epoch.epochs[0].kept for epoch in epochs] == [1, 1 / 16, 1 / 16, 1 / 16]
    assert not end.results[0].failed


@pytest.mark.parametrize("network", ["mlp", "model1"])
def test_the_same_population_twice_is_bit_equal(tiny, network):
    population = tiny(ks=(0, 1), network=network, dtype="float32")
    first, second = run(population), run(population)
    assert first[0] == second[0]
    assert first[1].results == second[1].results
    for a, b in zip(first[1].models, second[1].models, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


def break_trial(monkeypatch, k, at_epoch, value):
    """Give the weights of stacked trial k a value its float arithmetic overflows on, before an epoch."""
    original = trial_module.run_epoch

    def run_epoch(trials, t, **measured):
        if t == at_epoch:
            n = trials.method.n_networks
            with torch.no_grad():
                trials.tensors["output.weight"][k * n : (k + 1) * n] = value
        return original(trials, t, **measured)

    monkeypatch.setattr(trial_module, "run_epoch", run_epoch)


@pytest.mark.parametrize(("network", "shared_order"), [("mlp", True), ("mlp", False), ("tiny_norm", True)])
def test_a_trial_that_overflows_leaves_and_the_others_do_not_notice(tiny, monkeypatch, network, shared_order):
    population = tiny(ks=(0, 1, 2), network=network, shared_order=shared_order)
    expected_epochs, expected = run(population)
    break_trial(monkeypatch, k=1, at_epoch=1, value=1e308)  # the logits' sum passes 1.8e308, the loss becomes inf - inf
    epochs, end = run(population)

    assert end.results[1].failed
    assert end.results[1].reason == "loss became NaN at epoch 1"
    assert end.results[1].objective is None
    assert end.models[1] is None
    assert [[row.k for row in epoch.epochs] for epoch in epochs] == [[0, 1, 2]] + [[0, 2]] * (
        population.train.n_epochs - 1
    )
    for i in (0, 2):
        for epoch, undisturbed in zip(epochs, expected_epochs, strict=True):
            row = next(row for row in epoch.epochs if row.k == i)
            assert_same_rows(row, undisturbed.epochs[i], TOLERANCE)
        for name, tensor in expected.models[i].items():
            torch.testing.assert_close(end.models[i][name], tensor, rtol=0, atol=TOLERANCE)


def test_a_population_whose_trials_all_fail_ends_early(tiny, monkeypatch):
    break_trial(monkeypatch, k=0, at_epoch=1, value=float("nan"))
    epochs, end = run(tiny())
    assert len(epochs) == 1
    assert end.results[0].failed
    assert end.models == (None,)


@pytest.mark.skipif(not has_fast_bfloat16(), reason="this processor has no bfloat16 arithmetic")
@pytest.mark.parametrize("network", ["mlp", "model1", "model2"])
def test_bfloat16_stays_near_float32(tiny, network):
    near = run(tiny(network=network, dtype="bfloat16", n_epochs=2))
    exact = run(tiny(network=network, dtype="float32", n_epochs=2))
    for row, expected in zip(near[0], exact[0], strict=True):
        assert row.epochs[0].loss == pytest.approx(expected.epochs[0].loss, rel=0.06)
        assert row.epochs[0].loss != expected.epochs[0].loss
    assert {tensor.dtype for tensor in near[1].models[0].values()} == {torch.float32}


def test_bfloat16_is_refused_where_the_processor_lacks_it(tiny, monkeypatch):
    monkeypatch.setattr("s2e.train.runtime.has_fast_bfloat16", lambda: False)
    with pytest.raises(SpecError, match=r"plan\.dtype") as refused:
        run(tiny(dtype="bfloat16"))
    assert refused.value.problems[0].value == "bfloat16"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_is_refused_where_there_is_none(tiny):
    with pytest.raises(SpecError, match=r"plan\.device"):
        run(replace(tiny(), plan=PlanSpec(device="cuda")))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("network", ["mlp", "model1", "model2"])
def test_cuda_follows_the_cpu(tiny, network):
    population = tiny(ks=(0, 1), network=network)
    on_gpu = run(replace(population, plan=PlanSpec(device="cuda", dtype="float64")))[1]
    for model, expected in zip(on_gpu.models, run(population)[1].models, strict=True):
        for name, tensor in expected.items():
            torch.testing.assert_close(model[name], tensor, rtol=0, atol=1e-9)


def test_too_few_samples_for_a_batch_are_refused(tiny):
    with pytest.raises(DataError, match="80 training samples are fewer than one batch of 81"):
        run(tiny(batch_size=81))


@pytest.mark.parametrize("keep_rate", [(1.0,), (1.0, 0.5, float("nan"), 0.5), (1.0, 0.5, 1.5, 0.5)])
def test_a_schedule_that_is_none_is_refused(tiny, keep_rate):
    population = tiny()
    with pytest.raises(SpecError, match="keep_rate"):
        run(replace(population, trials=(replace(population.trials[0], keep_rate=keep_rate),)))


def test_denormals_are_flushed_only_inside_a_step(tiny):
    """The searcher may run in the same process, and must compute what it computes in the dispatcher."""
    tiniest = torch.tensor(2e-308, dtype=torch.float64)
    for _ in train_population(tiny()):
        assert float(tiniest / 4) > 0
    assert float(tiniest / 4) > 0


def with_fidelity(population, *parts):
    trials = [replace(trial, fidelity=part) for trial, part in zip(population.trials, parts, strict=True)]
    return replace(population, trials=tuple(trials))


def test_a_prefix_is_the_beginning_of_the_full_run(tiny):
    """Three epochs reach into the decay of the step size, from epoch 2 of 4; a run of three would begin it at 1."""
    population = tiny(ks=(0, 1))
    full, _ = run(population)
    prefix, end = run(with_fidelity(population, Fidelity(3), Fidelity(3)))
    assert prefix == full[:3]
    tail = [epoch.epochs[1].validation_accuracy for epoch in prefix][-population.tail_epochs :]
    assert end.results[1].objective == pytest.approx(1 - fmean(tail))


@pytest.mark.parametrize(
    ("part", "field"), [(Fidelity(2), "n_epochs_run"), (Fidelity(3, data_share=0.5), "data_share")]
)
def test_a_fidelity_that_cannot_be_trained_is_refused(tiny, part, field):
    with pytest.raises(SpecError, match=field):
        next(iter(train_population(with_fidelity(tiny(ks=(0, 1)), Fidelity(3), part))))
