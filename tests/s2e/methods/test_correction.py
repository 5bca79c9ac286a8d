"""Loss correction: orientation of T, unbiasedness, who is bad, and what is refused (float64)."""

from __future__ import annotations

import pytest
import torch

from s2e.data.transition import pair, symmetric
from s2e.methods.base import Batch, Setup
from s2e.methods.correction import Backward, Forward, NnBC, SiguaBC
from s2e.methods.declared import correction as params
from s2e.words import SpecError

ASYMMETRIC = [[0.7, 0.2, 0.1], [0.0, 0.9, 0.1], [0.3, 0.3, 0.4]]
P = (0.2, 0.5, 0.3)


def setup(*matrices, n_samples=6):
    T_KCC = None if matrices == (None,) else torch.tensor(matrices, dtype=torch.float64)
    n_trials, n_classes = (1, 3) if T_KCC is None else T_KCC.shape[:2]
    label_S = torch.arange(n_samples) % n_classes
    return Setup(
        n_trials=n_trials,
        n_samples=n_samples,
        n_classes=n_classes,
        device=torch.device("cpu"),
        dtype=torch.float64,
        label_KS=label_S.expand(n_trials, -1),
        true_label_S=label_S,
        transition_KCC=T_KCC,
        init_seeds=tuple(range(n_trials)),
    )


def loss(method, logits_KC, label, *matrices):
    """One sample of label ``label`` for each matrix."""
    state = method.init_state(setup(*matrices))
    label_KB = torch.full((len(matrices), 1), label)
    return method.losses(logits_KC.view(len(matrices), 1, 1, -1), label_KB, torch.tensor([0]), state).flatten()


def test_forward_reads_the_column_of_the_label():
    value = loss(Forward(), torch.tensor(P, dtype=torch.float64).log(), 1, ASYMMETRIC)
    expected = 0.2 * 0.2 + 0.5 * 0.9 + 0.3 * 0.3
    torch.testing.assert_close(value.neg().exp(), torch.tensor([expected], dtype=torch.float64), rtol=0, atol=1e-14)


def test_backward_reads_the_row_of_the_label():
    inverse = torch.linalg.inv(torch.tensor(ASYMMETRIC, dtype=torch.float64))
    log_p = torch.tensor(P, dtype=torch.float64).log()
    for label in range(3):
        value = loss(Backward(), log_p, label, ASYMMETRIC)
        torch.testing.assert_close(value, -(inverse[label] * log_p).sum()[None], rtol=0, atol=1e-12)


