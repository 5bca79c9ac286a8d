"""Networks of one architecture, each member on rows of its own and by a rule of its own, trained as one stack.

Every rule here is one loss and one choice of samples:

    loss_s   = -ln sum_i p_i(x_s) T[i, y_s]          T = 1: cross entropy; a trusted sample always has T = 1
    weight_s = 1/n for the n samples of a batch that count: all, or the trusted ones and the floor(R(t) b) smallest
               losses of the b others; with two networks each learns from what the other chose (Co-teaching)

So cross entropy, self-teaching, Co-teaching, forward correction, gold loss correction and anchored schedules differ in
numbers only, and train side by side. Cross-fitting is a stack whose members leave out one fold each.

Legend: K members, N networks of a member, G = K * N, S rows, B batch, C classes, M steps of an epoch, H held-out rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data.rows import Samples as Rows
from s2e.data.stream import Block, read_ahead
from s2e.methods.selection import small_loss
from s2e.networks.base import StackedNetwork, Tensors, cast
from s2e.schedule import n_keep
from s2e.train.margins import margins
from s2e.train.optimizer import make_optimizer, set_epoch
from s2e.train.runtime import flushed_denormals
from s2e.words import DataError, TrainSpec, derive_seed

Labels = NDArray[np.int64]
Matrix = NDArray[np.float64]
Read = Callable[[torch.Tensor], torch.Tensor]
"""From rows as they are kept to rows as the network reads them: scaling, or a cast."""

EVALUATION_BATCH = 500


def _no_rows() -> Labels:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows [S, ...] in the layout of their network, with the label each was given [S]."""

    x: Rows
    label_S: Labels
    read: Read | None = None
    """None: ``x`` is read as it is."""
    row_S: torch.Tensor | None = None
    """The row of ``x`` that each sample is; None: they are in its order."""
    class_names: Sequence[Any] = ()
    """For people; none: their numbers."""

    def __len__(self) -> int:
        return len(self.label_S)

    def at(self, index: torch.Tensor, block: Block | None = None) -> torch.Tensor:
        """Rows at ``index`` [...] as the network reads them; ``block`` may hold them."""
        rows = None if block is None else block.of(index)
        if rows is None:
            rows = self.x.index_select(0, self.rows(index).flatten())
        rows = rows if self.read is None else self.read(rows)
        return rows.view(*index.shape, *rows.shape[1:])

    def rows(self, index: torch.Tensor) -> torch.Tensor:
        """The rows of ``x`` behind samples."""
        return index if self.row_S is None else self.row_S[index]


@dataclass(frozen=True, eq=False)
class Member:
    """The rows a member trains on, and the seed of its initial weights and data order."""

    rows: Labels
    seed: int
    trusted: Labels = field(default_factory=_no_rows)
    """Those of ``rows`` whose label is known to be right."""


@dataclass(frozen=True, eq=False)
class Rule:
    """A member's use of labels that are not trusted, until it is given another rule."""

    transition_CC: Matrix | None = None
    """T[i, j] = P(label j | class i); None: a label is taken as it is."""
    keep_rate: float | Sequence[float] = 1.0
    """R: the share of them that counts, one number or one for each epoch of the run."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of each member for the rows it does not train on: mean over its networks, and over epochs."""

    p_KHC: torch.Tensor
    row_KH: torch.Tensor
    real_KH: torch.Tensor
    """False where a shorter list of rows is filled up."""

    def combined(self, n_rows: int, members: slice = slice(None)) -> Matrix:
        """p_SC: of every row the mean over the ``members`` that do not train on it; NaN where all of them do."""
        p_KHC, row_KH, real_KH = self.p_KHC[members], self.row_KH[members], self.real_KH[members]
        total_SC = torch.zeros(n_rows, p_KHC.shape[-1], dtype=torch.float64, device=p_KHC.device)
        total_SC.index_add_(0, row_KH[real_KH], p_KHC[real_KH].double())
        count_S = torch.bincount(row_KH[real_KH], minlength=n_rows)
        return np.asarray((total_SC / count_S[:, None]).cpu().numpy())


