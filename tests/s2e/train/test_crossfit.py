"""The stack of cross-fitting: every rule is a plain loop over plain networks, and nobody trains on its fold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from s2e.networks.declared import TabularMLP
from s2e.networks.mlp import StackedTabularMLP
from s2e.train.crossfit import (
    Member,
    Rule,
    Samples,
    Stack,
    corrected_cross_entropy,
    fold_members,
    margins,
    stratified_folds,
)
from s2e.words import DataError, TrainSpec

N_CLASSES = 4
TRAIN = TrainSpec(method="standard", n_epochs=3, batch_size=8, learning_rate=0.01)


def some_samples(n: int = 50, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    return Samples(torch.from_numpy(rng.normal(size=(n, 5))), rng.integers(0, N_CLASSES, n))


def network() -> StackedTabularMLP:
    return StackedTabularMLP((5,), N_CLASSES, TabularMLP(hidden=(7,)))


def some_transition(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(N_CLASSES, 0.5), N_CLASSES) * 0.5 + 0.5 * np.eye(N_CLASSES)


def test_folds_are_even_in_every_label():
    label_S = np.random.default_rng(0).integers(0, 3, 100)
    fold_S = stratified_folds(label_S, 4, seed=1)
    assert np.bincount(fold_S).tolist() == [25, 25, 25, 25]
    for label in range(3):
        assert np.ptp(np.bincount(fold_S[label_S == label], minlength=4)) <= 1
    assert (fold_S != stratified_folds(label_S, 4, seed=2)).any()


def test_no_network_trains_on_its_own_fold():
    samples = some_samples(103)
    fold_S = stratified_folds(samples.label_S, 3, seed=0)
    members = fold_members(fold_S, 0, "test")
    stack = Stack(samples, network(), members, TRAIN)
    for k, member in enumerate(members):
        walked = np.concatenate([stack._order()[:, k].numpy().ravel()])
        assert set(walked) <= set(member.rows)
        assert len(set(walked)) == len(walked) == 64  # 68 rows are outside the largest fold
        assert set(stack.row_KH[k][stack.real_KH[k]].tolist()) == set(np.flatnonzero(fold_S == k))
    before = stack.tensors["output.bias"].detach().clone()
    held_out = stack.run([Rule()] * 3, 2, n_averaged=1)
    assert (stack.margin_KNS[:, 0].numpy()[fold_S, np.arange(103)] == 0).all()
    assert not torch.equal(before, stack.tensors["output.bias"])
    p_SC = held_out.combined(103)
    np.testing.assert_allclose(p_SC.sum(1), 1, atol=1e-12)


@pytest.mark.parametrize("case", ["plain", "corrected", "trusted"])
def test_the_loss_and_its_gradient_are_the_formula(case):
    """-ln sum_i p_i T[i, y], and -ln p_y where the label is trusted; the gradient is autograd's of exactly that."""
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 6, N_CLASSES, dtype=torch.float64, generator=rng, requires_grad=True)
    label = torch.randint(0, N_CLASSES, (2, 6), generator=rng)
    T = torch.from_numpy(np.stack([np.eye(N_CLASSES), some_transition(1)]))
    trusted = torch.rand(2, 6, generator=rng) < 0.4
    expected = []
    for k in range(2):
        for n in range(3):
            for b in range(6):
                p = logits[k, n, b].softmax(-1)
                as_given = case == "plain" or (case == "trusted" and trusted[k, b])
                expected.append(-(p[label[k, b]] if as_given else (p * T[k][:, label[k, b]]).sum()).log())
    expected_KNB = torch.stack(expected).view(2, 3, 6)
    (expected_slope,) = torch.autograd.grad(expected_KNB.sum(), logits)
    loss, slope = corrected_cross_entropy(
        logits.detach(), label, None if case == "plain" else T.log(), trusted if case == "trusted" else None
    )
    torch.testing.assert_close(loss, expected_KNB.detach(), rtol=0, atol=1e-14)
    torch.testing.assert_close(slope, expected_slope, rtol=0, atol=1e-14)


def test_a_certain_mistake_has_a_finite_loss_and_gradient():
    """float32 softmax underflows at a margin of 200: -ln 0 and 0/0 are what a plain p T would give."""
    logits = torch.tensor([[[[200.0, 0.0]]]])
    label = torch.tensor([[1]])
    for log_T in (None, torch.eye(2)[None].log(), torch.tensor([[[0.9, 0.1], [0.1, 0.9]]]).log()):
        loss, slope = corrected_cross_entropy(logits, label, log_T)
        assert loss.item() == pytest.approx(200 if log_T is None or log_T.min() < -9 else -np.log(0.1), rel=1e-5)
        assert slope.isfinite().all()


