"""Methods that know which labels are right: their choice by plain loops, and the trusted rows they get."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from s2e.data.datasets import load_split
from s2e.data.transition import pair
from s2e.door import parse_job
from s2e.jobs import loop
from s2e.jobs.auto import refitted
from s2e.methods.base import Batch, Setup, cross_entropy
from s2e.parts import METHODS
from s2e.prepare import counted
from s2e.train.population import StackedTrials
from s2e.words import JobSpec, Round, SpecError, TrustedRows, replace

K, B, C, S = 2, 10, 4, 30
TRUSTED = torch.arange(S) % 3 == 0
INDEX = torch.arange(5, 5 + B)


def setup(trusted_S: torch.Tensor | None) -> Setup:
    label_S = torch.arange(S) % C
    T_KCC = torch.from_numpy(pair(C, 0.4)).expand(K, C, C)
    where = (torch.device("cpu"), torch.float64)
    return Setup(K, S, C, *where, label_S.expand(K, S), label_S, T_KCC, (1, 2), trusted_S)


def batch(method: str, keep_rate: float, logits_KNBC: torch.Tensor) -> Batch:
    state = METHODS[method]().make().init_state(setup(TRUSTED))
    rate_K = torch.full((K,), keep_rate, dtype=torch.float64)
    return Batch(logits_KNBC, (rate_K * B).long().clamp(min=1), rate_K, torch.tensor(3), INDEX, state)


@pytest.mark.parametrize("keep_rate", [1.0, 0.55, 0.3, 0.0])
def test_anchored_keeps_every_trusted_sample_and_the_smallest_losses_of_the_others(keep_rate: float) -> None:
    loss_KNB = torch.rand(K, 2, B, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    weight_KNB = METHODS["anchored"]().make().weights(loss_KNB, batch("anchored", keep_rate, loss_KNB[..., None]))
    others = [b for b in range(B) if not TRUSTED[INDEX[b]]]
    for k in range(K):
        for n in range(2):
            ranks = sorted(others, key=lambda b, k=k, n=n: loss_KNB[k, 1 - n, b].item())  # type: ignore[misc]
            kept = {b for b in range(B) if b not in others} | set(ranks[: math.floor(keep_rate * len(others) + 1e-9)])
            expected = [1 / len(kept) if b in kept else 0.0 for b in range(B)]
            assert weight_KNB[k, n].tolist() == pytest.approx(expected)


def test_gold_corrects_only_labels_that_may_be_wrong() -> None:
    logits_KNBC = torch.randn(K, 1, B, C, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    label_KB = (INDEX % C).expand(K, B)
    rule, forward = METHODS["gold"]().make(), METHODS["forward"]().make()
    losses = [one.losses(logits_KNBC, label_KB, INDEX, one.init_state(setup(TRUSTED))) for one in (rule, forward)]
    plain = cross_entropy(logits_KNBC, label_KB)
    for b in range(B):
        same = plain if TRUSTED[INDEX[b]] else losses[1]
        torch.testing.assert_close(losses[0][..., b], same[..., b])


def test_trusted_rows_alone_learn_from_nothing_else() -> None:
    weight_KNB = METHODS["trusted_only"]().make().weights(torch.rand(K, 1, B), batch("trusted_only", 1, torch.zeros(1)))
    expected = TRUSTED[INDEX] / TRUSTED[INDEX].sum()
    torch.testing.assert_close(weight_KNB, expected.expand(K, 1, B))


@pytest.mark.parametrize("method", ["anchored", "gold", "trusted_only"])
def test_without_a_trusted_row_they_are_refused(method: str) -> None:
    with pytest.raises(SpecError, match="known to be right"):
        parse_job({"kind": "compare", "compare": {"entries": [{"method": method}]}})


@pytest.fixture
def own(tmp_path: Path) -> tuple[JobSpec, str]:
    """Rows of which 40 are trusted: 20 validate, 20 train."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 4
    x = rng.normal(size=(200, 5)).astype(np.float32) + 2 * np.eye(4, 5, dtype=np.float32)[y]
    np.savez(tmp_path / "own.npz", X=x, y=y, X_test=x[:40], y_test=y[:40])
    data = {"name": "arrays", "params": {"path": "own.npz"}, "n_validation": 20}
    data["trusted"] = {"rows": list(range(40)), "n_validation": 20, "n_test": 0}
    train = {"n_epochs": 3, "batch_size": 16, "network": "mlp_tabular"}
    spec = parse_job({"kind": "auto", "data": data, "train": train, "report": {"tau": 0.2}})
    return replace(spec, data=counted(spec.data, str(tmp_path))), str(tmp_path)


def test_what_chose_trains_once_the_choice_is_made(own: tuple[JobSpec, str]) -> None:
    spec, root = own
    assert spec.data.trusted_rows == TrustedRows(n_test=0, n_validation=20, n_train=20)
    before, after = load_split(spec.data, root), load_split(refitted(spec), root)
    assert before.trusted is not None
    assert after.trusted is not None
    assert (int(before.trusted.sum()), int(after.trusted.sum())) == (20, 40)
    assert set(after.train_rows.tolist()) == set(before.train_rows.tolist()) | set(before.validation_rows.tolist())
    assert spec.compare is not None
    kept = replace(spec, compare=replace(spec.compare, refit=False))
    assert refitted(kept) == spec.data
    old = replace(spec, compare=replace(spec.compare, refit=None))  # of a job that was stored before there was a choice
    assert refitted(old) == spec.data


def test_a_population_gets_its_trusted_rows_in_the_order_of_its_samples(own: tuple[JobSpec, str]) -> None:
    spec, root = own
    first = loop.next_round(spec, ())
    assert first is not None
    population = loop.populations(spec, Round(0, "compare", first.trials[:1]))[0]
    trials = StackedTrials(population, torch.device("cpu"), torch.float32, root)
    assert trials.trusted_S is not None
    rows = load_split(population.data, root).train_rows
    assert trials.trusted_S.tolist() == (rows < 40).tolist()
    assert trials.margins is None  # rows that chose are no part of an audit
