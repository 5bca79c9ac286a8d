"""From finished rounds to the report: intervals by hand, paired differences, and a verdict that claims no more."""

from dataclasses import replace

import pytest

from s2e.door import parse_job
from s2e.jobs.search_report import TITLES, interval, make_report
from s2e.words import FinalAccuracies, FinalAccuracy, JobSpec, Report, Round, RoundRecord, TrialResult, TrialSpec

SPEC: JobSpec = parse_job(
    {"train": {"n_epochs": 2}, "search": {"n_rounds": 1, "n_trials": 3}, "report": {"n_seeds": 4, "max_seeds": 4}}
)
BASE = (0.80, 0.82, 0.81, 0.83)


def trial(m: int, k: int, label: str, repeat: int = 0) -> TrialSpec:
    return TrialSpec(m, k, label, repeat, (1.0, 0.5 + 0.01 * k), k, k, k)


def search_round(objectives: tuple[float | None, ...] = (0.3, 0.2, 0.25)) -> RoundRecord:
    trials = tuple(trial(0, k, "search") for k in range(len(objectives)))
    results = tuple(
        TrialResult(0, k, failed=True, reason="NaN")
        if f is None
        else TrialResult(0, k, objective=f, validation_accuracy=1 - f, test_accuracy=0.5, model=f"m{k}")
        for k, f in enumerate(objectives)
    )
    return RoundRecord(Round(0, "search", trials), results)


def retrain_round(accuracies: dict[str, tuple[float | None, ...]]) -> RoundRecord:
    trials, results = [], []
    for label, values in accuracies.items():
        for repeat, value in enumerate(values, start=1):
            k = len(trials)
            trials.append(trial(2, k, label, repeat))
            ended = TrialResult(2, k, objective=0.2, test_accuracy=value, label_precision=0.9, model=f"r{k}")
            results.append(ended if value is not None else TrialResult(2, k, failed=True, reason="NaN"))
    return RoundRecord(Round(2, "retrain", tuple(trials)), tuple(results))


def report_of(
    default: tuple[float | None, ...] = BASE,
    searched: tuple[float | None, ...] = BASE,
    recommended: tuple[int, int] | None = (0, 1),
    first: RoundRecord | None = None,
    tuned: tuple[float | None, ...] = BASE,
) -> Report:
    tune = RoundRecord(Round(1, "tune", (trial(1, 0, "tau=0.5"),)), (TrialResult(1, 0, objective=0.01),))
    finals = retrain_round({"searched": searched, "default": default, "tuned": tuned, "all": BASE})
    return make_report(SPEC, [first or search_round(), tune, finals], recommended)


def shifted(by: float, jitter: float = 0.0) -> tuple[float, ...]:
    return tuple(value + by + jitter * sign for value, sign in zip(BASE, (1, -1, 1, -1), strict=True))


def test_interval_by_hand() -> None:
    """Values 1, 2, 3: mean 2, standard deviation 1, t(0.975, 2) = 4.3027, half-width 4.3027 / sqrt(3) = 2.4841."""
    mean, half_width = interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert half_width == pytest.approx(2.4841, abs=5e-5)
    assert interval([0.4]) == (0.4, None)
    assert interval([]) == (None, None)


def test_rows_follow_the_titles_and_carry_mean_and_paired_difference() -> None:
    report = report_of(default=shifted(-0.02))
    assert [row.label for row in report.rows] == list(TITLES)
    searched, default = report.rows[0], report.rows[1]
    assert searched.mean == pytest.approx(0.815)
    assert (searched.difference, searched.difference_half_width) == (None, None)
    assert default.difference == pytest.approx(0.02)
    assert default.difference_half_width == pytest.approx(0, abs=1e-12)  # paired: the seeds' own spread cancels
    assert default.half_width == pytest.approx(3.1824 * 0.0129099 / 2, abs=1e-6)
    assert default.label_precision == pytest.approx(0.9)
    assert report.keep_rate == searched.keep_rate


def test_final_figures_are_means_over_the_seeds_each_of_its_kind() -> None:
    """Seeds of .6 and .8, best .9 and 1., at best validation .5 and .6; a seed that failed has none."""
    finals = [FinalAccuracy(0.9, 0.6, 0.5, 3), FinalAccuracy(1.0, 0.8, 0.6, 4)]
    round_ = retrain_round(dict.fromkeys(TITLES, (0.7, 0.7, None)))
    results = [
        replace(result, final=None if result.failed else FinalAccuracies(finals[trial.repeat - 1], None, None))
        for trial, result in zip(round_.round.trials, round_.results, strict=True)
    ]
    row = make_report(SPEC, [search_round(), RoundRecord(round_.round, tuple(results))], (0, 1)).rows[0]
    assert (row.last_ten, row.best, row.at_best_validation) == pytest.approx((0.7, 0.95, 0.55))
    assert report_of().rows[0].last_ten is None


