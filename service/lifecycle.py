"""Refuses every change of state that the table of :mod:`s2e.words.states` does not have."""

from __future__ import annotations

from s2e.words.states import JOB_TRANSITIONS, TRIAL_TRANSITIONS
from service.errors import IllegalTransition


def check_job(old: str, new: str) -> None:
    """Raise IllegalTransition unless a job in state ``old`` may become ``new``."""
    if new not in JOB_TRANSITIONS[old]:
        raise IllegalTransition("job", old, new, sorted(JOB_TRANSITIONS[old]))


def check_trial(old: str, new: str) -> None:
    """Raise IllegalTransition unless a trial in state ``old`` may become ``new``."""
    if new not in TRIAL_TRANSITIONS[old]:
        raise IllegalTransition("trial", old, new, sorted(TRIAL_TRANSITIONS[old]))
