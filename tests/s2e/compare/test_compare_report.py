"""The report of a comparison: figures by hand, differences paired by seed, and a verdict that claims no more."""

from __future__ import annotations

import json

import pytest

from s2e.door import parse_job
from s2e.jobs import loop
from s2e.jobs.compare_report import make_compare_report
from s2e.words import (
    CompareReport,
    FinalAccuracies,
    FinalAccuracy,
    JobSpec,
    RoundRecord,
    TrialResult,
    read,
    replace,
    to_json,
)

BASE = (0.80, 0.82, 0.81, 0.83)


def job(labels: list[str]) -> JobSpec:
    entries = [{"label": label, "method": "coteaching" if i else "standard"} for i, label in enumerate(labels)]
    return parse_job({"kind": "compare", "train": {"n_epochs": 2}, "compare": {"n_seeds": 4, "entries": entries}})


def result(k: int, last_ten: float | None, ensemble: float | None = None) -> TrialResult:
    if last_ten is None:
        return TrialResult(0, k, failed=True, reason="NaN")
    mean = FinalAccuracy(last_ten + 0.05, last_ten, last_ten + 0.01, 1)
    final = FinalAccuracies(mean, None if ensemble is None else replace(mean, last_ten=ensemble), 0.25)
    return TrialResult(
        0, k, objective=0.1, validation_accuracy=0.9, test_accuracy=last_ten, label_precision=0.7, model=f"m{k}",
        final=final,
    )  # fmt: skip


def report_of(entries: dict[str, tuple[float | None, ...]], ensemble: float | None = None) -> CompareReport:
    spec = job(list(entries))
    round_ = loop.next_round(spec, [])
    assert round_ is not None
    results = tuple(result(t.k, entries[t.label][t.repeat - 1], ensemble) for t in round_.trials)
    return make_compare_report(spec, RoundRecord(round_, results))


def shifted(by: float, jitter: float = 0.0) -> tuple[float, ...]:
    return tuple(value + by + jitter * sign for value, sign in zip(BASE, (1, -1, 1, -1), strict=True))


def test_figures_are_kept_apart_and_differences_are_paired() -> None:
    """t(.975, 3) = 3.1824 and the standard deviation of BASE is .0129099: half-width 3.1824 x .0129099 / 2."""
    report = report_of({"base": BASE, "rival": shifted(0.02)}, ensemble=0.9)
    base, rival = report.rows
    assert (report.baseline, report.n_seeds, report.kind) == ("base", 4, "compare")
    assert base.last_ten is not None
    assert base.last_ten.values == BASE
    assert base.last_ten.mean == pytest.approx(0.815)
    assert base.last_ten.half_width == pytest.approx(0.0205423, abs=1e-6)
    assert (base.last_ten.difference, base.last_ten.difference_half_width) == (None, None)
    assert rival.last_ten is not None
    assert rival.last_ten.difference == pytest.approx(0.02)
    assert rival.last_ten.difference_half_width == pytest.approx(0, abs=1e-12)  # the seeds' own spread cancels
    assert [getattr(base, name).mean for name in ("best", "at_best_validation", "ensemble_last_ten")] == [
        pytest.approx(0.865), pytest.approx(0.825), pytest.approx(0.9),
    ]  # fmt: skip
    assert (base.wrong_memorised.mean, base.label_precision.mean, base.model) == (0.25, 0.7, "m0")  # type: ignore[union-attr]


def test_a_mean_s_members_are_counted_and_said() -> None:
    members = {1: ("svc", "forest (leaf 10)"), 2: ("svc", "logistic (penalty 0.1)"), 3: ("svc", "forest (leaf 10)")}
    spec = job(["a mean", "one alone"])
    round_ = loop.next_round(spec, [])
    assert round_ is not None
    results = []
    for trial in round_.trials:
        one = result(trial.k, None if trial.repeat == 4 else 0.8)
        if trial.label == "a mean" and one.final is not None:
            one = replace(one, final=replace(one.final, members=members[trial.repeat]))
        results.append(one)
    report = make_compare_report(spec, RoundRecord(round_, tuple(results)))
    assert [row.members for row in report.rows] == [{"svc": 3, "forest (leaf 10)": 2, "logistic (penalty 0.1)": 1}, {}]
    parts = "svc, forest (leaf 10) (2 of 3 trainings) and logistic (penalty 0.1) (1 of 3 trainings)"
    assert f"“a mean” is the mean of {parts}." in report.basis
    assert "one alone" not in report.basis
    assert read(CompareReport, to_json(report)) == report


def test_a_method_without_a_schedule_is_said_to_have_none() -> None:
    base, rival = report_of({"base": BASE, "rival": BASE}).rows
    assert (base.uses_schedule, base.schedule) == (False, "none: the method keeps no schedule")
    assert (rival.uses_schedule, rival.schedule) == (True, "default eq. (1)")
    assert (base.keep_rate, rival.keep_rate) == ((1.0, 1.0), (1.0, 0.95))


BASIS = "Test accuracy of the last ten epochs, mean over the networks, paired by seed"


def test_the_verdict_says_what_the_differences_support() -> None:
    entries = {"base": BASE, "up": shifted(0.02, 0.002), "down": shifted(-0.03), "same": shifted(0.001, 0.02)}
    report = report_of(entries)
    assert report.verdict == (
        "“up” (+2.0 points) is better than “base”. “down” (-3.0 points) is worse than “base”. "
        "“same” is not separated from “base”."
    )
    assert report.basis == f"{BASIS}; 95 % for all 3 differences together."


def test_many_differences_need_more_than_one_does() -> None:
    """Differences .02, .008, .02, .008: mean .014, standard error .003464. t(.975, 3) = 3.18 standard errors are .0110,
    so one difference alone is separated; t(.99166, 3) = 4.86 of them are .0168, so one of three is not."""
    rival = shifted(0.014, 0.006)
    alone = report_of({"base": BASE, "rival": rival})
    among = report_of({"base": BASE, "rival": rival, "b": BASE, "c": BASE})
    assert alone.verdict.startswith("“rival” (+1.4 points) is better than “base”.")
    assert among.verdict.startswith("“rival”, “b” and “c” are not separated from “base”.")
    assert alone.rows[1].last_ten == among.rows[1].last_ten  # the interval shown is that of one difference


def test_failed_seeds_are_paired_with_nothing() -> None:
    report = report_of({"base": (None, 0.8, 0.8, 0.8), "rival": (0.9, None, 0.7, 0.7), "lost": (None,) * 4})
    base, rival, lost = report.rows
    assert (base.n_failed, rival.n_failed, lost.n_failed) == (1, 1, 4)
    assert rival.last_ten is not None
    assert rival.last_ten.values == (0.9, None, 0.7, 0.7)
    assert rival.last_ten.difference == pytest.approx(-0.1)
    assert lost.last_ten is not None
    assert lost.last_ten.mean is None
    assert "No seed trained both “base” and “lost” to the end." in report.verdict


def test_one_common_seed_separates_nothing() -> None:
    assert report_of({"base": BASE, "rival": (0.1, None, None, None)}).verdict.startswith(
        "“rival” is not separated from “base”."
    )


def test_one_entry_alone_is_compared_with_nothing() -> None:
    assert report_of({"base": BASE}).verdict == "One entry alone is compared with nothing: “base”."


def test_the_report_survives_the_way_through_text() -> None:
    report = report_of({"base": BASE, "rival": (None, 0.7, 0.8, 0.9)})
    assert read(CompareReport, json.loads(json.dumps(to_json(report), allow_nan=False))) == report
