"""A fit within seconds: whole rounds and models while they end in time, and the plan that was run is a plan."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from s2e.deadline import Deadline, seconds_of
from s2e.door import parse_job
from s2e.fitting.race import HASTY, Race, with_hasty, with_race
from s2e.fitting.runs import Run
from s2e.jobs.auto import candidates
from s2e.local_pool import Ended
from s2e.networks.library import instruction_set
from s2e.pace import MOST_MODELS, MOST_ROUNDS, Pace, guessed, judged_in_time, measured, planned, worth_their_start
from s2e.parts import METHODS
from s2e.sklearn import NoisyLabelClassifier
from s2e.train.check import Measured, check_population
from s2e.words import (
    DataError,
    DataSpec,
    EstimatedNoise,
    Evidence,
    FinalAccuracies,
    JobSpec,
    PlanSpec,
    Population,
    SpecError,
    TrainSpec,
    TrialResult,
    TrialSpec,
    replace,
)

pytestmark = pytest.mark.filterwarnings("ignore:the model agrees")  # five epochs teach nothing
QUICK: dict[str, Any] = {"n_epochs": 5, "noise_rate": 0.2, "budget": "60 s", "random_state": 1}


class Clock:
    """Stands still until something is trained."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.mark.parametrize(
    ("budget", "seconds"), [(90, 90), ("90", 90), ("90 s", 90), ("5 min", 300), ("1.5h", 5400), ("2 Minutes", 120)]
)
def test_a_budget_is_seconds_or_words(budget: Any, seconds: float) -> None:
    assert seconds_of(budget, "budget") == seconds


@pytest.mark.parametrize("budget", [0, -3, "soon", "5 days", True, "nan"])
def test_another_budget_is_refused(budget: Any) -> None:
    with pytest.raises(SpecError, match="budget"):
        Deadline.of(budget, "budget")


def test_what_fits_ends_nearer_to_the_deadline_than_now() -> None:
    clock = Clock()
    deadline = Deadline(10, clock)
    clock.at += 8
    deadline.took("round", 3.9)
    assert deadline.fits("round")  # would end at 11.9, 1.9 late; it is 2 early now
    deadline.took("round", 4.1)
    assert not deadline.fits("round")
    deadline.took("round", 1.0)
    assert not deadline.fits("round")  # the slowest of the last three counts
    deadline.took("round", 1.0)
    deadline.took("round", 1.0)
    assert deadline.fits("round")
    assert not deadline.fits("round", reserve=1.6)


