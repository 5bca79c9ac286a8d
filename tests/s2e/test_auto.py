"""The choice of a method: halving over seeds, the winner beside its rivals, on the engine and by formula."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import s2e
from s2e.data.datasets import load_split
from s2e.door import parse_job, read_job
from s2e.jobs import loop
from s2e.jobs.auto import default_of, finalists, halving_round, ranked, sizes, those_left, turns, winner
from s2e.jobs.compare import entries_of
from s2e.jobs.judging import N_WORTH, Judged, judged, standard_error
from s2e.jobs.methods_tried import PORTFOLIO
from s2e.labels.choice import noisy_score
from s2e.labels.evidence import verdict
from s2e.parts import KINDS
from s2e.train.ends import balanced_accuracy, evidences, noisy_likelihoods
from s2e.train.population import StackedTrials
from s2e.words import (
    SPEC_VERSION,
    CompareReport,
    Evidence,
    FinalAccuracies,
    FinalAccuracy,
    JobSpec,
    Population,
    Round,
    RoundRecord,
    SpecError,
    TrialResult,
    TrialSpec,
    replace,
    to_json,
)

DATA = {"noise": {"kind": "pair", "noise_rate": 0.4}, "n_validation": 60, "n_train": 150}
ENTRIES = [
    {"method": "standard"},
    {"method": "coteaching"},
    {"method": "coteaching", "label": "more", "schedule": {"kind": "scaled", "factor": 1.2}},
    {"method": "elr"},
    {"method": "sce"},
]


def job(**more: Any) -> JobSpec:
    compare = {"n_seeds": 3, "entries": ENTRIES}
    return parse_job({"kind": "auto", "data": DATA, "train": {"n_epochs": 3}, "compare": compare, **more})


def result(trial: TrialSpec, value: float, likelihood: float | None = None, failed: bool = False) -> TrialResult:
    if failed:
        return TrialResult(trial.round, trial.k, failed=True, reason="NaN")
    mean = FinalAccuracy(value, value, value, 0)
    final = FinalAccuracies(mean, None, None, balanced=value / 2, noisy_likelihood=likelihood)
    return TrialResult(
        trial.round, trial.k, objective=1 - value, validation_accuracy=value, test_accuracy=value, final=final
    )


def walked(spec: JobSpec, values: dict[str, float], **more: Any) -> tuple[list[RoundRecord], CompareReport]:
    """A job whose trainings of a label all reach one value, a little apart from seed to seed."""

    def run(round_: Round, populations: tuple[Population, ...]) -> list[TrialResult]:
        return [
            result(
                trial,
                values[trial.label] + 0.001 * trial.repeat,
                (more.get("likelihood") or {}).get(trial.label),
                trial.label in more.get("failed", ()),
            )
            for trial in round_.trials
        ]

    history, report = loop.run_search(spec, run)
    assert isinstance(report, CompareReport)
    return history, report


VALUES = {"standard": 0.6, "coteaching": 0.7, "more": 0.8, "elr": 0.75, "sce": 0.5}


def test_candidates_are_halved_over_seeds_and_every_method_s_best_is_in_the_report() -> None:
    history, report = walked(job(), VALUES)
    kinds = [(record.round.kind, [trial.label for trial in record.round.trials]) for record in history]
    assert kinds[0] == ("halve", ["standard", "coteaching", "more", "elr", "sce"])
    assert kinds[1] == ("halve", ["more", "elr", "coteaching"])
    assert kinds[2] == ("halve", ["more", "elr"])
    assert kinds[3] == ("compare", ["more", "elr", "standard", "sce"] * 3)
    seeds = [{trial.init_seed for trial in record.round.trials} for record in history]
    assert [len(of) for of in seeds] == [1, 1, 1, 3]
    assert len(set.union(*seeds)) == 6  # nothing that was chosen by a training is judged by it
    assert (report.baseline, [row.label for row in report.rows]) == ("more", ["more", "elr", "standard", "sce"])
    assert report.verdict.startswith("“more” was chosen among 5 candidates; ")
    assert report.basis.startswith("The choice was made by validation accuracy (5 + 3 + 2 trainings).")
    assert report.rows[0].balanced is not None
    assert report.rows[0].balanced.mean == pytest.approx(0.401)
    assert loop.n_trials(job()) == sum(len(record.round.trials) for record in history)
    assert loop.n_rounds(job()) == 4


def test_trainings_that_were_not_judged_are_ranked_by_the_likelihood_of_noisy_labels() -> None:
    likelihood = {"standard": -2.0, "coteaching": -1.5, "more": -1.4, "elr": -1.8, "sce": -1.2}
    history, report = walked(job(), VALUES, likelihood=likelihood)
    assert report.baseline == "sce"
    assert "by the likelihood of noisy validation labels" in report.basis
    assert [entry.label for entry in finalists(job(), history)] == ["sce", "more", "elr", "standard"]
    assert ranked(job(), history)[0].label == "sce"


def test_a_failed_training_is_the_worst_and_ties_are_said() -> None:
    same = dict.fromkeys(VALUES, 0.7)
    _, report = walked(job(), same, failed={"standard", "more"})
    assert report.baseline == "coteaching"
    assert "is not separated" in report.verdict or "are not separated" in report.verdict
    assert "tied" in report.verdict


@pytest.mark.parametrize(("n", "planned"), [(2, (2,)), (3, (3, 2, 2)), (4, (4, 2, 2)), (9, (9, 5, 2))])
def test_sizes(n: int, planned: tuple[int, ...]) -> None:
    assert sizes(n) == planned


def test_without_candidates_the_portfolio_that_fits_is_filled_in() -> None:
    spec = job(compare={"n_seeds": 2, "entries": []})
    assert spec.compare is not None
    labels = [entry.label for entry in spec.compare.entries]
    # no trusted samples to reweight by, images, and three epochs are over before DivideMix has warmed up
    left_out = {
        "reweight",
        "dividemix",
        "complement_nb",
        "trusted_only",
        "anchored",
        "gold",
        "boosting",
        "extra_trees",
        "blend",
    }
    assert labels == [entry.label for entry in PORTFOLIO if entry.method not in left_out]
    assert all(entry.params for entry in spec.compare.entries if entry.method == "elr")
    assert parse_job(to_json(spec)) == spec
    trusted = parse_job({"kind": "auto", "data": {**DATA, "n_clean": 20}})
    assert trusted.compare is not None
    assert "reweight" in {entry.method for entry in trusted.compare.entries}


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"compare": {"entries": ENTRIES[:1]}}, "compare.entries"),
        ({"trials": "external"}, "trials"),
        ({"budget": {"trials": 4}}, "budget.trials"),
        ({"budget": {"epochs": 14}}, "budget.epochs"),
        ({"compare": {"entries": [{"method": "elr", "schedule": {"kind": "scaled"}}, *ENTRIES]}}, "schedule.factor"),
        ({"compare": {"entries": [{"method": "forward", "params": {"transition": "x"}}, *ENTRIES]}}, "transition"),
    ],
)
def test_what_leaves_no_choice_is_refused(more: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as refused:
        job(**more)
    assert any(field in problem.field for problem in refused.value.problems)


def test_it_runs_in_one_call_and_replays() -> None:
    entries = [{"method": "standard"}, {"method": "forward"}, {"method": "elr"}]
    body = {"data": {**DATA, "validation_labels": "noisy"}, "train": {"n_epochs": 3, "batch_size": 32}}
    body |= {"kind": "auto", "compare": {"n_seeds": 2, "entries": entries}}
    report = s2e.auto(body, progress=False, workers=1)
    assert len(report.rows) == 3
    assert "by the accuracy to expect from 60 noisy labels" in report.basis
    assert all(row.balanced is not None and row.balanced.mean is not None for row in report.rows)
    body["plan"] = {"population": 1}
    assert s2e.auto(body, progress=False, workers=1).baseline == report.baseline


def test_the_ends_are_what_plain_sums_say(tiny: Any) -> None:
    population = tiny((0, 1), dtype="float64")
    data = replace(population.data, validation_labels="noisy")
    trials = StackedTrials(replace(population, data=data), torch.device("cpu"), torch.float64)
    labels = trials.data.test.labels
    for k, ours in enumerate(balanced_accuracy(trials)):
        logits = trials.forward(trials.data.scaled(trials.data.test.images, trials.dtype), train=False)[k]
        recalls = [(logits[:, labels == c].argmax(-1) == c).double().mean() for c in labels.unique()]
        assert ours == pytest.approx(float(torch.stack(recalls).mean()), abs=1e-12)
    for k, likelihood in enumerate(noisy_likelihoods(trials, data)):
        images = trials.data.scaled(trials.data.validation.images, trials.dtype)
        p_VC = trials.forward(images, train=False)[k].softmax(-1).mean(0).detach().numpy()
        n, rate = p_VC.shape[1], data.noise.noise_rate
        T_CC = torch.full((n, n), rate / (n - 1)).fill_diagonal_(1 - rate).double().numpy()
        assert trials.seen.validation_label_KV is not None
        expected = noisy_score(p_VC, trials.seen.validation_label_KV[k].numpy(), T_CC).log_likelihood
        assert likelihood == pytest.approx(expected, abs=1e-6)
        assert math.isfinite(likelihood or math.nan)
        (kept,) = verdict([evidences(trials, data)[k]]).right_KV
        score = noisy_score(p_VC, trials.seen.validation_label_KV[k].numpy(), T_CC)
        right = score.joint_VC[range(len(p_VC)), p_VC.argmax(1)] / score.joint_VC.sum(1)
        assert kept == pytest.approx(right, abs=2e-3)
    assert noisy_likelihoods(trials, population.data) == [None, None]
    by_right = evidences(trials, population.data)[0]
    assert (by_right.n_right, by_right.n_noisy) == (32, 0)


def test_where_noise_cannot_be_estimated_what_needs_its_matrix_is_left_out_and_said(tmp_path: Path) -> None:
    """Two classes that the features say nothing about: noise and a hard problem look alike."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "flat.npz", X=rng.normal(size=(160, 3)).astype("f4"), y=rng.integers(0, 2, 160))
    entries = [{"method": "standard"}, {"method": "forward"}, {"method": "coteaching"}]
    body = {
        "data": {"name": "arrays", "params": {"path": "flat.npz"}, "n_validation": 30},
        "train": {"network": "mlp_tabular", "network_params": {"hidden": [8]}, "n_epochs": 2, "batch_size": 32},
        "compare": {"n_seeds": 2, "entries": entries},
    }
    report = s2e.auto({"kind": "auto", **body}, data_root=tmp_path, progress=False)
    assert {row.label for row in report.rows} == {"standard", "coteaching"}
    assert "Left out, for want of its matrix: “forward”." in report.verdict
    assert "cannot be estimated" in report.verdict
    assert "20 % of the labels for wrong" in report.verdict
    of_two = parse_job({"kind": "auto", **body, "compare": {"entries": entries[:2]}})
    assert not KINDS["auto"].goes_on_without_noise(of_two)  # one would remain: nothing to choose