class Stack:
    """K members x N networks, from their initial weights on.

    Raises DataError where a member has no rows.
    """

    def __init__(
        self,
        samples: Samples,
        network: StackedNetwork,
        members: Sequence[Member],
        train: TrainSpec,
        n_networks: int = 1,
    ) -> None:
        self.samples, self.network, self.members, self.train_spec = samples, network, list(members), train
        self.n_networks = n_networks
        self.device = samples.x.device
        read_dtype = samples.at(torch.zeros(1, dtype=torch.int64, device=self.device)).dtype
        self.weight_dtype = torch.float64 if read_dtype == torch.float64 else torch.float32
        self.label_S = torch.from_numpy(np.ascontiguousarray(samples.label_S)).to(self.device)
        fewest = min(len(member.rows) for member in members)
        if not fewest:
            raise DataError("a network was given no rows to train on")
        self.batch_size = min(train.batch_size, fewest)
        self.n_steps = fewest // self.batch_size
        """M: all members take the steps of the one with the fewest rows."""
        self.trusted_KS = _membership([member.trusted for member in members], len(samples)).to(self.device)
        self.any_trusted = bool(self.trusted_KS.any())
        self.row_KH, self.real_KH = (value.to(self.device) for value in _held_out_rows(members, len(samples)))
        shape_KNS = (len(members), n_networks, len(samples))
        self.margin_KNS = torch.zeros(shape_KNS, device=self.device)
        """Of every visit the logit of the given label minus the largest other one, summed: the area under the margin
        (Pleiss et al. 2020)."""
        self.t = 0
        seeds = [member.seed for member in members]
        self.tensors: Tensors = cast(network.init(seeds, n_networks), self.device, self.weight_dtype)
        self.optimizer = self._make_optimizer()

    def run(self, rules: Sequence[Rule], n_epochs: int, n_averaged: int = 0) -> HeldOut:
        """Train on for ``n_epochs``, a rule for each member. The held-out predictions are the mean of the last
        ``n_averaged`` epochs; at 0 nothing is predicted and they are zero."""
        keep_rate_KT = np.stack([np.broadcast_to(np.asarray(rule.keep_rate, float), n_epochs) for rule in rules])
        selects = bool((keep_rate_KT < 1).any())
        log_T_KCC = self._log_transitions(rules)
        total_KHC = torch.zeros(*self.row_KH.shape, self.network.n_classes, device=self.device, dtype=self.weight_dtype)
        for e in range(n_epochs):
            self._epoch(log_T_KCC, keep_rate_KT[:, e] if selects else None)
            if e >= n_epochs - n_averaged:
                total_KHC += self._predict_held_out()
        return HeldOut(total_KHC / max(n_averaged, 1), self.row_KH, self.real_KH)

    def keep(self, members: Sequence[int]) -> None:
        """Only these members go on, exactly as they would have with the others beside them."""
        kept_K = torch.tensor(members, device=self.device)
        kept_G = (kept_K[:, None] * self.n_networks + torch.arange(self.n_networks, device=self.device)).flatten()
        old, moments = self.tensors, self.optimizer.state
        self.tensors = {name: tensor.detach().index_select(0, kept_G) for name, tensor in old.items()}
        self.members = [self.members[k] for k in members]
        self.optimizer = self._make_optimizer()
        for name, tensor in self.tensors.items():
            if old[name] in moments:
                self.optimizer.state[tensor] = {
                    key: value.index_select(0, kept_G) if value.dim() else value.clone()
                    for key, value in moments[old[name]].items()
                }
        self.trusted_KS, self.margin_KNS = self.trusted_KS[kept_K], self.margin_KNS[kept_K]
        self.row_KH, self.real_KH = self.row_KH[kept_K], self.real_KH[kept_K]

    @torch.no_grad()
    def predict(self, x: Rows) -> torch.Tensor:
        """p_KNBC of other rows, kept as those of ``samples`` are."""
        read = self.samples.read or (lambda rows: rows)
        chunks = [self._forward(read(part), train=False).softmax(-1) for part in x.split(EVALUATION_BATCH)]
        return torch.cat(chunks, dim=2)

    @torch.no_grad()
    def _predict_held_out(self) -> torch.Tensor:
        chunks = [
            self._forward(self.samples.at(part), train=False).softmax(-1).mean(1)
            for part in self.row_KH.split(EVALUATION_BATCH, dim=1)
        ]
        return torch.cat(chunks, dim=1)

    def _epoch(self, log_T_KCC: torch.Tensor | None, keep_rate_K: Matrix | None) -> None:
        set_epoch(self.optimizer, self.train_spec, self.t)
        with flushed_denormals():
            for order_MKB, block in read_ahead(self.samples.x, self._order(), self.samples.rows):
                for index_KB in order_MKB.unbind(0):
                    self._step(index_KB, log_T_KCC, keep_rate_K, block)
        self.t += 1

    def _step(
        self,
        index_KB: torch.Tensor,
        log_T_KCC: torch.Tensor | None,
        keep_rate_K: Matrix | None,
        block: Block | None = None,
    ) -> None:
        label_KB = self.label_S[index_KB]
        trusted_KB = self.trusted_KS.gather(1, index_KB) if self.any_trusted else None
        logits_KNBC = self._forward(self.samples.at(index_KB, block), train=True)
        with torch.no_grad():
            margin_KNB = margins(logits_KNBC, label_KB).to(self.margin_KNS.dtype)
            self.margin_KNS.scatter_add_(2, index_KB[:, None].expand_as(margin_KNB), margin_KNB)
            loss_KNB, slope_KNBC = corrected_cross_entropy(logits_KNBC, label_KB, log_T_KCC, trusted_KB)
            weight_KNB = chosen(loss_KNB, keep_rate_K, trusted_KB)
        self.optimizer.zero_grad()
        logits_KNBC.backward(weight_KNB[..., None] * slope_KNBC)
        self.optimizer.step()

    def _forward(self, x: torch.Tensor, *, train: bool) -> torch.Tensor:
        logits_GBC = self.network.forward(self.tensors, x, train=train)
        logits_KNBC: torch.Tensor = logits_GBC.unflatten(0, (-1, self.n_networks))
        return logits_KNBC.to(self.weight_dtype)

    def _order(self) -> torch.Tensor:
        """Mini-batches of this epoch [M, K, B]; every member walks its rows in an order of its own."""
        walks = []
        for member in self.members:
            rng = np.random.default_rng(derive_seed(member.seed, "order", self.t))
            walk = rng.permutation(member.rows)[: self.n_steps * self.batch_size]
            walks.append(walk.reshape(self.n_steps, self.batch_size))
        return torch.from_numpy(np.stack(walks, axis=1)).to(self.device)

    def _log_transitions(self, rules: Sequence[Rule]) -> torch.Tensor | None:
        if all(rule.transition_CC is None for rule in rules):
            return None
        identity_CC = np.eye(self.network.n_classes)
        T_KCC = np.stack([identity_CC if rule.transition_CC is None else rule.transition_CC for rule in rules])
        return torch.from_numpy(T_KCC).log().to(self.device, self.weight_dtype)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        moved = [name for name in self.tensors if name not in self.network.buffer_names]
        optimizer = make_optimizer([self.tensors[name].requires_grad_() for name in moved], self.train_spec)
        set_epoch(optimizer, self.train_spec, self.t)
        return optimizer