@pytest.mark.parametrize("seconds", [20, 60, 300, 3600])
@pytest.mark.parametrize("one_s", [0.001, 0.01, 0.1])
def test_a_plan_is_made_of_small_pieces(seconds: float, one_s: float) -> None:
    spec = planned(JobSpec(train=TrainSpec(n_epochs=40)), Pace(one_s, 4 * one_s, 1_000), Deadline(seconds, Clock()), 2)
    assert spec.train.n_epochs * one_s <= max(0.04 * seconds, 5 * one_s)
    assert spec.train.n_epochs * 4 * one_s * spec.search.n_trials / 6 <= max(0.12 * seconds, 5 * 4 * one_s / 3) * 1.001
    assert spec.plan.population == -(-spec.search.n_trials // 2)
    assert spec.search.n_rounds == MOST_ROUNDS


def test_a_budget_too_small_for_anything_names_one_that_would_do() -> None:
    with pytest.raises(SpecError, match=r"budget = '1 s': about 10 s or more: a round of 2 trainings and a model of 5"):
        planned(JobSpec(), Pace(0.5, 0.9, 1_000), Deadline(1, Clock()), 1)


def test_an_estimate_takes_fewer_folds_then_fewer_rows_then_none() -> None:
    pace = Pace(1.0, 3.0, 40_000)
    asked = [judged_in_time(pace, 128, Deadline(seconds, Clock()), 40_000) for seconds in (3_000, 400, 150, 10)]
    assert asked == [(40_000, 5), (40_000, 3), (20_000, 3), (0, 0)]


def test_a_busy_minute_that_is_over_costs_neither_epochs_nor_the_estimate() -> None:
    idle, after, within = (Pace(0.05, 0.2, 240, busy, seen) for busy, seen in ((1, 1), (8, 1), (8, 8)))
    asked = [judged_in_time(pace, 32, Deadline(600, Clock()), 300) for pace in (idle, after, within)]
    assert asked[0] == asked[1] == (300, 5)
    assert asked[2] == (0, 0)
    spec = JobSpec(train=TrainSpec(n_epochs=40))
    epochs = [planned(spec, pace, Deadline(30, Clock()), 1).train.n_epochs for pace in (idle, after, within)]
    assert epochs[0] == epochs[1] > epochs[2]


def test_cross_fitting_takes_as_long_as_training_where_neither_is_compiled() -> None:
    spec = parse_job({"data": {"n_train": 100}, "train": {"network": "mlp", "batch_size": 32}})
    asked = (replace(spec, plan=replace(spec.plan, step=step)) for step in ("torch", "auto"))
    torch, compiled = (measured(each, None, 1) for each in asked)
    assert torch.slower < 1
    assert compiled.slower > 1 or instruction_set(half=False) is None


@pytest.fixture(scope="module")
def digits() -> Any:
    bunch, rng = load_digits(), np.random.default_rng(3)
    return bunch.data[:200], np.where(rng.random(200) < 0.2, (bunch.target[:200] + 1) % 10, bunch.target[:200])


@pytest.fixture(scope="module")
def within(digits: Any) -> tuple[NoisyLabelClassifier, list[int]]:
    """A fit within 60 seconds on a clock by which each training of one takes 2 of them, and a wave what its slowest
    population takes; with the sizes of its waves."""
    clock, waves = Clock(), []
    train = Run._trained

    def trained(self: Any, wave: Any, reserve: Any) -> Any:
        waves.append(sum(len(population.trials) for population in wave))
        results = train(self, wave, reserve)
        clock.at += max(2.0 * len(population.trials) for population in wave)
        return results

    pace = Pace(0.4, 1.2, 160)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "_trained", trained)
        patch.setattr("s2e.fitting.fit.measured", lambda *_: pace)
        patch.setattr("s2e.deadline.time.monotonic", clock)
        clf = NoisyLabelClassifier(
            n_epochs=5, noise_rate=0.2, budget="60 s", method="coteaching", random_state=1, hidden=(16,)
        )
        clf.fit(*digits)
    return clf, waves


def test_it_ends_by_whole_rounds_and_models_and_fills_its_budget(within: Any) -> None:
    clf, waves = within
    n_trials, n_models = clf.job_["spec"]["search"]["n_trials"], clf.job_["n_models"]
    n_rounds = clf.job_["spec"]["search"]["n_rounds"]
    assert waves == [n_trials] * n_rounds + [1] * n_models
    took = 2 * (n_rounds * n_trials + n_models)
    assert 54 <= took <= 66
    assert 2 * n_models >= 0.2 * 60 - 2 * n_trials
    assert 1 < n_rounds < MOST_ROUNDS
    assert 1 < n_models < MOST_MODELS
    assert len(clf.report_["trials"]) == n_rounds * n_trials


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_stored_plan_gives_the_same_bits_on_any_number_of_processes(within: Any, digits: Any, n_jobs: int) -> None:
    clf, _ = within
    stored = json.loads(json.dumps(clf.job_))
    again = NoisyLabelClassifier(random_state=9, n_jobs=n_jobs).fit(*digits, job=stored)
    np.testing.assert_array_equal(again.predict_proba(digits[0]), clf.predict_proba(digits[0]))
    np.testing.assert_array_equal(again.schedule_, clf.schedule_)
    np.testing.assert_array_equal(again.label_issues_.label_quality, clf.label_issues_.label_quality)
    assert json.loads(json.dumps(again.job_)) == stored


def test_a_plan_of_other_rows_and_what_is_none_are_refused(within: Any, digits: Any) -> None:
    clf, _ = within
    x, y = digits
    with pytest.raises(DataError, match="other rows or labels"):
        NoisyLabelClassifier().fit(x, np.roll(y, 1), job=clf.job_)
    with pytest.raises(DataError, match="job_"):
        NoisyLabelClassifier().fit(x, y, job={"spec": {}})


