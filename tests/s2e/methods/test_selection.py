"""Small-loss selection by hand."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s2e.methods.coteaching import CoTeaching
from s2e.methods.plain import Standard
from s2e.methods.selection import small_loss


def test_the_smallest_losses_weigh_one_over_keep():
    loss_KNB = torch.tensor([[[3.0, 1.0, 2.0, 0.5]], [[0.1, 0.2, 0.3, 0.4]]])
    weight_KNB = small_loss(loss_KNB, torch.tensor([2, 1]))
    assert weight_KNB.tolist() == [[[0, 0.5, 0, 0.5]], [[1, 0, 0, 0]]]


def test_equal_losses_are_taken_in_batch_order():
    weight_KNB = small_loss(torch.zeros(1, 1, 200), torch.tensor([70]))
    assert (weight_KNB[0, 0] > 0).nonzero().flatten().tolist() == list(range(70))


def test_nan_is_selected_last():
    loss_KNB = torch.tensor([[[float("nan"), 1.0, float("inf"), 0.0]]])
    assert (small_loss(loss_KNB, torch.tensor([3])) > 0).tolist() == [[[False, True, True, True]]]


def test_coteaching_swaps_what_the_two_networks_select():
    loss_KNB = torch.tensor([[[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]])
    assert CoTeaching().weights(loss_KNB, torch.tensor([1])).tolist() == [[[0, 0, 1], [1, 0, 0]]]


def test_standard_weighs_every_sample_alike():
    assert Standard().weights(torch.rand(2, 1, 4), torch.tensor([1, 1])).tolist() == [[[0.25] * 4]] * 2


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 12))
def test_weights_sum_to_one_over_exactly_keep_samples_no_worse_than_the_rest(seed, batch_size, keep):
    keep = min(keep, batch_size)
    loss_KNB = torch.randint(0, 5, (2, 2, batch_size), generator=torch.Generator().manual_seed(seed)).double()
    weight_KNB = small_loss(loss_KNB, torch.tensor([keep, keep]))
    selected = weight_KNB > 0
    assert (selected.sum(-1) == keep).all()
    torch.testing.assert_close(weight_KNB.sum(-1), torch.ones(2, 2, dtype=torch.float64), rtol=0, atol=1e-12)
    worst_in = loss_KNB.masked_fill(~selected, -1).amax(-1)
    best_out = loss_KNB.masked_fill(selected, 9).amin(-1)
    assert (worst_in <= best_out).all()