def test_margins_by_hand():
    logits = torch.tensor([[[[3.0, 1.0, 2.0], [0.0, 5.0, -1.0]]]])
    assert margins(logits, torch.tensor([[0, 2]])).tolist() == [[[1.0, -6.0]]]


def cases(samples: Samples) -> list[tuple[Member, Rule]]:
    """Forward correction; self-teaching or Co-teaching; trusted rows beside a falling keep rate, under a T."""
    rows = np.arange(len(samples))
    return [
        (Member(rows[:40], 11), Rule(some_transition(0))),
        (Member(rows[5:], 12), Rule(None, 0.7)),
        (Member(rows[:45], 13, trusted=rows[2:45:5]), Rule(some_transition(1), (1.0, 0.8, 0.5))),
    ]


@pytest.mark.parametrize("n_networks", [1, 2])
def test_a_stack_equals_its_members_alone(n_networks):
    samples = some_samples()
    members, rules = zip(*cases(samples), strict=True)
    together = Stack(samples, network(), members, TRAIN, n_networks)
    together.n_steps = 5
    p_together = together.run(rules, 3, n_averaged=2)
    for k, (member, rule) in enumerate(cases(samples)):
        alone = Stack(samples, network(), [member], TRAIN, n_networks)
        alone.n_steps = 5  # a stack takes the steps of its smallest member
        p_alone = alone.run([rule], 3, n_averaged=2)
        n_held_out = len(samples) - len(member.rows)
        torch.testing.assert_close(p_together.p_KHC[k, :n_held_out], p_alone.p_KHC[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(together.margin_KNS[k], alone.margin_KNS[0], rtol=0, atol=1e-4)
        for name, tensor in alone.tensors.items():
            own = together.tensors[name][k * n_networks : (k + 1) * n_networks]
            torch.testing.assert_close(own, tensor, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_networks", [1, 2])
@pytest.mark.parametrize("case", range(3))
def test_a_member_is_a_plain_loop_over_plain_networks(case, n_networks):
    samples = some_samples()
    member, rule = cases(samples)[case]
    stack = Stack(samples, network(), [member], TRAIN, n_networks)
    plain = network()
    nets = [plain.to_module(plain.state_dict(stack.tensors, n)).train() for n in range(n_networks)]
    optimizers = [torch.optim.Adam(net.parameters(), lr=TRAIN.learning_rate) for net in nets]
    aum = np.zeros((n_networks, len(samples)))
    for t in range(3):
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = TRAIN.learning_rate * (1.0 if t < 1 else (3 - t) / 2)
        keep_rate = float(np.broadcast_to(rule.keep_rate, 3)[t])
        for index in stack._order()[:, 0].unbind(0):
            plain_step(nets, optimizers, samples, index, member, rule.transition_CC, keep_rate, aum)
        stack.run([Rule(rule.transition_CC, keep_rate)], 1)
    for n, net in enumerate(nets):
        for name, value in net.state_dict().items():
            torch.testing.assert_close(stack.tensors[name][n].detach(), value, rtol=0, atol=1e-12)
    np.testing.assert_allclose(stack.margin_KNS[0].numpy(), aum, atol=1e-4)
    rows = np.setdiff1d(np.arange(len(samples)), member.rows)
    if len(rows):
        expected = torch.stack([net(samples.x[rows]).softmax(-1) for net in nets]).mean(0)
        torch.testing.assert_close(stack._predict_held_out()[0], expected.detach(), rtol=0, atol=1e-12)


def plain_step(nets, optimizers, samples, index, member, T_CC, keep_rate, aum):
    """One mini-batch with nothing but torch's own losses, sorting in numpy."""
    label = torch.from_numpy(samples.label_S)[index]
    trusted = np.isin(index.numpy(), member.trusted)
    losses = []
    for n, net in enumerate(nets):
        logits = net(samples.x[index])
        other = logits.detach().clone()
        other[torch.arange(len(index)), label] = -torch.inf
        aum[n, index.numpy()] += (logits.detach()[torch.arange(len(index)), label] - other.amax(1)).numpy()
        loss = F.cross_entropy(logits, label, reduction="none")
        if T_CC is not None:
            noisy = F.nll_loss((logits.softmax(-1) @ torch.from_numpy(T_CC)).log(), label, reduction="none")
            loss = torch.where(torch.from_numpy(trusted), loss, noisy)
        losses.append(loss)
    kept = []
    for loss in losses:
        others = np.flatnonzero(~trusted)
        smallest = others[np.argsort(loss.detach().numpy()[others], kind="stable")]
        n_kept = int(keep_rate * len(others) + 1e-9)
        kept.append(np.concatenate([np.flatnonzero(trusted), smallest[:n_kept]]))
    for loss, rows, optimizer in zip(losses, reversed(kept), optimizers, strict=True):
        optimizer.zero_grad()
        loss[rows].mean().backward()
        optimizer.step()


def test_the_identity_is_cross_entropy():
    samples = some_samples()
    member = Member(np.arange(50), 3)
    plain, corrected = (Stack(samples, network(), [member], TRAIN) for _ in range(2))
    plain.run([Rule()], 2)
    corrected.run([Rule(np.eye(N_CLASSES))], 2)
    for name, tensor in plain.tensors.items():
        torch.testing.assert_close(tensor, corrected.tensors[name], rtol=0, atol=1e-13)


def test_rows_that_several_members_leave_out_get_their_mean():
    samples = some_samples(20)
    members = [Member(np.arange(10, 20), 1), Member(np.arange(5, 20), 2)]
    stack = Stack(samples, network(), members, TRAIN)
    held_out = stack.run([Rule()] * 2, 1, n_averaged=1)
    p_SC = held_out.combined(20)
    np.testing.assert_allclose(p_SC[:5], held_out.p_KHC[:, :5].mean(0).numpy(), atol=1e-12)
    np.testing.assert_allclose(p_SC[5:10], held_out.p_KHC[0, 5:10].numpy(), atol=1e-12)
    assert np.isnan(p_SC[10:]).all()
    assert np.isnan(held_out.combined(20, slice(1, 2))[5:]).all()


def test_rows_are_read_as_the_network_wants_them():
    """Bytes stay bytes in memory; the reader scales each batch."""
    rng = np.random.default_rng(0)
    bytes_SF = torch.from_numpy(rng.integers(0, 256, (30, 5)).astype(np.uint8))
    label_S = rng.integers(0, N_CLASSES, 30)
    kept = Samples(bytes_SF, label_S, read=lambda rows: rows.float() / 255)
    scaled = Samples(bytes_SF.float() / 255, label_S)
    members = [Member(np.arange(20), 5)]
    p = [Stack(s, network(), members, TRAIN).run([Rule()], 2, n_averaged=2).combined(30) for s in (kept, scaled)]
    np.testing.assert_array_equal(*p)


def test_a_member_without_rows_is_refused():
    with pytest.raises(DataError, match="no rows to train on"):
        Stack(some_samples(), network(), [Member(np.empty(0, dtype=np.int64), 0)], TRAIN)


@pytest.mark.parametrize("kept", [[1], [2, 0]])
def test_members_that_are_kept_go_on_as_they_would_have(kept):
    """Weights, Adam's moments, margin sums and data order, to the last bit or two."""
    samples = some_samples()
    members = [member for member, _ in cases(samples)]
    rules = [Rule(some_transition(0)), Rule(None, 0.7), Rule(some_transition(1), 0.8)]
    whole, part = (Stack(samples, network(), members, TRAIN, 2) for _ in range(2))
    whole.run(rules, 2)
    part.run(rules, 2)
    part.keep(kept)
    expected, p = whole.run(rules, 2, n_averaged=1), part.run([rules[k] for k in kept], 2, n_averaged=1)
    torch.testing.assert_close(p.p_KHC, expected.p_KHC[kept], rtol=0, atol=1e-12)
    torch.testing.assert_close(part.margin_KNS, whole.margin_KNS[kept], rtol=0, atol=1e-4)


def test_bytes_that_are_read_as_float64_train_in_float64():
    bytes_SF = torch.randint(0, 256, (20, 5), dtype=torch.uint8)
    samples = Samples(bytes_SF, np.arange(20) % N_CLASSES, read=lambda rows: rows.double() / 255)
    stack = Stack(samples, network(), [Member(np.arange(15), 0)], TRAIN)
    assert stack.run([Rule()], 1, n_averaged=1).p_KHC.dtype == torch.float64
