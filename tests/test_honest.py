"""Honest numbers: a fifth of the labels is wrong, nobody says so, and the truth judges what the report says."""

from __future__ import annotations

import pytest

from benchmarks.bench_honest import judged_job

WITHIN = 0.03
MARGIN = 0.01
"""Five of the 500 rows with true labels that judge: the recommended model is shown not to be worse by more."""


@pytest.mark.slow
def test_the_estimate_and_the_recommended_model_hold_against_the_truth() -> None:
    """On the seeds of the comparison, paired, the best rival picked with the truth; six draws of the whole job are in
    docs/labels.md, and on each the recommended schedule was ahead."""
    small = {"search": {"n_rounds": 3, "n_trials": 6}, "report": {"n_seeds": 5, "max_seeds": 10, "n_candidates": 2}}
    row = judged_job("search", 1, **small)
    assert row["estimated"] == pytest.approx(row["wrong"], abs=WITHIN)
    low, high = row["interval"]
    assert low <= row["wrong"] <= high
    assert row["fixed"] in ("default", "all")
    assert row["minus_fixed"] - row["half_95"] > -MARGIN
