"""Whoever waits for a fit is told what is done."""

from __future__ import annotations

import numpy as np
import pytest

from s2e.sklearn import NoisyLabelClassifier
from s2e.stages import heard, tell

QUICK = {"n_rounds": 1, "n_trials": 2, "n_epochs": 2, "random_state": 0}


def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    return rng.normal(size=(60, 3)) + 4 * y[:, None], y


def test_a_choice_tells_its_rounds_and_candidates() -> None:
    told: list[str] = []
    with heard(told.append):
        NoisyLabelClassifier(**QUICK, noise_rate=0.1, candidates=("svc", "forest")).fit(*rows())
    assert told[0] == "round 1: svc"
    assert "round 1: forest" in told
    assert told[-1].startswith("round 2: ")


def test_nobody_needs_to_listen(capsys: pytest.CaptureFixture[str]) -> None:
    tell("on my own")
    NoisyLabelClassifier(**QUICK, noise_rate=0.1, method="coteaching").fit(*rows())
    assert capsys.readouterr() == ("", "")


def test_verbose_shows_a_line_for_each_stage_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    NoisyLabelClassifier(**QUICK, noise_rate=0.1, method="coteaching", verbose=1).fit(*rows())
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "s: round 1: 2 schedules\n" in shown.err
