"""SIGUA: who descends, who ascends, and how much each counts."""

from __future__ import annotations

import pytest
import torch

from s2e.methods.base import Batch
from s2e.methods.declared import selection as p
from s2e.methods.sigua import Sigua, SiguaSL, StopGrad


def weigh(params, loss_KNB, keep):
    return SiguaSL(params).weights(loss_KNB, seen(loss_KNB, keep))


def seen(loss_KNB, keep, epoch=0, state=None):
    index = torch.arange(loss_KNB.shape[-1])
    rates_K = torch.ones(len(keep)).double()
    return Batch(loss_KNB[..., None], torch.tensor(keep), rates_K, torch.tensor(epoch), index, state or {})


LOSS_KNB = torch.tensor([[[4.0, 0, 3, 1, 2, 5, 7, 6]]], dtype=torch.float64)


def test_the_smallest_descend_the_next_ascend_the_largest_are_ignored():
    """Keep 3 of 8; half of the other five, floored, ascend: losses 3 and 4."""
    by_batch = weigh(p.SiguaSL(gamma=0.5, fraction=0.5), LOSS_KNB, [3])
    assert by_batch.tolist() == [[[-0.5 / 8, 1 / 8, -0.5 / 8, 1 / 8, 1 / 8, 0, 0, 0]]]
    by_group = weigh(p.SiguaSL(gamma=0.5, fraction=0.5, normalise="group"), LOSS_KNB, [3])
    assert by_group.tolist() == [[[-0.25, 1 / 3, -0.25, 1 / 3, 1 / 3, 0, 0, 0]]]


def test_a_fraction_of_the_batch_is_constant_and_stops_at_what_is_left():
    params = p.SiguaSL(fraction=0.5, fraction_of="batch")
    counts = [(weigh(params, LOSS_KNB, [keep]) < 0).sum().item() for keep in (1, 4, 6, 8)]
    assert counts == [4, 4, 2, 0]


@pytest.mark.parametrize(
    ("n_keep", "fraction", "n_bad", "gamma", "effective_gamma"),
    [
        (102, 0.4, 10, 0.01, 0.102),
        (64, 0.3, 19, 0.01, 0.0337),
        (70, 0.7, 40, 0.001, 0.0018),
        (70, 0.3, 17, 0.01, 0.0412),
    ],
)
def test_counts_and_gammas_of_the_published_settings(n_keep, fraction, n_bad, gamma, effective_gamma):
    """SET1: MNIST and CIFAR-10 sym-20, both sym-50, MNIST pair-45, CIFAR-10 pair-45, batches of 128."""
    loss_KNB = torch.rand(1, 1, 128, generator=torch.Generator().manual_seed(0))
    weight_B = weigh(p.SiguaSL(gamma=gamma, fraction=fraction, normalise="group"), loss_KNB, [n_keep])[0, 0]
    assert ((weight_B > 0).sum(), (weight_B < 0).sum()) == (n_keep, n_bad)
    ratio = -(weight_B.min() / weight_B.max()).item()
    assert ratio == pytest.approx(effective_gamma, rel=0.03)


def test_one_sample_ascends_where_the_fraction_of_those_left_is_less_than_one():
    """Keep 6 of 8: 0.3 x 2 = 0.6; the official program takes one. None is left where all are kept."""
    counts = {
        (keep, few): (weigh(p.SiguaSL(fraction_of="forgotten", fewest_bad=few), LOSS_KNB, [keep]) < 0).sum().item()
        for keep in (6, 8)
        for few in (0, 1, 3)
    }
    assert counts == {(6, 0): 0, (6, 1): 1, (6, 3): 2, (8, 0): 0, (8, 1): 0, (8, 3): 0}
    assert not (weigh(p.SiguaSL(fraction=0), LOSS_KNB, [6]) < 0).any()


def test_gamma_zero_is_small_loss_selection():
    assert not (weigh(p.SiguaSL(gamma=0, normalise="group"), LOSS_KNB, [3]) < 0).any()


def test_keeping_everything_leaves_nobody_to_ascend():
    for normalise in ("batch", "group"):
        weight_KNB = weigh(p.SiguaSL(normalise=normalise), LOSS_KNB, [8])
        torch.testing.assert_close(weight_KNB, torch.full_like(LOSS_KNB, 1 / 8))


CLEAN = {"clean_KS": torch.tensor([[True, False, True, False, False, False, False, False]])}


def test_the_prototype_ascends_on_everybody_else():
    """Eq. (3): keep 3 of 8, losses 0, 1 and 2; the other five ascend."""
    weight_B = Sigua(p.Sigua(gamma=0.5)).weights(LOSS_KNB, seen(LOSS_KNB, [3]))[0, 0]
    assert weight_B.tolist() == [-1 / 16, 1 / 8, -1 / 16, 1 / 8, 1 / 8, -1 / 16, -1 / 16, -1 / 16]
    grouped_B = Sigua(p.Sigua(gamma=0.5, normalise="group")).weights(LOSS_KNB, seen(LOSS_KNB, [3]))[0, 0]
    assert grouped_B.tolist() == [1 / 3 if weight > 0 else -0.1 for weight in weight_B.tolist()]


def test_the_oracle_goes_by_the_true_labels():
    weight_B = Sigua(p.Sigua(gamma=0.5, good="oracle")).weights(LOSS_KNB, seen(LOSS_KNB, [3], state=CLEAN))[0, 0]
    assert weight_B.tolist() == [1 / 8, -1 / 16, 1 / 8] + [-1 / 16] * 5


def test_stopgrad_leaves_bad_samples_alone_and_starts_after_the_warm_up():
    method = StopGrad(p.StopGrad(good="oracle", warm_up_epochs=2))
    assert method.weights(LOSS_KNB, seen(LOSS_KNB, [3], 2, CLEAN)).tolist() == [[[1 / 8, 0, 1 / 8, 0, 0, 0, 0, 0]]]
    assert method.weights(LOSS_KNB, seen(LOSS_KNB, [3], 1, CLEAN)).tolist() == [[[1 / 8] * 8]]