def corrected_cross_entropy(
    logits_KNBC: torch.Tensor,
    label_KB: torch.Tensor,
    log_T_KCC: torch.Tensor | None,
    trusted_KB: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """loss_KNB = -ln (p T)_y and its gradient by the logits, p - r -> [K, N, B, C].

    r is the posterior of the true class given the label, r_i ~ p_i T[i, y]: EM's responsibilities. Without T, and
    where the label is trusted, it is the label itself, and the loss -ln p_y.
    """
    log_p_KNBC = logits_KNBC.log_softmax(-1)
    label_KNB1 = label_KB[:, None, :, None].expand(*log_p_KNBC.shape[:3], 1)
    slope_KNBC = log_p_KNBC.exp()
    if log_T_KCC is None:
        loss_KNB = -log_p_KNBC.gather(-1, label_KNB1).squeeze(-1)
        return loss_KNB, slope_KNBC.scatter_add_(-1, label_KNB1, -torch.ones_like(loss_KNB)[..., None])
    n_classes = logits_KNBC.shape[-1]
    column_KBC = log_T_KCC.mT.gather(1, label_KB[..., None].expand(-1, -1, n_classes))
    if trusted_KB is not None:
        certain_KBC = torch.full_like(column_KBC, -torch.inf).scatter_(-1, label_KB[..., None], 0.0)
        column_KBC = torch.where(trusted_KB[..., None], certain_KBC, column_KBC)
    joint_KNBC = log_p_KNBC + column_KBC[:, None]
    noisy_KNB = joint_KNBC.logsumexp(-1)
    return -noisy_KNB, slope_KNBC - (joint_KNBC - noisy_KNB[..., None]).exp()


def chosen(loss_KNB: torch.Tensor, keep_rate_K: Matrix | None, trusted_KB: torch.Tensor | None) -> torch.Tensor:
    """weight_KNB: 1/n for the n samples that count; the two networks of a member exchange their choices."""
    batch_size = loss_KNB.shape[-1]
    if keep_rate_K is None:
        return torch.full_like(loss_KNB, 1 / batch_size)
    if trusted_KB is None:
        keep_K = torch.from_numpy(n_keep(keep_rate_K, batch_size)).to(loss_KNB.device)
        return small_loss(loss_KNB, keep_K).flip(1)
    n_trusted_K = trusted_KB.sum(1)
    keep_rate = torch.from_numpy(keep_rate_K).to(loss_KNB.device)
    keep_K = n_trusted_K + (keep_rate * (batch_size - n_trusted_K) + 1e-9).floor().long()
    first_KNB = loss_KNB.masked_fill(trusted_KB[:, None], -torch.inf)
    return small_loss(first_KNB, keep_K.clamp(min=1)).flip(1)


def stratified_folds(label_S: Labels, n_folds: int, seed: int) -> Labels:
    """The fold of each row [S]: every label is dealt out evenly, in random order."""
    rng = np.random.default_rng(derive_seed(seed, "folds"))
    shuffled = rng.permutation(len(label_S))
    by_label = shuffled[np.argsort(label_S[shuffled], kind="stable")]
    fold_S = np.empty(len(label_S), dtype=np.int64)
    fold_S[by_label] = np.arange(len(label_S)) % n_folds
    return fold_S


def fold_members(fold_S: Labels, seed: int, purpose: str) -> list[Member]:
    """A member for each fold, on the rows outside it; ``purpose`` sets its seeds apart from those of other stacks."""
    n_folds = int(fold_S.max()) + 1
    return [Member(np.flatnonzero(fold_S != f), derive_seed(seed, purpose, f)) for f in range(n_folds)]


def _membership(rows_K: Sequence[Labels], n_rows: int) -> torch.Tensor:
    inside_KS = torch.zeros(len(rows_K), n_rows, dtype=torch.bool)
    for inside_S, rows in zip(inside_KS, rows_K, strict=True):
        inside_S[torch.from_numpy(rows)] = True
    return inside_KS


def _held_out_rows(members: Sequence[Member], n_rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows no member trains on itself, [K, H] filled up with row 0, and which of them are real."""
    held_out = [np.setdiff1d(np.arange(n_rows), member.rows) for member in members]
    longest = max(len(rows) for rows in held_out)
    row_KH = np.zeros((len(held_out), longest), dtype=np.int64)
    real_KH = np.zeros((len(held_out), longest), dtype=bool)
    for k, rows in enumerate(held_out):
        row_KH[k, : len(rows)] = rows
        real_KH[k, : len(rows)] = True
    return torch.from_numpy(row_KH), torch.from_numpy(real_KH)