def test_best_run_and_recommendation_are_two_things() -> None:
    report = report_of(recommended=(0, 2))
    assert report.recommended == (0, 2)
    assert report.recommended_model == "r0"
    assert report.best_run == (0, 1)
    assert report.best_run_validation_accuracy == pytest.approx(0.8)
    assert report.best_run_model == "m1"


def test_a_perfect_run_is_the_best_run() -> None:
    assert report_of(first=search_round((0.1, 0.0, 0.2))).best_run == (0, 1)


def test_the_tune_round_is_no_search_run() -> None:
    """Its objective of 0.01 is lower than any of the search's."""
    assert report_of().best_run == (0, 1)


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (-0.02, "beats the default Co-teaching schedule (+2.0 points, +1.6 to +2.4)"),
        (+0.02, "is worse than the default Co-teaching schedule (-2.0 points, -2.4 to -1.6)"),
    ],
)
def test_the_verdict_names_a_winner_only_where_the_interval_does(by: float, words: str) -> None:
    assert report_of(default=shifted(by, 0.002)).verdict == (
        f"On fresh seeds the searched schedule {words}. "
        "These seeds do not separate the searched schedule from the tuned eq. (1) and R = 1. "
        "No schedule is shown to beat the tuned eq. (1) here."
    )


def test_several_names_are_joined_as_a_sentence_has_them() -> None:
    tuned, open_ = shifted(-0.01, 0.002), shifted(0, 0.05)
    assert "beats the default Co-teaching schedule (+2.0 points, +1.6 to +2.4) and the tuned eq. (1) (" in (
        report_of(default=shifted(-0.02, 0.002), tuned=tuned).verdict
    )
    assert (
        "from the default Co-teaching schedule, the tuned eq. (1) and R = 1. " in report_of(open_, tuned=open_).verdict
    )


def test_an_open_verdict_states_the_difference_from_the_tuned_curve_that_would_show() -> None:
    """Four seeds that differ by +-1 point: (t3(.975) + t3(.8)) x 1.155 / sqrt(4) = (3.182 + 0.978) x 0.577 = 2.4."""
    verdict = report_of(tuned=shifted(-0.002, 0.01)).verdict
    assert "A true difference of 2.4 points from the tuned eq. (1) would show in 80 % of comparisons on 4 seeds." in (
        verdict
    )
    assert "would show" not in report_of(tuned=shifted(-0.02, 0.002)).verdict


@pytest.mark.parametrize("default", [shifted(-0.02, 0.05), shifted(+0.02, 0.05), BASE])
def test_an_interval_that_contains_zero_names_no_winner(default: tuple[float, ...]) -> None:
    verdict = report_of(default=default).verdict
    assert "beats" not in verdict
    assert "worse" not in verdict
    assert verdict.startswith(
        "These seeds do not separate the searched schedule from the default Co-teaching schedule,"
    )


def test_one_common_seed_separates_nothing() -> None:
    report = report_of(default=(0.1, None, None, None))
    assert report.rows[1].difference == pytest.approx(0.7)
    assert report.rows[1].difference_half_width is None
    assert report.rows[1].n_failed == 3
    assert "beats" not in report.verdict


def test_failed_seeds_are_paired_with_nothing() -> None:
    report = report_of(searched=(0.9, None, 0.9, 0.9), default=(None, 0.2, 0.8, 0.8))
    assert report.rows[1].difference == pytest.approx(0.1)
    assert report.rows[1].test_accuracy == (0.2, 0.8, 0.8)
    assert report.rows[0].n_failed == report.rows[1].n_failed == 1


def test_a_rival_that_never_trained_is_named_as_such() -> None:
    report = report_of(default=(None,) * 4)
    assert report.rows[1].mean is None
    assert (
        "No seed trained both the searched schedule and the default Co-teaching schedule to the end." in report.verdict
    )


def test_without_a_successful_trial_nothing_is_recommended() -> None:
    report = report_of(first=search_round((None, None, None)), recommended=None)
    assert (report.recommended, report.best_run, report.best_run_model) == (None, None, None)
    assert report.verdict == "Every trial of the search failed; no schedule is recommended."


def test_the_first_kept_model_of_the_recommended_schedule_is_reported() -> None:
    finals = retrain_round(dict.fromkeys(TITLES, BASE))
    without = (replace(finals.results[0], model=None), *finals.results[1:])
    report = make_report(SPEC, [search_round(), RoundRecord(finals.round, without)], (0, 1))
    assert report.recommended_model == "r1"


def test_the_verdict_warns_of_validation_labels_that_may_mislead() -> None:
    noise = replace(SPEC.data.noise, kind="pair", noise_rate=0.45)
    doubtful = replace(SPEC, data=replace(SPEC.data, noise=noise, validation_labels="noisy"))
    history = [search_round(), retrain_round(dict.fromkeys(TITLES, BASE))]
    plain, warned = (make_report(spec, history, (0, 1)).verdict for spec in (SPEC, doubtful))
    assert warned.startswith(f"{plain} Validation labels are noisy")