def test_labels_are_named_as_they_were_given(within: Any, digits: Any) -> None:
    clf, _ = within
    assert clf.label_issues_.given_label.tolist() == digits[1].tolist()


def test_what_would_end_too_late_is_as_if_it_had_not_been_begun(digits: Any) -> None:
    """On a clock by which an epoch takes a second at first, and four of them from the second model on."""
    clock, begun = Clock(), []
    train = Run._trained

    def trained(self: Any, wave: Any, reserve: Any) -> Any:
        begun.append(wave[0].trials[0].label)
        steps = self.train

        def slower(populations: Any) -> Any:
            for step in steps(populations):
                clock.at += 4.0 if begun.count("searched") > 1 else 1.0
                yield step

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self, "train", slower)
            return train(self, wave, reserve)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "_trained", trained)
        patch.setattr("s2e.fitting.fit.measured", lambda *_: Pace(0.1, 0.2, 160))
        patch.setattr("s2e.deadline.time.monotonic", clock)
        clf = NoisyLabelClassifier(
            n_epochs=5, noise_rate=0.2, budget="60 s", method="coteaching", random_state=1, hidden=(8,)
        ).fit(*digits)
    n_rounds, n_models = clf.job_["spec"]["search"]["n_rounds"], clf.job_["n_models"]
    assert clock.at - 100 <= 66
    assert len(begun) > n_rounds + n_models  # something was given up
    again = NoisyLabelClassifier().fit(*digits, job=clf.job_)
    np.testing.assert_array_equal(again.predict_proba(digits[0]), clf.predict_proba(digits[0]))


# --- a choice within a budget -----------------------------------------------------------------------------------------


def raced(digits: Any, one_s: float = 1.5, **settings: Any) -> tuple[NoisyLabelClassifier, float]:
    """A choice within 60 seconds on a clock by which every training takes as long; with the time it took."""
    clock, train = Clock(), Run._trained

    def trained(self: Any, wave: Any, reserve: Any) -> Any:
        results = train(self, wave, reserve)
        clock.at += one_s * max(len(population.trials) for population in wave)
        return results

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "_trained", trained)
        patch.setattr("s2e.fitting.fit.measured", lambda *_: Pace(0.3, 0.9, 160))
        patch.setattr("s2e.fitting.race.guessed", lambda *_: one_s)
        patch.setattr("s2e.deadline.time.monotonic", clock)
        clf = NoisyLabelClassifier(**{**QUICK, "hidden": (16,), **settings}).fit(*digits)
    return clf, clock.at - 100


def test_within_a_budget_a_method_is_chosen_among_as_many_as_there_is_time_for(digits: Any) -> None:
    names = ("coteaching", "elr", "gce", "sce", "standard")
    few, took_few = raced(digits, one_s=10.0, candidates=names)
    more, took_more = raced(digits, one_s=4.0, candidates=names)
    for clf, took in ((few, took_few), (more, took_more)):
        rows = clf.report_["candidates"]
        assert 54 <= took <= 66
        assert clf.method_ in {entry["method"] for entry in clf.job_["spec"]["compare"]["entries"]}
        assert rows[0]["candidate"] == clf.report_["chosen"]
        assert max(row["n_seeds"] for row in rows) == clf.job_["spec"]["search"]["n_rounds"]
        again = NoisyLabelClassifier(random_state=9).fit(*digits, job=json.loads(json.dumps(clf.job_)))
        np.testing.assert_array_equal(again.predict_proba(digits[0]), clf.predict_proba(digits[0]))
        np.testing.assert_array_equal(again.label_issues_.label_quality, clf.label_issues_.label_quality)
        assert (again.method_, again.report_["candidates"]) == (clf.method_, rows)
        assert json.loads(json.dumps(again.job_)) == json.loads(json.dumps(clf.job_))
    assert len(few.report_["candidates"]) < len(more.report_["candidates"])
    assert len(few.report_["candidates"]) >= 2
    assert len(more.report_["candidates"]) == 6


def test_a_model_that_is_fitted_in_one_go_may_win_and_is_trained_once(digits: Any) -> None:
    clf, took = raced(digits, one_s=12.0, candidates=("svc", "standard"), noise_rate=0.0, n_epochs=1)
    assert (clf.method_, clf.job_["n_models"]) == ("svc", 1)
    assert took <= 66
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(digits[0]), clf.predict_proba(digits[0]))
    assert (clf.predict(digits[0]) == digits[1]).mean() > 0.6


