"""Small-loss selection by hand."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from s2e.methods.base import Batch
from s2e.methods.coteaching import CoTeaching
from s2e.methods.coteaching_plus import CoTeachingPlus
from s2e.methods.declared import selection as p
from s2e.methods.decoupling import Decoupling
from s2e.methods.plain import Standard
from s2e.methods.selection import small_loss
from s2e.methods.selfteaching import SelfTeaching


def seen(keep, keep_rate=None, logits_KNBC=None, epoch=0):
    rates = torch.ones(len(keep)) if keep_rate is None else torch.tensor(keep_rate)
    logits_KNBC = torch.zeros(len(keep), 2, 4, 3) if logits_KNBC is None else logits_KNBC
    index = torch.arange(logits_KNBC.shape[2])
    return Batch(logits_KNBC, torch.tensor(keep), rates.double(), torch.tensor(epoch), index, {})


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
    assert CoTeaching().weights(loss_KNB, seen(keep=[1])).tolist() == [[[0, 0, 1], [1, 0, 0]]]


def test_standard_weighs_every_sample_alike():
    assert Standard().weights(torch.rand(2, 1, 4), seen(keep=[1, 1])).tolist() == [[[0.25] * 4]] * 2


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


def predictions(*rows):
    """Logits [1, 2, B, 3] whose argmax is each network's row."""
    return torch.nn.functional.one_hot(torch.tensor([rows]), 3).double()


LOSS_KNB = torch.tensor([[[5.0, 1, 4, 2, 3], [1.0, 5, 2, 4, 3]]])
DIFFER = predictions([0, 1, 2, 0, 1], [1, 1, 0, 2, 0])  # everywhere but on sample 1
AGREE = predictions([0, 1, 2, 0, 1], [0, 1, 2, 0, 1])


def test_selfteaching_keeps_its_own_small_losses():
    loss_KNB = torch.tensor([[[3.0, 1.0, 2.0]]])
    assert SelfTeaching().weights(loss_KNB, seen(keep=[2])).tolist() == [[[0, 0.5, 0.5]]]


def test_decoupling_takes_the_mean_over_the_disagreement():
    weigh = Decoupling().weights
    assert weigh(LOSS_KNB, seen([2], logits_KNBC=DIFFER)).tolist() == [[[0.25, 0, 0.25, 0.25, 0.25]] * 2]
    assert weigh(LOSS_KNB, seen([2], logits_KNBC=AGREE)).tolist() == [[[0] * 5] * 2]


def test_decoupling_divides_by_a_tenth_of_the_batch_where_few_disagree():
    """3 of 128 disagree: 1 / 12.8 each, as in the official program; their mean would weigh 4.27 times as much."""
    first, second = [0] * 128, [1] * 3 + [0] * 125
    batch, loss_KNB = seen([64], logits_KNBC=predictions(first, second)), torch.rand(1, 2, 128)
    expected_B = torch.tensor([1 / 12.8] * 3 + [0.0] * 125)
    torch.testing.assert_close(Decoupling().weights(loss_KNB, batch), expected_B.expand(1, 2, -1))
    torch.testing.assert_close(
        Decoupling(p.Decoupling(floor=0)).weights(loss_KNB, batch)[0, 0, :3], torch.full((3,), 1 / 3)
    )


def test_decoupling_warms_up_on_everything():
    weigh = Decoupling(p.Decoupling(warm_up_epochs=3)).weights
    torch.testing.assert_close(weigh(LOSS_KNB, seen([2], logits_KNBC=AGREE, epoch=2)), torch.full((1, 2, 5), 0.2))
    assert not weigh(LOSS_KNB, seen([2], logits_KNBC=AGREE, epoch=3)).any()


def test_coteaching_plus_swaps_the_small_losses_within_the_disagreement():
    """R |D| = 0.5 * 4 = 2 of {0, 2, 3, 4}: network 0 selects 3 and 4, network 1 selects 0 and 2."""
    weigh = CoTeachingPlus(p.CoTeachingPlus(warm_up_epochs=5)).weights
    after = weigh(LOSS_KNB, seen([2], [0.5], DIFFER, epoch=5))
    assert after.tolist() == [[[0.5, 0, 0.5, 0, 0], [0, 0, 0, 0.5, 0.5]]]
    plain = CoTeaching().weights(LOSS_KNB, seen([2]))
    assert torch.equal(weigh(LOSS_KNB, seen([2], [0.5], DIFFER, epoch=4)), plain)
    assert torch.equal(weigh(LOSS_KNB, seen([2], [0.5], AGREE, epoch=5)), plain)
    assert not torch.equal(after, plain)


def test_the_official_programs_divide_by_the_number_of_samples_twice():
    plain = CoTeaching().weights(LOSS_KNB, seen([2]))
    twice = CoTeaching(p.CoTeaching(official_double_division=True)).weights(LOSS_KNB, seen([2]))
    assert torch.equal(twice, plain / 2)
    params = p.CoTeachingPlus(warm_up_epochs=0, official_double_division=True)
    within = CoTeachingPlus(params).weights(LOSS_KNB, seen([3], [0.75], DIFFER))
    torch.testing.assert_close(within[within > 0], torch.full((6,), 1 / 9, dtype=torch.float64))


def test_coteaching_plus_rounds_the_keep_rate_of_the_disagreement_not_of_the_batch():
    """0.75 * 4 = 3, though floor(0.75 * 5) / 5 * 4 = 2.4; and one is kept where R |D| < 1."""
    weigh = CoTeachingPlus(p.CoTeachingPlus(warm_up_epochs=0)).weights
    assert (weigh(LOSS_KNB, seen([3], [0.75], DIFFER)) > 0).sum(-1).tolist() == [[3, 3]]
    assert (weigh(LOSS_KNB, seen([1], [0.01], DIFFER)) > 0).sum(-1).tolist() == [[1, 1]]
