"""The contract of labels: nothing is injected into a user's own, and no number rests on a truth that nobody has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import s2e
from s2e.data.datasets import load_split, noisy_labels, noisy_validation_labels
from s2e.data.validation import scores, validation_warning
from s2e.door import parse_job, read_job
from s2e.jobs.loop import next_round, populations
from s2e.jobs.trials import default_tau
from s2e.local import run
from s2e.parts import DATASETS
from s2e.prepare import needs_estimate, prepared
from s2e.train.trial import PopulationEnd, PopulationEpoch, train_population
from s2e.words import DataError, DataSpec, EstimatedNoise, JobSpec, SpecError, numbers_of, read, replace, to_json
from s2e.words.results import EpochNumbers

OF_A_TRUTH = {"label_precision", "label_recall", "clean_correct", "wrong_correct", "wrong_memorised"}
N_CLASSES = 10


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """8x8 digits as a table with 20 % wrong labels that nobody has marked: data root, given labels, true labels."""
    root = tmp_path_factory.mktemp("own")
    digits = load_digits()
    rng = np.random.default_rng(0)
    wrong_S = rng.random(len(digits.target)) < 0.2
    given_S = np.where(wrong_S, (digits.target + rng.integers(1, N_CLASSES, len(wrong_S))) % N_CLASSES, digits.target)
    rows = (",".join(f"{x:.0f}" for x in row) + f",{label}" for row, label in zip(digits.data, given_S, strict=True))
    (root / "digits.csv").write_text("\n".join(rows) + "\n")
    return str(root), given_S, digits.target


def own(**more: Any) -> dict[str, Any]:
    """The least that a job on a user's table has to say, and more."""
    return {"data": {"name": "csv", "csv": {"path": "digits.csv"}, "n_validation": 200, **more}}


def small(**data: Any) -> dict[str, Any]:
    return {
        **own(**data),
        "train": {"network": "mlp_tabular", "network_params": {"hidden": [32]}, "n_epochs": 6, "batch_size": 64},
        "search": {"searcher": "random", "n_rounds": 1, "n_trials": 2},
        "report": {"n_seeds": 2, "max_seeds": 2, "tuned_trials": 1, "n_candidates": 1},
    }