def test_candidates_too_slow_for_the_budget_are_not_begun(digits: Any) -> None:
    clf, _ = raced(digits, one_s=40.0)
    assert [row["candidate"] for row in clf.report_["candidates"]] == ["coteaching"]
    assert (clf.job_["spec"]["search"]["n_rounds"], clf.job_["n_models"]) == (1, 1)


def test_without_an_estimate_smooth_candidates_are_chosen_among(digits: Any) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise DataError("too few")

    few = digits[0][:80], digits[1][:80] % 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2e.fitting.fit.source_issues", refused)
        patch.setattr("s2e.fitting.fit.judged_in_time", lambda *_: (80, 3))
        patch.setattr("s2e.methods.blend.SMOOTH", (("logistic", {}), ("logistic", {"penalty": 0.01})))
        patch.setattr("s2e.methods.blend.MOST_BOOSTED", 0)
        with pytest.warns(UserWarning, match="taken as 0: too few"):
            clf, took = raced(few, one_s=10.0, noise_rate=None, n_epochs=2)
        compare = clf.job_["spec"]["compare"]
        assert [entry["label"] for entry in compare["entries"]] == ["coteaching", "blend", "extra trees"]
        assert (compare["default"], clf.report_["chosen_by"]) == ("blend", "agreement with held-out given labels")
        assert took <= 66
        assert np.isfinite(clf.label_issues_.label_quality).all()  # by the networks among them
        with pytest.warns(UserWarning, match="taken as 0: too few"):
            again = NoisyLabelClassifier().fit(*few, job=json.loads(json.dumps(clf.job_)))
    np.testing.assert_array_equal(again.predict_proba(few[0]), clf.predict_proba(few[0]))


def hurried(rows: Any, labels: Any) -> NoisyLabelClassifier:
    """A fit within 60 seconds, of which there is no time for an estimate, with the smallest of blends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2e.fitting.fit.judged_in_time", lambda *_: (0, 0))
        patch.setattr("s2e.methods.blend.SMOOTH", (("logistic", {}), ("logistic", {"penalty": 0.01})))
        patch.setattr("s2e.methods.blend.MOST_BOOSTED", 0)
        with pytest.warns(UserWarning, match="no estimate of it fits into 60 s"):
            clf, took = raced((rows, labels), one_s=9.0, noise_rate=None, n_epochs=1)
        assert took <= 66
        again = NoisyLabelClassifier().fit(rows, labels, job=json.loads(json.dumps(clf.job_)))
    np.testing.assert_array_equal(again.predict_proba(rows), clf.predict_proba(rows))
    return clf


def test_where_no_estimate_fits_what_costs_little_is_considered_all_the_same(digits: Any) -> None:
    clf = hurried(digits[0][:80], digits[1][:80] % 2)
    compare = clf.job_["spec"]["compare"]
    labels = [entry["label"] for entry in compare["entries"]]
    assert labels[:3] == ["coteaching", "extra trees, leaves of 5", "blend, two folds"]
    assert (compare["default"], clf.report_["chosen_by"]) == ("blend", "agreement with held-out given labels")
    assert {row["expected_accuracy"] for row in clf.report_["candidates"]} == {None}  # nobody knows what to expect
    assert all(row["validation_accuracy"] is not None for row in clf.report_["candidates"])


def test_what_there_is_time_for_of_it_is_held_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A blend that would end too late leaves trees; networks of a few epochs are no better without a clear lead."""
    clock = Clock()

    def train(wave: Sequence[Population]) -> Iterator[Ended]:
        for i, population in enumerate(wave):
            (trial,) = population.trials
            clock.at += 1.0
            yield Ended(i, (TrialResult(round=trial.round, k=trial.k, validation_accuracy=0.5),))

    monkeypatch.setattr("s2e.fitting.race.guessed", lambda run, _: 50.0 if run.train.method == "blend" else 1.0)
    own = {"name": "arrays", "params": {"path": "rows.npz"}, "n_validation": 100}
    spec = parse_job({"data": own, "train": {"network": "mlp_tabular"}, "report": {"tau": 0.0}})
    race = Race(with_hasty(spec), None, train, 1, Deadline(60, clock))
    assert race.spec.compare.default == "blend"
    race.search()
    tried = {entry.method for entry in race.spec.compare.entries}
    assert tried == {"coteaching", "extra_trees", "forest", "svc"}
    assert race.spec.compare.default == "extra_trees"


