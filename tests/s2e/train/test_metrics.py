"""Measurements of an epoch against a plain loop: two modules, samples counted one by one (float64)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from s2e.data.datasets import load_split, noisy_labels
from s2e.schedule import n_keep
from s2e.train.epoch import epoch_order
from s2e.train.population import StackedTrials
from s2e.train.trial import PopulationEpoch, train_population
from s2e.words import NoiseSpec, replace

pytestmark = pytest.mark.usefixtures("smooth_adam")

EXACT = 1e-12


def rows_of(population):
    return [step.epochs for step in train_population(population) if isinstance(step, PopulationEpoch)]


def plain_epochs(population, n_networks):
    """Co-teaching (or, with one network, self-teaching) as a plain loop; what it measured of each epoch."""
    trial, train = population.trials[0], population.train
    trials = StackedTrials(population, torch.device("cpu"), torch.float64)  # for the initial weights and the data order
    data, labels = load_split(population.data), noisy_labels(population.data, trial.noise_seed)
    images = data.train.images.double() / data.max_value
    modules = [
        trials.network.to_module(trials.network.state_dict(trials.tensors, n)).train() for n in range(n_networks)
    ]
    optimizers = [torch.optim.Adam(module.parameters(), lr=train.learning_rate) for module in modules]
    for t in range(train.n_epochs):
        predicted, selected = [{} for _ in modules], [set() for _ in modules]
        for index in epoch_order(trials, t):
            logits = [module(images[index]) for module in modules]
            losses = [F.cross_entropy(z, labels[index], reduction="none") for z in logits]
            keep = int(n_keep(trial.keep_rate[t], train.batch_size))
            chosen = [np.argsort(loss.detach().numpy(), kind="stable")[:keep] for loss in losses]
            for n, optimizer in enumerate(optimizers):
                mine = chosen[(n + 1) % n_networks]
                predicted[n] |= {int(s): int(c) for s, c in zip(index, logits[n].argmax(1), strict=True)}
                selected[n] |= {int(index[b]) for b in mine}
                optimizer.zero_grad()
                losses[n][torch.from_numpy(mine)].mean().backward()
                optimizer.step()
        yield counted(predicted, selected, labels.tolist(), data.train.labels.tolist(), evaluated(modules, data))


def counted(predicted, selected, given, true, accuracies):
    """Shares over the samples seen and the networks, one sample at a time."""
    split = {"clean": 0, "clean_correct": 0, "wrong": 0, "wrong_correct": 0, "wrong_memorised": 0}
    for of_network in predicted:
        for s, c in of_network.items():
            if given[s] == true[s]:
                split["clean"] += 1
                split["clean_correct"] += c == true[s]
            else:
                split["wrong"] += 1
                split["wrong_correct"] += c == true[s]
                split["wrong_memorised"] += c == given[s]
    train = [sum(c == given[s] for s, c in classes.items()) / len(classes) for classes in predicted]
    n_selected = sum(map(len, selected))
    n_both = sum(given[s] == true[s] for chosen in selected for s in chosen)
    return {
        "clean_correct": split["clean_correct"] / split["clean"],
        "wrong_correct": split["wrong_correct"] / split["wrong"],
        "wrong_memorised": split["wrong_memorised"] / split["wrong"],
        "train_accuracy": sum(train) / len(train),
        "label_precision": n_both / n_selected,
        "label_recall": n_both / split["clean"],
        "kept": n_selected / sum(map(len, predicted)),
        "networks": [(train[n], *(accuracies[part][n] for part in ("validation", "test"))) for n in range(len(train))],
        **{f"{part}_accuracy": sum(values[:-1]) / len(values[:-1]) for part, values in accuracies.items()},
        **{f"{part}_ensemble": values[-1] for part, values in accuracies.items()},
    }


def evaluated(modules, data):
    """Accuracy of each module, then of the class with the largest sum of logits."""
    shares = {}
    for name in ("validation", "test"):
        part = getattr(data, name)
        with torch.no_grad():
            logits = [module.eval()(part.images.double() / data.max_value) for module in modules]
        shares[name] = [(z.argmax(1) == part.labels).double().mean().item() for z in [*logits, sum(logits)]]
        for module in modules:
            module.train()
    return shares


@pytest.mark.parametrize(("method", "n_networks"), [("coteaching", 2), ("selfteaching", 1)])
def test_every_number_of_every_epoch_equals_a_plain_loop(tiny, method, n_networks):
    population = tiny(method=method, learning_rate=0.01, decay_start=1.0)  # a constant step size
    measured = [row for (row,) in rows_of(population)]
    expected = list(plain_epochs(population, n_networks))
    assert len(measured) == len(expected) == 4
    for row, plain in zip(measured, expected, strict=True):
        for name, value in plain.items():
            mine, other = (np.ravel(getattr(row, name)), np.ravel(value))
            assert mine == pytest.approx(other, abs=EXACT), f"{name} of epoch {row.epoch}"
    assert len({row.wrong_memorised for row in measured}) > 1
    if n_networks == 2:
        assert any(row.validation_ensemble != row.validation_accuracy for row in measured)
        assert all(len(row.networks) == 2 for row in measured)
    else:
        assert all(row.test_ensemble == row.test_accuracy for row in measured)


def test_trials_with_their_own_data_order_are_split_as_when_alone(tiny):
    population = tiny(ks=(0, 1, 2), shared_order=False)
    for i, trial in enumerate(population.trials):
        alone = [row for (row,) in rows_of(replace(population, trials=(trial,)))]
        together = [rows[i] for rows in rows_of(population)]
        assert [(r.clean_correct, r.wrong_memorised) for r in together] == [
            (r.clean_correct, r.wrong_memorised) for r in alone
        ]


def test_without_wrong_labels_there_is_nothing_to_memorise(tiny):
    population = tiny()
    clean = replace(population, data=replace(population.data, noise=NoiseSpec("none")))
    for (row,) in rows_of(clean):
        assert (row.wrong_correct, row.wrong_memorised) == (None, None)
        assert row.clean_correct == pytest.approx(row.train_accuracy, abs=EXACT)


def test_samples_of_the_dropped_batch_are_not_counted(tiny):
    """70 training samples in batches of 16: 64 are seen, so every share has a divisor of at most 2 x 64."""
    population = tiny(n_train=70)
    for (row,) in rows_of(population):
        assert row.train_accuracy * 128 == pytest.approx(round(row.train_accuracy * 128), abs=1e-9)


def test_memorisation_shows_in_the_split(tiny):
    """One network trained on everything, long and fast: the wrong labels are learnt by heart, the clean ones too."""
    population = tiny(method="standard", keep=1.0, n_epochs=40, learning_rate=0.01, decay_start=1.0)
    rows = [row for (row,) in rows_of(population)]
    assert rows[0].wrong_memorised < 0.5
    assert rows[-1].wrong_memorised > 0.9
    assert rows[-1].clean_correct > 0.9
    assert rows[-1].wrong_correct < 0.1
