"""Models that are fitted in one go: what they make of T, their trials, their files."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import s2e
from s2e.data.transition import pair, symmetric
from s2e.door import parse_job
from s2e.export import export_model
from s2e.fitted_model import ESTIMATOR, FittedNetwork, to_tensors
from s2e.jobs.methods_tried import PORTFOLIO, portfolio
from s2e.methods.fitted import FittedModel, carried_back
from s2e.parts import METHODS, FittedPart
from s2e.train.check import check_population
from s2e.train.keep import BelowRoot, train_kept
from s2e.train.trial import PopulationEnd, PopulationEpoch, train_population
from s2e.words import DataError, DataSpec, NoiseSpec, PlanSpec, Population, SpecError, TrainSpec, TrialSpec, replace

MODELS = tuple(name for name, part in METHODS.items() if part.fitted)
QUICK: dict[str, dict[str, Any]] = {
    "forest": {"n_trees": 20},
    "extra_trees": {"n_trees": 20},
    "boosting": {"n_rounds": 3},
    "logistic": {"n_steps": 20},
    "blend": {"n_folds": 2, "n_trees": 5},
}


def population(method: str, *ks: int, **params: Any) -> Population:
    trials = tuple(TrialSpec(0, k, "a", 1, (1.0,) * 4, 10 + k, 20, 30 + k) for k in ks or (0,))
    train = TrainSpec(method=method, params={**QUICK.get(method, {}), **params}, n_epochs=4, batch_size=32)
    data = DataSpec(name="digits", noise=NoiseSpec("symmetric", 0.4), n_validation=300, n_train=300)
    return Population(data, train, PlanSpec(), 2, trials)


def end_of(training: Population) -> PopulationEnd:
    *_, end = train_population(training)
    assert isinstance(end, PopulationEnd)
    return end


@pytest.mark.parametrize("method", MODELS)
def test_a_population_is_its_trials_alone_and_is_measured_once(method: str) -> None:
    first, end = train_population(population(method, 0, 1))
    assert isinstance(first, PopulationEpoch)
    assert isinstance(end, PopulationEnd)
    assert [(row.k, row.epoch) for row in first.epochs] == [(0, 0), (1, 0)]
    alone = end_of(population(method, 1))
    assert end.results[1] == alone.results[0]
    result = end.results[0]
    assert not result.failed
    assert (result.validation_accuracy or 0) > 0.3  # chance is 0.1, and 40 % of the labels are wrong
    assert result.final is not None
    assert result.final.balanced is not None
    assert len(result.final.members) == (3 if method == "blend" else 0)
    row = first.epochs[0]
    assert row.wrong_correct is not None
    assert row.wrong_memorised is not None
    assert row.wrong_correct + row.wrong_memorised <= 1
    assert row.label_precision == pytest.approx(0.6, abs=0.1)


def test_predictions_are_carried_back_through_the_matrix() -> None:
    rng = np.random.default_rng(0)
    p_SC = rng.dirichlet(np.full(5, 0.5), size=50)
    for T_CC in (symmetric(5, 0.4), pair(5, 0.4)):
        back_SC = carried_back(p_SC @ T_CC, T_CC)
        # the likelihood of g has its maximum at p where T has an inverse: the gap to it cannot grow
        gained = ((p_SC @ T_CC) * np.log(back_SC @ T_CC)).sum(1) - ((p_SC @ T_CC) * np.log(p_SC @ T_CC)).sum(1)
        assert np.abs(gained).max() < 2e-3
        assert np.allclose(back_SC.sum(1), 1)
        assert (back_SC.argmax(1) == p_SC.argmax(1)).mean() > 0.95
    impossible = carried_back(np.array([[0.0, 0.0, 1.0]]), symmetric(3, 0.4))
    assert impossible[0].argmax() == 2
    assert (impossible >= 0).all()


def test_the_matrix_helps_where_wrong_labels_are_nearly_as_many() -> None:
    noise = NoiseSpec("pair", 0.4)
    accuracy = {}
    for how in ("none", "corrected", "reweighted"):
        asked = population("svc", transition=how)
        asked = replace(asked, data=replace(asked.data, noise=noise, n_train=900))
        accuracy[how] = end_of(asked).results[0].test_accuracy or 0
    assert accuracy["reweighted"] > accuracy["none"]
    assert accuracy["corrected"] > accuracy["none"]


def test_what_a_model_cannot_take_is_a_failed_trial_and_not_a_failed_job() -> None:
    asked = population("complement_nb")
    asked = replace(asked, data=replace(asked.data, normalise="none"))
    rare = replace(asked, train=replace(asked.train, method="svc"), data=replace(asked.data, n_train=32))
    (result,) = end_of(rare).results
    assert result.failed == (result.reason != "")
    few = replace(rare, data=replace(rare.data, n_train=12), train=replace(rare.train, batch_size=4))
    (result,) = end_of(few).results
    assert result.failed
    assert result.reason.startswith("svc cannot be fitted: ")
    assert check_population(few, None).epoch_s >= 0


def test_a_check_counts_a_model_s_own_time_and_not_that_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock by which everything takes a thousand seconds, as on a machine that others use."""
    clock = count(0.0, 1_000.0)
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert check_population(population("logistic"), None).epoch_s < 1_000 / 4