def test_the_blend_that_is_held_to_comes_before_further_seeds_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes eight of twenty seconds and eight more as the model, which is as long as there is."""
    clock = Clock()

    def train(wave: Sequence[Population]) -> Iterator[Ended]:
        for i, population in enumerate(wave):
            (trial,) = population.trials
            clock.at += 8.0 if population.train.method == "blend" else 1.0
            yield Ended(i, (TrialResult(round=trial.round, k=trial.k, validation_accuracy=0.5),))

    monkeypatch.setattr("s2e.fitting.race.guessed", lambda run, _: 8.0 if run.train.method == "blend" else 1.0)
    own = {"name": "arrays", "params": {"path": "rows.npz"}, "n_validation": 100}
    spec = parse_job({"data": own, "train": {"network": "mlp_tabular"}, "report": {"tau": 0.0}})
    race = Race(with_hasty(spec), None, train, 1, Deadline(20, clock))
    race.search()
    assert (len(race.history), race.spec.compare.default, race.deadline.left) == (1, "blend", 8.0)


def test_time_for_the_candidate_that_is_held_to_is_left_while_another_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine leads clearly, and a model of it takes a second; one of the blend takes four."""
    clock = Clock()
    cost = {"blend": 4.0}

    def train(wave: Sequence[Population]) -> Iterator[Ended]:
        for i, population in enumerate(wave):
            (trial,) = population.trials
            clock.at += cost.get(population.train.method, 1.0)
            accuracy = 0.9 if population.train.method == "svc" else 0.5
            yield Ended(i, (TrialResult(round=trial.round, k=trial.k, validation_accuracy=accuracy),))

    monkeypatch.setattr("s2e.fitting.race.guessed", lambda run, _: cost.get(run.train.method, 1.0))
    own = {"name": "arrays", "params": {"path": "rows.npz"}, "n_validation": 100}
    spec = parse_job(
        {"data": own, "train": {"network": "mlp_tabular"}, "search": {"n_rounds": 99}, "report": {"tau": 0.0}}
    )
    race = Race(with_hasty(spec), None, train, 1, Deadline(43, clock))
    race.search()
    choice = race.choice()
    assert choice is not None
    assert (choice.overrides["method"], race.deadline.left) == ("svc", 4.0)


def test_so_it_is_with_a_few_pictures(digits: Any) -> None:
    images = (16 * digits[0][:80].reshape(-1, 8, 8) / digits[0].max()).astype(np.uint8)
    clf = hurried(images, digits[1][:80] % 2)
    compare = clf.job_["spec"]["compare"]
    assert [entry["label"] for entry in compare["entries"]][:2] == ["coteaching", "extra trees, leaves of 5"]
    assert clf.job_["audit"] == {"n_rows": 0, "n_folds": 0}


def test_processes_are_not_started_where_that_would_take_what_is_left() -> None:
    pace, clock = Pace(0.1, 0.2, 1_000), Clock()
    chosen = [worth_their_start(pace, Deadline(s, clock), read_s, 2) for s, read_s in ((5, 1), (60, 1), (60, 30))]
    assert [n_jobs for _, n_jobs in chosen] == [1, 2, 1]
    assert [of.round_s for of, _ in chosen] == [0.4, 0.2, 0.4]  # all that two would have done at once
    busy = replace(pace, seen=15.0)
    assert worth_their_start(busy, Deadline(60, clock), 3.0, 2)[1] == 1
    assert worth_their_start(busy, Deadline(60, clock), 3.0, 16)[1] == 16
    assert worth_their_start(pace, Deadline(1, clock), 0.0, 1) == (pace, 1)


def test_images_choose_within_a_budget_and_predict_rows_as_they_are(digits: Any) -> None:
    images = (16 * digits[0].reshape(-1, 8, 8) / digits[0].max()).astype(np.uint8)
    clf, _ = raced((images, digits[1]), one_s=20.0, candidates=("svc", "standard"), noise_rate=0.0, n_epochs=1)
    assert clf.method_ == "svc"
    assert (clf.predict(images) == digits[1]).mean() > 0.6
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(images), clf.predict_proba(images))