@pytest.mark.parametrize("matrix", [ASYMMETRIC, symmetric(3, 0.5).tolist(), pair(3, 0.45).tolist()])
def test_backward_is_unbiased(matrix):
    """sum_j T_ij l_back(j) = -ln p_i for every class i."""
    log_p = torch.tensor(P, dtype=torch.float64).log()
    corrected_C = torch.cat([loss(Backward(), log_p, label, matrix) for label in range(3)])
    torch.testing.assert_close(torch.tensor(matrix, dtype=torch.float64) @ corrected_C, -log_p, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", [Forward(), Backward()], ids=["forward", "backward"])
def test_without_noise_the_correction_is_cross_entropy(method):
    log_p = torch.tensor(P, dtype=torch.float64).log()
    torch.testing.assert_close(loss(method, log_p, 0, torch.eye(3).tolist()), -log_p[:1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", [Forward(), Backward()], ids=["forward", "backward"])
def test_gradients_are_those_of_the_values(method):
    logits_C = torch.tensor([0.3, -1.2, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: loss(method, z, 1, ASYMMETRIC), (logits_C,), atol=1e-8)


def test_every_trial_has_its_own_matrix():
    log_p = torch.tensor([P, P], dtype=torch.float64).log()
    for method in (Forward(), Backward()):
        both = loss(method, log_p, 2, ASYMMETRIC, symmetric(3, 0.3).tolist())
        assert both[0] == loss(method, log_p[0], 2, ASYMMETRIC)
        assert both[1] == loss(method, log_p[0], 2, symmetric(3, 0.3).tolist())


def test_forward_stays_finite_where_the_label_is_impossible():
    """Pair noise never turns class 0 into label 2; a network sure of class 0 gives the clip, not infinity."""
    logits = torch.tensor([90.0, -90.0, -90.0], dtype=torch.float64, requires_grad=True)
    value = loss(Forward(), logits, 2, pair(3, 0.4).tolist())
    value.backward()
    assert value.item() == pytest.approx(16.118, abs=1e-3)
    assert logits.grad.isfinite().all()


def weigh(method, logits_BC, label_B, matrix, epoch=0):
    state = method.init_state(setup(matrix))
    logits_KNBC, label_KB, index = logits_BC[None, None], label_B[None], torch.arange(len(label_B))
    loss_KNB = method.losses(logits_KNBC, label_KB, index, state)
    keep_K = torch.tensor([len(label_B)])
    batch = Batch(logits_KNBC, keep_K, torch.ones(1).double(), torch.tensor(epoch), index, state)
    return loss_KNB[0, 0], method.weights(loss_KNB, batch)[0, 0]


SURE = torch.tensor([[9.0, 0, 0], [9.0, 0, 0], [0.1, 0, 0]], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2])


def test_samples_of_negative_corrected_loss_are_bad():
    """A network sure of class 0: label 0 has a corrected loss below 0, label 1 a large one, and an unsure one is near
    plain cross entropy."""
    matrix = symmetric(3, 0.5).tolist()
    loss_B, weight_B = weigh(NnBC(), SURE, LABELS, matrix)
    assert (loss_B < 0).tolist() == [True, False, False]
    assert weight_B.tolist() == [0, 1 / 3, 1 / 3]
    _, weight_B = weigh(SiguaBC(params.SiguaBC(gamma=0.5)), SURE, LABELS, matrix)
    assert weight_B.tolist() == [-0.5 / 3, 1 / 3, 1 / 3]


def test_nobody_is_bad_while_warming_up():
    method = SiguaBC(params.SiguaBC(warm_up_epochs=4))
    assert (weigh(method, SURE, LABELS, symmetric(3, 0.5).tolist(), epoch=3)[1] > 0).all()
    assert not (weigh(method, SURE, LABELS, symmetric(3, 0.5).tolist(), epoch=4)[1] > 0).all()


@pytest.mark.parametrize("matrix", [symmetric(3, 0.5).tolist(), pair(3, 0.45).tolist()])
def test_equation_11_never_bites_for_a_doubly_stochastic_matrix(matrix):
    logits_BC = 5 * torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    label_B = torch.arange(200) % 3
    method = NnBC(params.NnBC(bad_if="sum"))
    assert torch.equal(weigh(method, logits_BC, label_B, matrix)[1], torch.full((200,), 1 / 200, dtype=torch.float64))
    assert not (weigh(NnBC(), logits_BC, label_B, matrix)[1] > 0).all()


def test_equation_11_bites_where_the_columns_of_the_inverse_differ():
    """Bad exactly where the corrected losses of all three labels sum to less than 0, computed label by label."""
    matrix = [[0.6, 0.4, 0], [0, 1, 0], [0, 0.45, 0.55]]  # classes 0 and 2 are confused with class 1 only
    logits_BC = 5 * torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight_B = weigh(NnBC(params.NnBC(bad_if="sum")), logits_BC, torch.arange(200) % 3, matrix)[1]
    per_label = [weigh(Backward(), logits_BC, torch.full((200,), y), matrix)[0] for y in range(3)]
    assert torch.equal(weight_B == 0, sum(per_label) < 0)
    assert 0 < (weight_B == 0).sum() < 200


@pytest.mark.parametrize("method", [Forward(), Backward(), NnBC(), SiguaBC()], ids=lambda m: type(m).__name__)
def test_an_unknown_matrix_is_refused_by_name(method):
    with pytest.raises(SpecError, match=r"train\.params\.transition = 'given': estimated or confident"):
        method.init_state(setup(None))


def test_a_singular_matrix_is_refused_by_backward_correction_only():
    singular = symmetric(3, 2 / 3).tolist()
    with pytest.raises(SpecError, match=r"data\.noise = 'condition number"):
        Backward().init_state(setup(singular))
    Forward().init_state(setup(singular))


def test_an_estimated_matrix_that_is_singular_ends_its_trial_only():
    method = Backward(params.Backward(transition="estimated"))
    state = method.init_state(setup(ASYMMETRIC, ASYMMETRIC))
    method.use(state, torch.tensor([ASYMMETRIC, symmetric(3, 2 / 3).tolist()], dtype=torch.float64))
    assert state["inverse_KCC"].isnan().flatten(1).all(1).tolist() == [False, True]
    assert not state["inverse_KCC"][0].isnan().any()


def test_the_half_that_waits_does_not_train():
    method = Forward(params.Forward(transition="confident", estimation_epochs=2))
    state = method.init_state(setup(ASYMMETRIC))
    half_S = state["half_KS"][0]
    assert half_S.sum() == 3
    index, loss_KNB = torch.arange(6), torch.ones(1, 1, 6)
    for epoch, trains in [(1, half_S == 0), (2, half_S == 1), (3, half_S == 1), (4, torch.ones(6, dtype=torch.bool))]:
        batch = Batch(torch.zeros(1, 1, 6, 3), torch.tensor([6]), torch.ones(1), torch.tensor(epoch), index, state)
        weight_B = method.weights(loss_KNB, batch)[0, 0]
        torch.testing.assert_close(weight_B, trains / trains.sum(), rtol=0, atol=0)
