"""Methods that look at the whole training set between epochs: estimated transition matrices, pruned samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s2e.data.estimate import confident_transition, patrini_transition
from s2e.train.epoch import run_epoch
from s2e.train.population import StackedTrials
from s2e.train.trial import train_population
from s2e.words import replace

pytestmark = pytest.mark.usefixtures("smooth_adam")

CPU = torch.device("cpu")


def stacked(population):
    return StackedTrials(population, CPU, torch.float64)


def probabilities(trials):
    return trials.train_logits()[0, 0].softmax(-1).numpy()


def weights_of(trials):
    return {name: tensor.detach().clone() for name, tensor in trials.tensors.items()}


def test_an_estimated_matrix_is_that_of_standard_training(tiny):
    """Two epochs of cross entropy, Patrini's rule on its predictions, then the same initial weights again."""
    params = {"transition": "estimated", "estimation_epochs": 2, "estimation_percentile": 90}
    trials, standard = stacked(tiny(method="forward", params=params)), stacked(tiny(method="standard"))
    initial = weights_of(trials)
    for t in range(2):
        run_epoch(trials, t)
        run_epoch(standard, t)
    for name, tensor in standard.tensors.items():
        torch.testing.assert_close(trials.tensors[name], tensor, rtol=0, atol=1e-12)
    trials.method.begin_epoch(trials, 2)
    T_CC = trials.method_state["T_KCC"][0].numpy()
    np.testing.assert_allclose(T_CC, patrini_transition(probabilities(standard), 90), atol=1e-12)
    assert all(torch.equal(tensor, initial[name]) for name, tensor in trials.tensors.items())
    assert not trials.optimizer.state


def test_a_confident_matrix_is_read_from_held_out_predictions(tiny):
    """Each half is predicted by the network that trained on the other one."""
    params = {"transition": "confident", "estimation_epochs": 1}
    trials = stacked(tiny(method="forward", params=params))
    half_S = trials.method_state["half_KS"][0].numpy()
    labels = trials.label_KS[0].clone()
    assert half_S.sum() == len(half_S) // 2
    held_out_SC = np.zeros((len(half_S), 4))
    for training in (0, 1):
        run_epoch(trials, training)
        held_out_SC[half_S != training] = probabilities(trials)[half_S != training]
        if training == 0:  # what the half that waits is labelled must not matter
            again = stacked(tiny(method="forward", params=params))
            again.label_KS[:, half_S == 1] = 0
            run_epoch(again, 0)
            for name, tensor in again.tensors.items():
                assert torch.equal(tensor, trials.tensors[name])
    trials.method.begin_epoch(trials, 2)
    T_CC = trials.method_state["T_KCC"][0].numpy()
    np.testing.assert_allclose(T_CC, confident_transition(held_out_SC, labels.numpy()), atol=1e-12)


@pytest.mark.parametrize("transition", ["estimated", "confident"])
def test_every_trial_estimates_its_own_matrix(tiny, transition):
    settings = {"method": "sigua_bc", "params": {"transition": transition, "estimation_epochs": 1, "gamma": 0.3}}
    settings["n_epochs"] = 4
    *_, together = train_population(tiny(ks=(0, 1), shared_order=False, **settings))
    for k in range(2):
        *_, alone = train_population(tiny(ks=(k,), shared_order=False, **settings))
        for name, tensor in alone.models[0].items():
            torch.testing.assert_close(together.models[k][name], tensor, rtol=0, atol=1e-12)


def test_truncated_gce_leaves_out_what_was_unlikely_when_it_last_looked(tiny):
    params = {"first_pruning_epoch": 1, "pruning_interval": 2, "threshold": 0.25}
    trials, plain = stacked(tiny(method="gce_truncated", params=params)), stacked(tiny(method="gce"))
    run_epoch(trials, 0)
    run_epoch(plain, 0)
    for name, tensor in plain.tensors.items():
        assert torch.equal(trials.tensors[name], tensor)
    likely_S = probabilities(trials)[range(80), trials.label_KS[0].tolist()] > 0.25
    run_epoch(trials, 1)
    kept_S = trials.method_state["kept_KS"][0].numpy()
    assert (kept_S == likely_S).all()
    assert 0 < kept_S.sum() < 80
    run_epoch(trials, 2)
    assert (trials.method_state["kept_KS"][0].numpy() == kept_S).all()
    run_epoch(trials, 3)
    assert not (trials.method_state["kept_KS"][0].numpy() == kept_S).all()


def test_a_trial_without_any_sample_left_stays_where_it_is(tiny):
    trials = stacked(tiny(method="gce_truncated", params={"first_pruning_epoch": 1, "threshold": 0.999999}))
    run_epoch(trials, 0)
    before = weights_of(trials)
    (numbers,) = run_epoch(trials, 1)
    assert numbers.finite
    assert numbers.kept == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in trials.tensors.items())


def test_the_oracle_keeps_exactly_the_right_labels(tiny):
    population = tiny(method="stopgrad", params={"good": "oracle"})
    (numbers,) = run_epoch(stacked(population), 0)
    assert (numbers.label_precision, numbers.label_recall) == (1, 1)
    clean = replace(population, train=replace(population.train, params={"good": "small_loss"}))
    assert run_epoch(stacked(clean), 0)[0].label_precision < 1
