"""Fields of the final comparison that contradict each other."""

from __future__ import annotations

from s2e.words.errors import Problem
from s2e.words.search import ReportSpec


def report_problems(report: ReportSpec) -> list[Problem]:
    """Fields of the final comparison that contradict each other."""
    problems = []
    if report.max_seeds is not None and report.max_seeds < report.n_seeds:
        problems.append(Problem("report.max_seeds", report.max_seeds, f">= n_seeds = {report.n_seeds}"))
    if report.taus is not None and report.tuned_trials is not None:
        allowed = "null beside taus, which has one trial for each value"
        problems.append(Problem("report.tuned_trials", report.tuned_trials, allowed))
    return problems