def test_an_estimate_that_takes_too_long_is_given_up_as_if_it_had_not_been_begun(digits: Any) -> None:
    clock = Clock()

    def slow(*_: Any, progress: Any, **__: Any) -> Any:
        for share in (0.1, 0.2, 0.3):
            clock.at += 20.0
            progress(share)
        raise AssertionError("nobody has ended it")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2e.fitting.fit.measured", lambda *_: Pace(0.1, 0.2, 160))
        patch.setattr("s2e.fitting.fit.judged_in_time", lambda *_: (200, 3))
        patch.setattr("s2e.fitting.fit.source_issues", slow)
        patch.setattr("s2e.deadline.time.monotonic", clock)
        clf = NoisyLabelClassifier(n_rounds=1, n_epochs=1, budget="60 s", method="auto", random_state=1, hidden=(8,))
        patch.setattr("s2e.pace.MOST_ROUNDS", 1)
        patch.setattr("s2e.fitting.fit.MOST_MODELS", 1)
        patch.setattr("s2e.fitting.race.HASTY", HASTY[:1])
        with pytest.warns(UserWarning, match="takes too long"):
            clf.fit(*digits)
    assert (clf.job_["audit"], clf.noise_rate_, clf.method_) == ({"n_rows": 0, "n_folds": 0}, 0.0, "coteaching")
    assert clock.at == 140.0


