"""Whoever waits for a fit is told what is done."""

from __future__ import annotations

import numpy as np
import pytest

from s2e.sklearn import NoisyLabelClassifier
from s2e.stages import Shown, heard, shares_of, tell

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


class Clock:
    """Stands still but for those who move it."""

    def __init__(self) -> None:
        self.at = 50.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("s2e.stages.time.monotonic", clock)
    return clock


def test_a_stage_of_which_a_share_is_done_has_the_time_that_is_left(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line every ten seconds, from the second on, of what is being done then."""
    screen = Shown(None, first_s=2.0)
    with heard(screen.show):
        done = shares_of("reading")
        clock.at += 3
        done(0.1)
        clock.at += 3
        done(0.2)
        screen.tick()
        clock.at += 7
        screen.tick()  # nobody has told anything
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["3 s: reading, 10% done, about 27 s left", "13 s: reading, 20% done, about 24 s left"]


def test_of_a_budget_the_time_is_shown(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Shown(60.0)
    with heard(screen.show):
        tell("round 1: svc")
        clock.at += 4
        tell("round 2: svc")
        clock.at += 8
        screen.tick()
    assert capsys.readouterr().err.splitlines() == ["0 of 60 s: round 1: svc", "12 of 60 s: round 2: svc"]


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_a_terminal_shows_a_bar_with_both(
    clock: Clock, seconds: float | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    screen = Shown(seconds)
    with screen.bar, heard(screen.show):
        done = shares_of("reading")
        clock.at += 15
        done(0.5)
        screen.bar.refresh()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert ("15 s left" if seconds is None else "45 s left") in shown.err
    (task,) = screen.bar.tasks
    assert task.percentage == (50 if seconds is None else 25)


def test_whoever_predicts_is_told_how_far() -> None:
    told: list[str] = []
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (60, 4, 4), dtype=np.uint8)
    clf = NoisyLabelClassifier(**QUICK, noise_rate=0.1).fit(images, rng.integers(0, 2, 60))
    with heard(lambda stage: told.append(stage.in_words)):
        model = clf._networks_._models[0]
        model.predict_proba(np.repeat(images[:, None], 10, 0))
    assert told == ["predicting 600 rows", "predicting 600 rows, 83% done", "predicting 600 rows, 100% done"]