def refusals(job: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        parse_job(job)
    return {problem.field: problem.allowed for problem in caught.value.problems}


# --- nothing is injected ----------------------------------------------------------------------------------------------


def test_nothing_is_injected_into_own_labels_unless_asked_for(table: Any) -> None:
    root, given_S, _ = table
    data = parse_job(own()).data
    assert (data.labels, data.noise.kind, data.validation_labels) == ("given", "none", "noisy")
    split = load_split(data, root)
    for seed in range(3):
        assert torch.equal(noisy_labels(data, seed, root), split.train.labels)
        assert torch.equal(noisy_validation_labels(data, seed, root), split.validation.labels)
    n_seen = torch.bincount(torch.cat([split.train.labels, split.validation.labels, split.test.labels]))
    assert n_seen.tolist() == np.bincount(given_S).tolist()


@pytest.mark.parametrize("name", sorted(name for name, part in DATASETS.items() if part.labels == "given"))
def test_every_data_set_of_ones_own_is_left_as_it_is(name: str) -> None:
    where = {"csv": {"path": "t.csv"}} if name == "csv" else {"params": {"path": "t.npz"}}
    data = parse_job({"data": {"name": name, **where}}).data
    assert (data.labels, data.noise.kind) == ("given", "none")


def test_whoever_asks_for_noise_takes_the_labels_for_right() -> None:
    data = parse_job(own(noise={"kind": "pair", "noise_rate": 0.3})).data
    assert (data.labels, data.noise.kind, data.validation_labels) == ("injected", "pair", "clean")
    assert parse_job(own(labels="trusted")).data.validation_labels == "clean"
    assert parse_job({}).data == DataSpec()
    benchmark = parse_job({"data": {"noise": {"kind": "none"}}}).data
    assert (benchmark.labels, benchmark.truth_is_known) == ("injected", True)


def test_a_job_that_was_completed_is_completed_as_it_was() -> None:
    for job in (own(), own(labels="trusted"), own(noise={"kind": "pair", "noise_rate": 0.3}), {}):
        spec = parse_job(job)
        assert parse_job(to_json(spec)) == spec


def test_a_job_of_an_earlier_release_keeps_the_noise_it_was_stored_with() -> None:
    stored = to_json(parse_job(own(noise={"kind": "symmetric", "noise_rate": 0.5})))
    stored["data"].pop("labels")
    stored["data"].pop("estimate")
    data = read_job(stored, 1).data
    assert (data.labels, data.noise.kind, data.noise.noise_rate) == ("injected", "symmetric", 0.5)


@pytest.mark.parametrize(
    ("job", "field", "allowed"),
    [
        (own(noise={"noise_rate": 0.3}), "data.noise.noise_rate", "only beside data.noise.kind"),
        (own(labels="given", noise={"kind": "pair", "noise_rate": 0.3}), "data.noise.kind", "none for labels that are"),
        (own(labels="trusted", noise={"kind": "pair", "noise_rate": 0.3}), "data.noise.kind", "none for labels"),
        (own(labels="right"), "data.labels", "one of given, injected, trusted"),
        (own(validation_labels="clean"), "data.validation_labels", "nobody knows which of them are right"),
        (own(n_clean=20), "data.n_clean", "nobody knows which samples have a right one"),
        ({**own(), "trials": "external"}, "report.tau", "the share of wrong labels"),
        (
            {**own(), "train": {"method": "stopgrad", "params": {"good": "oracle"}}},
            "train.params.good",
            "which labels are right is not known",
        ),
    ],
)
def test_a_claim_that_needs_a_truth_is_refused(job: dict[str, Any], field: str, allowed: str) -> None:
    assert allowed in refusals(job)[field]


# --- the noise is estimated -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(table: Any) -> tuple[JobSpec, Any, Any]:
    """The job as it was run, its rounds and its report."""
    root, _, _ = table
    spec = prepared(parse_job(small()), root)
    history, made = run(spec, data_root=root, progress=False, workers=1)
    return spec, history, made


def test_the_noise_of_given_labels_is_estimated_before_the_first_round(report: Any, table: Any) -> None:
    spec, history, _ = report
    _, given_S, true_S = table
    estimate = spec.data.estimate
    assert estimate.noise_rate == pytest.approx((given_S != true_S).mean(), abs=0.03)
    assert estimate.low < estimate.noise_rate < estimate.high
    assert default_tau(spec) == estimate.noise_rate
    assert not needs_estimate(spec)
    tuned = next(record for record in history if record.round.kind == "tune")
    assert tuned.round.trials[0].keep_rate[-1] == pytest.approx(1 - estimate.noise_rate * 5 / 10)  # t_k is 10 epochs


def test_the_report_claims_nothing_that_needs_a_truth(report: Any) -> None:
    spec, history, made = report
    assert made.accuracy == "accuracy against the given labels"
    assert all(row.label_precision is None for row in made.rows)
    results = [result for record in history for result in record.results]
    assert all(result.label_precision is None and result.final.wrong_memorised is None for result in results)
    assert "Accuracy is against the given labels" in made.verdict
    assert f"an estimated {100 * spec.data.estimate.noise_rate:.1f} % are wrong (95 % interval" in made.basis


def test_an_epoch_of_given_labels_has_no_number_of_a_truth(table: Any) -> None:
    root, _, _ = table
    population = first_population(replace_tau(parse_job(small()), 0.2))
    epochs = [step for step in train_population(population, data_root=root) if isinstance(step, PopulationEpoch)]
    known = {number.name for row in epochs[-1].epochs for number in numbers_of(EpochNumbers) if is_known(row, number)}
    assert not known & OF_A_TRUTH
    assert known >= {"kept", "train_accuracy", "validation_accuracy", "test_accuracy"}


def test_two_runs_of_one_job_have_one_estimate_and_one_report(report: Any, table: Any) -> None:
    root, _, _ = table
    spec, _, made = report
    assert prepared(parse_job(small()), root) == spec
    assert run(spec, data_root=root, progress=False, workers=1)[1] == made


def test_a_known_noise_rate_saves_the_estimate() -> None:
    assert not needs_estimate(replace_tau(parse_job(own()), 0.2))
    assert needs_estimate(parse_job({**own(validation_labels="noisy_corrected"), "report": {"tau": 0.2}}))
    forward = {"method": "forward", "params": {"transition": "given"}}
    assert needs_estimate(parse_job({**own(), "train": forward, "report": {"tau": 0.2}}))
    assert not needs_estimate(parse_job(own(noise={"kind": "pair", "noise_rate": 0.3})))


def test_labels_that_are_all_noise_are_refused_with_what_to_do(tmp_path: Any) -> None:
    rng = np.random.default_rng(1)
    rows = (",".join(f"{x:.3f}" for x in rng.normal(size=4)) + f",{rng.integers(2)}" for _ in range(400))
    (tmp_path / "digits.csv").write_text("\n".join(rows))
    with pytest.raises(DataError, match=r"cannot be estimated.*With what you know of their noise rate as report\.tau"):
        s2e.search(small(n_validation=80), data_root=tmp_path, progress=False)


# --- validation on labels that are partly wrong -----------------------------------------------------------------------


def test_corrected_validation_uses_the_estimated_matrix(table: Any) -> None:
    root, _, _ = table
    rate = 0.2
    T_CC = np.full((N_CLASSES, N_CLASSES), rate / (N_CLASSES - 1))
    np.fill_diagonal(T_CC, 1 - rate)
    estimate = EstimatedNoise(rate, 0.15, 0.25, tuple(map(tuple, T_CC.tolist())))
    plain = replace_tau(parse_job(small()), rate)
    corrected = replace_tau(parse_job(small(validation_labels="noisy_corrected")), rate)
    corrected = replace(corrected, data=replace(corrected.data, estimate=estimate))
    (as_given,), (right,) = (validation(first_population(spec), root) for spec in (plain, corrected))
    credit_CC = scores(T_CC)  # symmetric: one credit for agreement, one for the rest
    expected = as_given * credit_CC[0, 0] + (1 - as_given) * credit_CC[0, 1]
    assert right == pytest.approx(min(1.0, expected), abs=1e-9)
    assert right > as_given


def test_a_report_warns_where_ranking_on_given_labels_is_not_safe() -> None:
    T_CC = ((0.6, 0.4, 0.0), (0.0, 0.6, 0.4), (0.4, 0.0, 0.6))
    data = replace(parse_job(own()).data, estimate=EstimatedNoise(0.4, 0.35, 0.45, T_CC))
    assert "0.67 times as frequent" in validation_warning(data)
    assert "their matrix is not known" in validation_warning(replace(data, estimate=None))


def test_an_estimate_of_other_data_is_refused(table: Any) -> None:
    root, _, _ = table
    estimate = EstimatedNoise(0.2, 0.1, 0.3, ((0.8, 0.2), (0.2, 0.8)))
    spec = parse_job(small(validation_labels="noisy_corrected"))
    spec = replace_tau(replace(spec, data=replace(spec.data, estimate=estimate)), 0.2)
    with pytest.raises(DataError, match="10 classes, but the noise of 2 was estimated"):
        validation(first_population(spec), root)


def test_an_estimate_survives_the_way_through_text() -> None:
    data = replace(
        parse_job(own()).data, estimate=EstimatedNoise(0.2, 0.1, 0.3, ((0.8, 0.2), (0.2, 0.8)), alarms=("a",))
    )
    assert read(DataSpec, to_json(data)) == data


def replace_tau(spec: JobSpec, tau: float) -> JobSpec:
    return replace(spec, report=replace(spec.report, tau=tau))


def first_population(spec: JobSpec) -> Any:
    round_ = next_round(spec, [])
    return populations(spec, round_)[0]


def validation(population: Any, root: str) -> list[float]:
    population = replace(population, trials=population.trials[:1])
    end = [step for step in train_population(population, data_root=root) if isinstance(step, PopulationEnd)]
    return [result.validation_accuracy for result in end[0].results if result.validation_accuracy is not None]


def is_known(row: Any, number: Any) -> bool:
    return getattr(row, number.name) is not None