def as_text(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def kept(right: float, noisy: Sequence[int], n_right: int = 0, sure: float = 1.0) -> Evidence:
    """Evidence of a training that predicts class 1 on the noisy rows that say so, whose labels and jury say 1."""
    joint = np.tile(sure * np.array([0.1, 0.9]), (len(noisy), 1))
    texts = (as_text(part) for part in (np.array(noisy, "<u2"), joint.astype("<f2")))
    return Evidence(right if n_right else None, n_right, len(noisy), *texts)


def judged_as(spec: JobSpec, evidence: dict[str, Evidence]) -> list[RoundRecord]:
    """A halving in which every training of a label leaves the same evidence."""
    history: list[RoundRecord] = []
    while (round_ := halving_round(spec, history)) is not None:
        results = [result(trial, 0.5) for trial in round_.trials]
        finals = [replace(one.final, evidence=evidence[t.label]) for one, t in zip(results, round_.trials, strict=True)]
        judged = [replace(one, final=final) for one, final in zip(results, finals, strict=True)]
        history.append(RoundRecord(round_, tuple(judged)))
    return history


def test_right_and_noisy_labels_are_weighed_against_each_other() -> None:
    few, many = ([1] * 8 + [0] * 2) * 4, ([1] * 6 + [0] * 4) * 4
    spec = job(compare={"n_seeds": 2, "entries": ENTRIES[:1] + ENTRIES[3:4]})
    by_noise = judged_as(spec, {"standard": kept(0.5, few), "elr": kept(0.5, many)})
    assert ranked(spec, by_noise)[0].label == "standard"
    # 9 points on right labels against 16 on noisy ones, which count as so many right ones
    for jury, n_worth in N_WORTH.items():
        assert spec.compare is not None
        of = replace(spec, compare=replace(spec.compare, jury=jury))
        for n_right, best in ((n_worth * 16 // 9 - 2, "standard"), (n_worth * 16 // 9 + 2, "elr")):
            both = {"standard": kept(0.5, few, n_right), "elr": kept(0.59, many, n_right)}
            assert ranked(of, judged_as(of, both))[0].label == best


def test_the_job_s_own_method_is_left_only_where_noisy_labels_show_more_than_chance() -> None:
    spec = job(compare={"n_seeds": 2, "entries": ENTRIES[:2]})
    assert [entry.label for entry in (ranked(spec, [])[0], default_of(spec))] == ["standard", "coteaching"]
    little = {"standard": kept(0, [1] * 31 + [0] * 9), "coteaching": kept(0, [0] * 2 + [1] * 30 + [0] * 8)}
    history = judged_as(spec, little)
    assert ranked(spec, history)[0].label == "standard"
    assert winner(spec, history).label == "coteaching" == finalists(spec, history)[0].label
    much = {"standard": kept(0, [1] * 39 + [0]), "coteaching": kept(0, [0] * 10 + [1] * 30)}
    assert winner(spec, judged_as(spec, much)).label == "standard"
    by_right = {"standard": Evidence(0.6, 40), "coteaching": Evidence(0.5, 40)}
    assert winner(spec, judged_as(spec, by_right)).label == "standard"  # as far as right labels go, the better mean


def test_a_default_may_be_named_and_uses_the_matrix_where_there_is_one() -> None:
    forests = [{"method": "forest"}, {"method": "forest", "label": "by T", "params": {"transition": "corrected"}}]
    spec = job(compare={"n_seeds": 2, "entries": [*ENTRIES[:2], *forests], "default": "forest"})
    named = default_of(spec)
    assert named is not None
    assert named.label == "by T"
    blind = replace(spec, data=replace(spec.data, unestimated="too few"))
    assert default_of(blind) == entries_of(spec)[2]
    little = {"standard": kept(0, [1] * 31 + [0] * 9), "by T": kept(0, [0] * 2 + [1] * 30 + [0] * 8)}
    history = judged_as(spec, little | {"coteaching": kept(0, [0] * 40), "forest": kept(0, [0] * 40)})
    assert ranked(spec, history)[0].label == "standard"
    assert winner(spec, history).label == "by T"
    with pytest.raises(SpecError, match=r"compare\.default"):
        job(compare={"entries": ENTRIES, "default": "forest"})


def test_a_table_s_choice_holds_to_a_blend_unless_the_job_has_a_method_of_its_own(tmp_path: Path) -> None:
    def held_to(spec: JobSpec) -> str | None:
        assert spec.compare is not None
        return spec.compare.default

    table = {"name": "arrays", "params": {"path": "own.npz"}}
    assert held_to(parse_job({"kind": "auto", "data": table})) == "blend"
    assert held_to(parse_job({"kind": "auto", "data": table, "train": {"method": "elr"}})) is None
    assert held_to(parse_job({"kind": "auto", "data": DATA})) is None  # of images no blend is a candidate
    assert held_to(own_rows(tmp_path)) is None  # nor where the job names its candidates
    content = to_json(own_rows(tmp_path))
    del content["compare"]["default"]
    assert default_of(read_job(content, SPEC_VERSION)) == default_of(own_rows(tmp_path))


# --- given labels take turns ------------------------------------------------------------------------------------------


def own_rows(folder: Path, **compare: Any) -> JobSpec:
    """200 rows of four classes, a tenth of whose labels are wrong; 40 of them judge."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 4
    x = (rng.normal(size=(200, 5)) + 2 * np.eye(4, 5)[y]).astype("f4")
    np.savez(
        folder / "own.npz", X=x, y=np.where(np.arange(200) % 10 == 3, (y + 1) % 4, y), X_test=x[:40], y_test=y[:40]
    )
    return parse_job(
        {
            "kind": "auto",
            "data": {"name": "arrays", "params": {"path": "own.npz"}, "n_validation": 40},
            "train": {"n_epochs": 2, "batch_size": 16, "network": "mlp_tabular", "network_params": {"hidden": [8]}},
            "report": {"tau": 0.1},
            "compare": {"n_seeds": 2, "entries": ENTRIES, **compare},
        }
    )


def rows_of(spec: JobSpec, round_: Round, root: Path) -> tuple[set[int], set[int]]:
    split = load_split(KINDS["auto"].data_of(spec, round_), str(root))
    return set(split.train_rows.tolist()), set(split.validation_rows.tolist())


def test_every_halving_is_judged_by_other_rows_and_all_train_in_the_end(tmp_path: Path) -> None:
    spec = own_rows(tmp_path)
    assert turns(spec) == 5
    parts = [rows_of(spec, Round(m, "halve", ()), tmp_path) for m in range(6)]
    assert [len(judges) for _, judges in parts] == [40] * 6
    assert set.union(*(judges for _, judges in parts[:5])) == set(range(200))
    assert parts[5] == parts[0]
    assert all(not trains & judges and len(trains) == 160 for trains, judges in parts)
    assert rows_of(spec, Round(3, "compare", ()), tmp_path)[0] == set(range(200))
    kept = own_rows(tmp_path, refit=False)
    assert rows_of(kept, Round(3, "compare", ()), tmp_path)[0] == parts[0][0]


def test_jobs_stored_before_rows_took_turns_keep_theirs(tmp_path: Path) -> None:
    spec = own_rows(tmp_path)
    content = to_json(spec)
    for section, fields in (("compare", ("turns", "rounds")), ("data", ("fold", "refit"))):
        for field in fields:
            del content[section][field]
    old = read_job(content, SPEC_VERSION)
    assert {turns(old), turns(own_rows(tmp_path, turns=1)), turns(job())} == {1}
    assert [KINDS["auto"].data_of(old, Round(m, "halve", ())) for m in range(3)] == [old.data] * 3
    assert KINDS["auto"].data_of(old, Round(3, "compare", ())) == old.data
    assert sum(sizes(5)) + 8 == loop.n_trials(old) == loop.n_trials(without_jurors(tmp_path, rounds=3)) - 2


def without_jurors(folder: Path, **compare: Any) -> JobSpec:
    """As jobs were stored before candidates stayed in the jury."""
    content = to_json(own_rows(folder, **{"rounds": 4, **compare}))
    del content["compare"]["jurors"]
    return read_job(content, SPEC_VERSION)


def test_without_jurors_the_last_two_are_judged_by_a_fourth_part(tmp_path: Path) -> None:
    spec, three = without_jurors(tmp_path), without_jurors(tmp_path, rounds=3)
    assert spec.compare is not None
    even = own_rows(tmp_path, jury="even").compare
    assert (even.rounds, even.jurors, job().compare.rounds) == (4, None, 3)  # type: ignore[union-attr]
    assert loop.n_trials(spec) == loop.n_trials(three) + 3  # the best two, and the default
    history = judged_as(spec, {label: kept(0, [1] * (10 + i) + [0] * (14 - i)) for i, label in enumerate(VALUES)})
    last_two = [[trial.label for trial in record.round.trials] for record in history][2:]
    assert last_two == [["sce", "elr", "coteaching"]] * 2
    content = to_json(spec)
    del content["compare"]["rounds"]
    old = read_job(content, SPEC_VERSION)
    assert loop.n_trials(old) == loop.n_trials(three)
    assert halving_round(old, history[:3]) is None


def test_who_weighs_in_the_jury_stays_until_every_part_has_judged(tmp_path: Path) -> None:
    """Two are the best, the default is no good, and "elr" alone makes the labels likely."""
    spec = own_rows(tmp_path, rounds=6)
    assert spec.compare is not None
    assert (spec.compare.jurors, own_rows(tmp_path).compare.rounds) == (0.5, 5)  # type: ignore[union-attr]
    n_right = {"standard": 9, "sce": 8, "more": 7, "coteaching": 6, "elr": 5}
    evidence = {
        label: kept(0, [1] * n + [0] * (10 - n), sure=1 if label == "elr" else 0.2) for label, n in n_right.items()
    }

    def labels_of(spec: JobSpec) -> list[list[str]]:
        return [[trial.label for trial in record.round.trials] for record in judged_as(spec, evidence)]

    everyone, best = [entry.label for entry in entries_of(spec)], ["standard", "sce"]
    assert labels_of(spec) == [everyone, *[[*best, "elr", "coteaching"]] * 4, [*best, "coteaching"]]
    before = replace(spec, compare=replace(spec.compare, jurors=None))
    assert labels_of(before) == [everyone, [*best, "more", "coteaching"], *[[*best, "coteaching"]] * 4]
    all_on_all = replace(spec, compare=replace(spec.compare, jurors=0.0, rounds=5))
    assert [set(labels) for labels in labels_of(all_on_all)] == [set(everyone)] * 5
    assert loop.n_trials(all_on_all) == 25 + 8 >= KINDS["auto"].n_planned(all_on_all) == 5 + 4 * 4 + 8
    by_right = {label: Evidence(0.1 * n, 40) for label, n in n_right.items()}  # nobody's weight is known
    assert [len(record.round.trials) for record in judged_as(spec, by_right)] == [5, 4, 3, 3, 3, 3]


@pytest.mark.parametrize("compare", [{"jury": "even"}, {"turns": 1}])
def test_jurors_that_could_not_stay_are_refused(tmp_path: Path, compare: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"compare\.jurors = 0\.3: null"):
        own_rows(tmp_path, jurors=0.3, **compare)


def test_jobs_stored_before_their_jury_was_weighed_keep_their_choice(tmp_path: Path) -> None:
    spec = without_jurors(tmp_path)
    assert spec.compare is not None
    assert spec.compare.jury == "weighed"
    content = to_json(spec)
    del content["compare"]["jury"]
    old = read_job(content, SPEC_VERSION)
    # four relatives that predict 0, unsure of labels that say 1, against one that is sure of 1
    of_1, of_0 = (np.tile(np.array(joint), (40, 1)) for joint in ([0.0, 0.9], [0.5, 0.02]))
    said = dict.fromkeys(VALUES, (0, of_0)) | {"sce": (1, of_1)}
    evidence = {
        label: Evidence(None, 0, 40, *(as_text(part) for part in (np.full(40, predicted, "<u2"), joint.astype("<f2"))))
        for label, (predicted, joint) in said.items()
    }
    assert winner(spec, judged_as(spec, evidence)).label == "sce"
    assert winner(old, judged_as(old, evidence)).label == "coteaching"


def test_the_job_s_own_method_stays_to_be_left_by_all_rows(tmp_path: Path) -> None:
    spec = without_jurors(tmp_path)
    many, few = [1] * 8 + [0] * 2, [1] * 4 + [0] * 6
    history = judged_as(spec, {label: kept(0, few if label == "coteaching" else many) for label in VALUES})
    labels = [[trial.label for trial in record.round.trials] for record in history]
    assert labels == [
        ["standard", "coteaching", "more", "elr", "sce"],
        ["standard", "more", "elr", "coteaching"],
        ["standard", "more", "coteaching"],
        ["standard", "more", "coteaching"],
    ]
    assert winner(spec, history).label == "standard"
    assert [entry.label for entry in those_left(replace(spec, compare=replace(spec.compare, turns=1)), history, 2)] == [
        "standard",
        "more",
    ]


def test_a_jury_judges_the_rows_of_its_own_turn(tmp_path: Path) -> None:
    """Three rounds in two turns: the first and the third are of the same rows, and their trainings are one jury."""
    sure, unsure = np.array([[0.2, 0.8]] * 4), np.array([[0.4, 0.6]] * 4)
    history = []
    for m, joint in enumerate((sure, unsure, unsure)):
        texts = (as_text(part) for part in (np.ones(4, "<u2"), joint.astype("<f2")))
        trial = TrialSpec(m, 0, "a", 0, (1.0,), 1, 2, 3)
        one = result(trial, 0.5)
        one = replace(one, final=replace(one.final, evidence=Evidence(None, 0, 4, *texts)))
        history.append(RoundRecord(Round(m, "halve", (trial,)), (one,)))
    in_turns = judged(history, "halve", 2)
    assert in_turns is not None
    assert [each.expected_V.mean().round(3) for each in in_turns["a"]] == [0.7, 0.6, 0.7]
    together = judged(history, "halve")
    assert together is not None
    assert [each.expected_V.mean().round(3) for each in together["a"]] == [0.667] * 3


def test_the_error_of_a_lead_is_of_all_rows_that_have_had_their_turn() -> None:
    rng = np.random.default_rng(3)
    difference = rng.normal(size=(3, 50))
    pairs = [(Judged(m, m % 2, 0, 0, row, 50), Judged(m, m % 2, 0, 0, 0 * row, 50)) for m, row in enumerate(difference)]
    # rounds 0 and 2 are of the same 50 rows, round 1 of others: a mean of 2/3 and 1/3 of two independent means
    first, second = (difference[0] + difference[2]) / 2, difference[1]
    expected = math.sqrt((4 * first.var(ddof=1) + second.var(ddof=1)) / 9 / 50)
    assert standard_error(pairs) == pytest.approx(expected)


def test_a_job_in_turns_runs_and_says_so(tmp_path: Path) -> None:
    spec = own_rows(tmp_path, entries=[{"method": "standard"}, {"method": "coteaching"}, {"method": "logistic"}])
    report = s2e.auto(spec, data_root=tmp_path, progress=False, workers=1)
    assert "agreement with 40 given labels, others in each round" in report.basis
    assert "trains on the rows that made the choice" in report.basis
