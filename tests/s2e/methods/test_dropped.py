"""Dropped samples used as samples without a label: gradients, who is taught by whom, conditions of the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from s2e.door import parse_job
from s2e.door.overrides import merged, overridden
from s2e.jobs.recommendation import Tried, best_bets
from s2e.jobs.trials import make_space, searched
from s2e.methods.dropped import TeachingDropped
from s2e.methods.engine import MiniBatch
from s2e.parts import METHODS
from s2e.search.parameters import features_of
from s2e.train import fused
from s2e.train.epoch import epoch_order
from s2e.train.population import StackedTrials
from s2e.train.trial import PopulationEpoch, train_population
from s2e.words import PlanSpec, Population, Problem, SpecError, TrialSpec, replace, to_json
from workers.program import program_of

Tiny = Callable[..., Population]
PSEUDO = {"dropped": "pseudo_labels", "dropped_weight": 0.5, "dropped_confidence": 0.0}
CONSISTENT = {"dropped": "consistency", "dropped_weight": 2.0}
USES = [
    ("coteaching", PSEUDO),
    ("coteaching", CONSISTENT),
    ("selfteaching", PSEUDO),
    ("selfteaching", CONSISTENT),
    ("anchored", CONSISTENT),
]


def seen_once(tiny: Tiny, method: str, params: dict[str, Any]) -> tuple[StackedTrials, MiniBatch]:
    """Two trials in float64 that have seen every sample, and a batch of which R(t) keeps half."""
    trials = StackedTrials(tiny((0, 1), method=method, params=params), torch.device("cpu"), torch.float64)
    trials.set_epoch(1)
    batches = [batch_of(trials, index) for index in epoch_order(trials, 1)]
    for batch in batches:
        trials.method.weighted(trials, batch, trials.forward(trials.images(batch.index)))
    return trials, batches[0]


def batch_of(trials: StackedTrials, index: torch.Tensor) -> MiniBatch:
    half = torch.full((2,), index.shape[-1] // 2)
    rate = torch.full((2,), 0.5, dtype=torch.float64)
    return MiniBatch(index, trials.label_KS[:, index], half, rate, trials.epoch, trials.step)


@pytest.mark.parametrize(("method", "params"), USES)
def test_gradients_are_those_of_finite_differences(tiny: Tiny, method: str, params: dict[str, Any]) -> None:
    """Of all logits, with everything that teaches held where it is: it is not differentiated."""
    trials, batch = seen_once(tiny, method, params)
    state = {name: tensor.clone() for name, tensor in trials.method_state.items()}
    logits = trials.forward(trials.images(batch.index)).detach()
    taught_by = logits.softmax(-1)

    def loss(moved_KNBC: torch.Tensor) -> torch.Tensor:
        rule, fixed = trials.method, taught_by.flip(1) if trials.method.exchanges else taught_by
        assert isinstance(rule, TeachingDropped)
        copied = {name: tensor.clone() for name, tensor in state.items()}
        each_KNB = rule.losses(moved_KNBC, batch.label_KB, batch.index, copied)
        share_KNB = (kept == 0) * kept.amax(-1, keepdim=True)
        dropped_KNB = rule.of_dropped(moved_KNBC, fixed, batch.index, copied)
        total: torch.Tensor = (kept * each_KNB + params["dropped_weight"] * share_KNB * dropped_KNB).sum()
        return total

    trials.method_state = {name: tensor.clone() for name, tensor in state.items()}
    free = logits.clone().requires_grad_()
    loss_KN, kept = trials.method.weighted(trials, batch, free)
    (gradient,) = torch.autograd.grad(loss_KN.sum(), free)
    assert loss_KN.sum().item() == pytest.approx(loss(logits).item(), abs=1e-12)
    numeric, step = torch.zeros_like(logits), 1e-6
    for place in np.ndindex(*logits.shape):
        shift = torch.zeros_like(logits)
        shift[place] = step
        numeric[place] = (loss(logits + shift) - loss(logits - shift)) / (2 * step)
    torch.testing.assert_close(gradient, numeric, rtol=1e-6, atol=1e-9)
    dropped_KNB = kept == 0
    assert dropped_KNB.any()
    assert (gradient[dropped_KNB].abs().sum(-1) > 0).any()


def test_a_dropped_sample_counts_its_weight_beside_a_kept_one(tiny: Tiny) -> None:
    """Where the other network is sure of the given labels, R(t) = 1/2 and weight 1 train as R = 1 twice over."""
    params = {**PSEUDO, "dropped_weight": 1.0}
    trials, batch = seen_once(tiny, "coteaching", params)
    sure = 50 * torch.nn.functional.one_hot(batch.label_KB, 4).double()[:, None].expand(-1, 2, -1, -1)
    logits = (sure + torch.randn(sure.shape, generator=torch.Generator().manual_seed(0)).double()).requires_grad_()
    loss_KN, weight_KNB = trials.method.weighted(trials, batch, logits)
    every_KN = trials.method.losses(logits, batch.label_KB, batch.index, {}).mean(-1)
    torch.testing.assert_close(loss_KN, 2 * every_KN)
    assert ((weight_KNB > 0).sum(-1) == batch.keep_K[:, None]).all()


def test_unsure_predictions_teach_nothing(tiny: Tiny) -> None:
    trials, batch = seen_once(tiny, "coteaching", {**PSEUDO, "dropped_confidence": 0.99})
    logits = trials.forward(trials.images(batch.index))
    assert logits.softmax(-1).max() < 0.99
    loss_KN, weight_KNB = trials.method.weighted(trials, batch, logits)
    kept_KN = (weight_KNB * trials.method.losses(logits, batch.label_KB, batch.index, {})).sum(-1)
    assert torch.equal(loss_KN, kept_KN)


@pytest.mark.parametrize("params", [PSEUDO, CONSISTENT], ids=lambda params: params["dropped"])
def test_a_schedule_that_drops_nothing_trains_the_same_bits(tiny: Tiny, params: dict[str, Any]) -> None:
    left, used = (tiny((0, 1), keep=1.0, n_epochs=2, method="coteaching", params=p) for p in ({}, params))
    torch_step = PlanSpec(step="torch")
    rows = [
        [step.epochs for step in train_population(replace(p, plan=torch_step)) if isinstance(step, PopulationEpoch)]
        for p in (left, used)
    ]
    assert rows[0] == rows[1]


def test_the_first_look_at_a_sample_is_not_held_to_nothing(tiny: Tiny) -> None:
    trials = StackedTrials(tiny((0, 1), method="selfteaching", params=CONSISTENT), torch.device("cpu"), torch.float64)
    batch = batch_of(trials, epoch_order(trials, 0)[0])
    logits = trials.forward(trials.images(batch.index))
    loss_KN, weight_KNB = trials.method.weighted(trials, batch, logits)
    torch.testing.assert_close(
        loss_KN, (weight_KNB * trials.method.losses(logits, batch.label_KB, batch.index, {})).sum(-1)
    )
    again_KN, _ = trials.method.weighted(trials, batch, logits + torch.arange(4))
    assert (again_KN > 0).all()
    assert not torch.equal(again_KN, loss_KN)


def test_only_what_leaves_them_alone_weighs_by_ranks() -> None:
    """For the compiled step and for programs across jobs."""
    part = METHODS["coteaching"]
    for params, ranks in (({}, True), (PSEUDO, False)):
        made = part.of(params)
        assert made.by_ranks() == fused.weighs_by_ranks(made.make()) == ranks
        assert fused.has_plain_step(made.make())
        job = parse_job({"train": {"method": "coteaching", "params": params}, "plan": {"step": "native"}})
        trial = TrialSpec(0, 0, "search", 0, (1.0,) * job.train.n_epochs, 1, 2, 3)
        assert bool(program_of(Population(job.data, job.train, job.plan, 3, (trial,)))) == ranks


def refusals(job: dict[str, Any]) -> list[Problem]:
    with pytest.raises(SpecError) as refused:
        parse_job(job)
    return list(refused.value.problems)


@pytest.mark.parametrize(
    ("method", "params", "problem"),
    [
        (
            "coteaching",
            {"dropped": "forgotten"},
            ("dropped", "forgotten", "one of nothing, pseudo_labels, consistency"),
        ),
        ("coteaching", {**PSEUDO, "dropped_weight": 0}, ("dropped_weight", 0.0, "a finite number, > 0 and <= 1000")),
        (
            "coteaching",
            {**PSEUDO, "dropped_confidence": 1},
            ("dropped_confidence", 1.0, "a finite number, >= 0 and < 1"),
        ),
        (
            "coteaching",
            {"dropped_weight": 0.5},
            ("dropped_weight", 0.5, "1.0, its default: only dropped pseudo_labels or consistency uses it"),
        ),
        (
            "coteaching",
            {**CONSISTENT, "dropped_confidence": 0.5},
            ("dropped_confidence", 0.5, "0.8, its default: only dropped pseudo_labels uses it"),
        ),
        ("coteaching", {**CONSISTENT, "dropped_momentum": 0.5}, ("dropped_momentum", 0.5, "unknown field")),
        ("coteaching_plus", PSEUDO, ("dropped", "pseudo_labels", "unknown field")),
    ],
)
def test_bad_settings_are_named(method: str, params: dict[str, Any], problem: tuple[str, Any, str]) -> None:
    name, value, allowed = problem
    first = refusals({"train": {"method": method, "params": params}})[0]
    assert (first.field, first.value) == (f"train.params.{name}", value)
    assert first.allowed.startswith(allowed)


USE = {"kind": "choice", "values": ["nothing", "pseudo_labels", "consistency"]}
WEIGHT = {"kind": "log", "low": 0.1, "high": 10.0}
PARAMETERS = {"train.params.dropped": USE, "train.params.dropped_weight": WEIGHT}


def search(parameters: dict[str, Any], **params: Any) -> dict[str, Any]:
    return {"train": {"params": params}, "search": {"parameters": parameters, "n_rounds": 2, "n_trials": 3}}


def test_a_search_moves_a_setting_only_where_it_has_an_effect() -> None:
    spec = parse_job(search(PARAMETERS))
    space = make_space(spec)
    x_SX = space.sample(space.initial_theta(), np.random.default_rng(0), 60)
    features = space.features(x_SX, spec.train.n_epochs)[:, -4:]
    for x_X, row in zip(x_SX, features, strict=True):
        settings = space.overrides(space.point(x_X))["params"]
        if settings["dropped"] == "nothing":
            assert settings == {"dropped": "nothing"}
            assert row[3] == 0
        else:
            assert 0.1 <= settings["dropped_weight"] <= 10
            assert row[3] > 0
        trained = overridden(spec, {"params": settings})
        assert trained.params["dropped_weight"] == settings.get("dropped_weight", 1.0)
        np.testing.assert_allclose(features_of(searched(spec)[0], to_json(trained), searched(spec)[1]), row, atol=1e-12)
    assert {space.overrides(space.point(x_X))["params"]["dropped"] for x_X in x_SX} == set(USE["values"])


def test_a_recommendation_knows_what_trials_that_leave_them_alone_have_in_common() -> None:
    spec = parse_job(search(PARAMETERS))
    curve = (1.0,) * spec.train.n_epochs
    params: list[dict[str, Any]] = [{"dropped": "nothing"}, {"dropped": "nothing"}, PSEUDO]
    tried = [Tried(curve, {"params": p}, objective) for p, objective in zip(params, (0.4, 0.4, 0.2), strict=True)]
    assert best_bets(spec, tried, 3) == [2, 0]


def test_a_setting_of_the_job_without_effect_beside_a_trial_s_is_its_default() -> None:
    spec = parse_job({"train": {"params": {**PSEUDO, "dropped_confidence": 0.5}}})
    assert overridden(spec, {"params": {"dropped": "nothing"}}).params == METHODS["coteaching"].of({}).settings()
    assert merged(spec.train, {"params": {"dropped": "consistency"}}).params["dropped_weight"] == 0.5
    with pytest.raises(SpecError, match=r"dropped_weight = 0\.2"):
        overridden(spec, {"params": {"dropped": "nothing", "dropped_weight": 0.2}})


@pytest.mark.parametrize(
    ("parameters", "params", "name", "allowed"),
    [
        ({"train.params.dropped_weight": WEIGHT}, {}, "dropped_weight", "its default: only dropped"),
        (
            {**PARAMETERS, "train.params.dropped_confidence": {"kind": "linear", "low": 0.5, "high": 1.5}},
            {},
            "dropped_confidence",
            "train.params.dropped_confidence: a finite number, >= 0 and < 1",
        ),
        (
            {"train.params.dropped": {"kind": "choice", "values": ["nothing", "consistency"]},
             "train.params.dropped_confidence": {"kind": "linear", "low": 0.5, "high": 0.9}},
            {},
            "dropped.values",
            "pseudo_labels among them: else train.params.dropped_confidence has no effect",
        ),
        ({"train.params.dropped": {"kind": "linear", "low": 0, "high": 1}}, {}, "dropped", "dropped: one of nothing"),
    ],
)  # fmt: skip
def test_a_search_that_moves_what_has_no_effect_is_refused(
    parameters: dict[str, Any], params: dict[str, Any], name: str, allowed: str
) -> None:
    first = refusals(search(parameters, **params))[0]
    assert first.field == f"search.parameters.train.params.{name}"
    assert allowed in first.allowed


def test_documentation_says_where_a_setting_has_an_effect() -> None:
    (line,) = (line for line in METHODS["coteaching"].field_lines() if line[0] == "dropped_confidence")
    assert line[3].endswith("; only with dropped pseudo_labels")
