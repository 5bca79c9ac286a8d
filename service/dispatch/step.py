"""Outcomes of one step of a job."""

from __future__ import annotations

from enum import Enum


class Step(Enum):
    """Outcome of one step of a job."""

    AGAIN = "something was written; another step may follow at once"
    LATER = "something was written and more is to come, after the other jobs had their turn"
    STARTED = "a population was started; the other jobs come first now"
    FULL = "populations wait for a place"
    WAIT = "the backend has to report first"
    DONE = "nothing is left to do for a dispatcher"