def test_more_rows_than_it_takes_are_a_stratified_share() -> None:
    rule = METHODS["forest"].of({"n_trees": 5, "max_rows": 50}).make()
    rng = np.random.default_rng(1)
    x, label = rng.normal(size=(400, 3)).astype(np.float32), np.repeat([0, 1], 200)
    model = rule.fit(x, label, 3, None, 7)
    assert model.estimator.estimators_[0].tree_.n_node_samples[0] <= 50
    assert model.predict_proba(x).shape == (400, 3)
    assert (model.predict_proba(x)[:, 2] == 0).all()


def test_a_trusted_row_is_its_label_and_nothing_else() -> None:
    """Half of the labels of a class are another's; where they are trusted, they are learned as they are."""
    rule = METHODS["logistic"].of({"transition": "reweighted"}).make()
    rng = np.random.default_rng(2)
    x = (rng.normal(size=(400, 2)) + 3 * np.eye(2)[np.arange(400) % 2]).astype(np.float32)
    label = np.where(np.arange(400) % 10 < 4, 1 - np.arange(400) % 2, np.arange(400) % 2)
    T_CC = symmetric(2, 0.4)
    told = [rule.fit(x, label, 2, T_CC, 1, trusted).predict_proba(x).max(1).mean() for trusted in (None, label >= 0)]
    assert told[0] > 0.85  # what is wrong is seen through
    assert told[1] < 0.75  # nothing is wrong: two of five rows are really of the other class


@pytest.mark.slow
def test_it_predicts_from_its_file_alone_in_another_process(tmp_path: Path) -> None:
    asked = population("forest", transition="corrected")
    *_, end = train_kept(asked, BelowRoot(tmp_path, "job", 1, None), None)
    assert isinstance(end, PopulationEnd)
    path = tmp_path / str(end.results[0].model)
    rows = np.random.default_rng(0).integers(0, 17, size=(20, 8, 8))
    script = (
        "import json, numpy as np, s2e; rows = np.random.default_rng(0).integers(0, 17, size=(20, 8, 8));"
        f"print(json.dumps(s2e.load_model({str(path)!r}).predict_proba(rows).tolist()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(done.stdout), s2e.load_model(path).predict_proba(rows), atol=1e-12)
    assert export_model(path, tmp_path / "taken").suffix == ".safetensors"
    with pytest.raises(SpecError, match="forest is no network"):
        export_model(path, tmp_path / "taken", "onnx")


def test_a_file_with_a_type_that_nobody_trusts_is_not_loaded() -> None:
    strange = FittedModel(subprocess.Popen, np.arange(2), 2)
    with pytest.raises(DataError, match="it was not loaded"):
        FittedNetwork(to_tensors(strange), {"train": {"method": "forest"}, "shape": {"n_classes": 2}})
    assert ESTIMATOR in to_tensors(strange)
    assert torch.is_tensor(to_tensors(strange)[ESTIMATOR])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"train": {"method": "svc"}}, "train.method"),
        ({"noise": {"kind": "open_set", "open_set": "foreign.npz"}}, "data.noise.kind"),
    ],
)
def test_jobs_that_search_a_schedule_or_replace_images_refuse_it(body: dict[str, Any], field: str) -> None:
    train = body.get("train", {})
    job = (
        {"kind": "search", "train": train}
        if train
        else {
            "kind": "compare",
            "data": {"noise": body["noise"]},
            "compare": {"entries": [{"method": "forest"}]},
        }
    )
    with pytest.raises(SpecError) as refused:
        parse_job(job)
    assert any(field in problem.field or "forest" in problem.allowed for problem in refused.value.problems)


def test_the_portfolio_has_what_suits_the_data() -> None:
    def methods(data: dict[str, Any]) -> set[str]:
        return {entry.label for entry in portfolio(parse_job({"kind": "auto", "data": data}))}

    digits = methods({})
    assert {"svc", "svc, reweighted", "forest, reweighted", "forest, leaves of 10"} <= digits
    assert not digits & {"complement_nb", "anchored", "gold", "trusted rows alone", "boosting"}
    assert "complement_nb, reweighted" in methods({"name": "newsgroups20"})
    assert "svc, reweighted" not in methods({"name": "cifar10", "noise": {"kind": "human"}})
    own = {"name": "arrays", "params": {"path": "a.npz"}}
    assert {"anchored, 1.4 tau", "gold", "trusted rows alone"} <= methods({**own, "trusted": {"rows": [1, 2]}})
    assert not {"anchored", "gold"} & methods(own)
    assert {"extra trees", "blend", "blend, corrected"} <= methods(own)
    assert not {"extra trees", "blend"} & digits
    assert {"boosting", "boosting, corrected"} <= methods(own)  # boosted trees are slow on images, and no use there
    said = portfolio(parse_job({"kind": "auto", "data": own, "report": {"tau": 0.3}}))  # nothing is estimated then
    assert {"svc", "coteaching"} <= {entry.method for entry in said}
    assert not {"forward", "svc, reweighted"} & {entry.label for entry in said}
    assert len({entry.label for entry in PORTFOLIO}) == len(PORTFOLIO)


def test_another_package_s_model_joins_it() -> None:
    from s2e.parts import method, param

    @method("theirs", rule="s2e.methods.classic:Forest")
    class Theirs(FittedPart):
        """A model of another package."""

        candidate = True
        n_trees: int = param(3, ge=1, doc="trees")
        leaf: int = param(1, ge=1, doc="rows of a leaf")

    Theirs.__module__ = "theirs.parts"
    try:
        assert "theirs" in {entry.method for entry in portfolio(parse_job({"kind": "auto"}))}
    finally:
        METHODS.discard("theirs")
