"""States of jobs and trials, and the one table of allowed changes."""

from __future__ import annotations

from service.errors import IllegalTransition

JOB_TRANSITIONS: dict[str, frozenset[str]] = {
    "queued": frozenset({"running", "paused", "cancelling", "cancelled", "failed"}),
    "running": frozenset({"paused", "cancelling", "completed", "failed"}),
    "paused": frozenset({"queued", "running", "cancelling", "cancelled", "failed"}),
    "cancelling": frozenset({"cancelled"}),
    "cancelled": frozenset(),
    "completed": frozenset(),
    "failed": frozenset(),
}
TRIAL_TRANSITIONS: dict[str, frozenset[str]] = {
    "pending": frozenset({"leased", "cancelled"}),
    "leased": frozenset({"running", "succeeded", "failed", "lost", "cancelled"}),
    "running": frozenset({"succeeded", "pruned", "failed", "lost", "cancelled"}),
    "lost": frozenset({"pending", "failed", "cancelled"}),
    "succeeded": frozenset(),
    "pruned": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
JOB_STATES = tuple(JOB_TRANSITIONS)
TRIAL_STATES = tuple(TRIAL_TRANSITIONS)
TRIAL_IN_FLIGHT = ("leased", "running")
"""Given to a backend: what is lost with it."""
JOB_ENDED = frozenset(state for state, following in JOB_TRANSITIONS.items() if not following)
TRIAL_ENDED = frozenset(state for state, following in TRIAL_TRANSITIONS.items() if not following)


def check_job(old: str, new: str) -> None:
    """Raise IllegalTransition unless a job in state ``old`` may become ``new``."""
    if new not in JOB_TRANSITIONS[old]:
        raise IllegalTransition("job", old, new, sorted(JOB_TRANSITIONS[old]))


def check_trial(old: str, new: str) -> None:
    """Raise IllegalTransition unless a trial in state ``old`` may become ``new``."""
    if new not in TRIAL_TRANSITIONS[old]:
        raise IllegalTransition("trial", old, new, sorted(TRIAL_TRANSITIONS[old]))