def test_what_a_slow_moment_leaves_of_a_budget_goes_to_further_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one model of a winner that is fitted in one go, so nothing else could fill the rest."""
    clock = Clock()

    def train(wave: Sequence[Population]) -> Iterator[Ended]:
        for i, population in enumerate(wave):
            (trial,) = population.trials
            clock.at += 5.0 if trial.k == 9 else 1.0
            accuracy = 0.9 if population.train.method == "svc" else 0.5
            yield Ended(i, (TrialResult(round=trial.round, k=trial.k, validation_accuracy=accuracy),))

    monkeypatch.setattr("s2e.fitting.race.guessed", lambda *_: 1.0)
    race = Race(with_race(JobSpec(), None), None, train, 1, Deadline(20, clock))
    race.search()
    assert len(race.spec.compare.entries) == len(race.history[0].results) > 10
    assert race.deadline.left <= 2.0  # one of them for the model


@pytest.mark.parametrize(("seconds", "rounds"), [(30.0, [6, 3, 2, 2, 2]), (400.0, [6, 6, 6, 6, 6, 2])])
def test_jurors_stay_where_there_is_time_for_all_their_rounds(seconds: float, rounds: list[int]) -> None:
    clock = Clock()
    texts = (base64.b64encode(of.tobytes()).decode() for of in (np.ones(4, "<u2"), np.full((4, 2), 0.25, "<f2")))
    final = FinalAccuracies(None, None, None, evidence=Evidence(None, 0, 4, *texts))  # all weigh the same

    def train(wave: Sequence[Population]) -> Iterator[Ended]:
        clock.at += len(wave)
        for i, population in enumerate(wave):
            (trial,) = population.trials
            yield Ended(i, (TrialResult(round=trial.round, k=trial.k, validation_accuracy=0.5, final=final),))

    data = {"name": "arrays", "params": {"path": "rows.npz"}, "n_validation": 100}
    spec = parse_job({"data": data, "train": {"network": "mlp_tabular"}, "report": {"tau": 0.2}})
    names = ("coteaching", "elr", "gce", "sce", "standard")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2e.fitting.race.guessed", lambda *_: 1.0)
        spec = with_race(replace(spec, search=replace(spec.search, n_rounds=20)), names)
        race = Race(spec, None, train, 1, Deadline(seconds, clock))
        race.search()
    assert [len(record.results) for record in race.history][: len(rounds)] == rounds
    assert race.spec.compare.jurors == (0.5 if rounds[1] == 6 else None)


def test_what_takes_much_of_a_budget_waits_until_the_others_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def train(wave: Sequence[Population]) -> Iterator[Ended]:
        for i, population in enumerate(wave):
            (trial,) = population.trials
            clock.at += dear.get(trial.label, 1.0)
            yield Ended(i, (TrialResult(round=trial.round, k=trial.k, validation_accuracy=0.5),))

    dear = {"elr": 30.0, "boosting": 300.0}
    monkeypatch.setattr("s2e.fitting.race.guessed", lambda run, _: dear.get(run.trials[0].label, 1.0))
    own: dict[str, Any] = {"name": "arrays", "params": {"path": "rows.npz"}, "n_validation": 100, "labels": "injected"}
    own["noise"] = {"kind": "symmetric", "noise_rate": 0.3}
    spec = parse_job({"data": own, "train": {"network": "mlp_tabular"}})
    race = Race(with_race(spec, None), None, train, 1, Deadline(200, clock))
    race.search()
    tried = [entry.label for entry in race.spec.compare.entries]
    assert tried[:3] == ["coteaching", "blend, corrected", "svc, reweighted"]
    assert tried[-1] == "elr"  # a tenth of the budget is 20 s, and half of it is for what is not yet tried
    assert "boosting" not in tried
    assert "boosting, corrected" in tried


def test_only_the_very_first_candidate_is_begun_whatever_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """On two processes, too: the second of the first wave would end after the budget."""
    clock = Clock()

    def train(wave: Sequence[Population]) -> Iterator[Ended]:
        clock.at += max(100.0 if population.train.method == "svc" else 1.0 for population in wave)
        for i, population in enumerate(wave):
            (trial,) = population.trials
            yield Ended(i, (TrialResult(round=trial.round, k=trial.k, validation_accuracy=0.5),))

    monkeypatch.setattr("s2e.fitting.race.guessed", lambda run, _: 100.0 if run.train.method == "svc" else 1.0)
    race = Race(with_race(JobSpec(), ("coteaching", "svc")), None, train, 2, Deadline(20, clock))
    race.search()
    assert "svc" not in {entry.method for entry in race.spec.compare.entries}
    assert race.deadline.left >= 0


def test_a_fit_of_more_rows_is_guessed_by_the_growth_that_its_model_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2e.train.check.check_population", lambda *_, **__: Measured(0.5, 0))
    data = DataSpec(name="digits", n_validation=300, n_train=900)
    seconds = {}
    for method in ("forest", "svc"):
        trial = TrialSpec(0, 0, method, 0, (1.0, 1.0), 1, 2, 3)
        train = TrainSpec(method=method, params=METHODS[method].of({}).settings(), n_epochs=2, batch_size=32)
        seconds[method] = guessed(Population(data, train, PlanSpec(), 1, (trial,)), None)
    assert seconds == {"forest": pytest.approx(3**1.2), "svc": pytest.approx(3**2)}


def test_a_model_that_takes_more_rows_than_a_few_is_not_guessed_to_be_free() -> None:
    """Its folds need so many rows of each class: the first few have not got them."""
    train = TrainSpec(method="svc", params=METHODS["svc"].of({}).settings(), n_epochs=1, batch_size=32)
    trial = TrialSpec(0, 0, "svc", 0, (1.0,), 1, 2, 3)
    population = Population(DataSpec(name="digits", n_validation=300, n_train=900), train, PlanSpec(), 1, (trial,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2e.train.fitted.N_CHECKED", 12)
        check = check_population(population, None)
    assert check.epoch_s > 0
    assert check.n_rows > 12


@pytest.mark.parametrize(("kind", "first"), [("symmetric", "elr"), ("full", "forward")])
def test_what_uses_the_matrix_is_tried_first_where_classes_are_confused_unevenly(kind: str, first: str) -> None:
    estimate = EstimatedNoise(0.3, 0.2, 0.4, ((0.7, 0.3), (0.1, 0.9)), kind)
    own = {"name": "arrays", "params": {"path": "rows.npz"}, "n_validation": 100}
    spec = parse_job({"data": own, "train": {"network": "mlp_tabular"}})
    entries = candidates(with_race(replace(spec, data=replace(spec.data, estimate=estimate)), None))
    assert [entry.label for entry in entries[:3]] == ["coteaching", "blend, corrected", first]
    assert len({entry.label for entry in entries}) == len(entries)
