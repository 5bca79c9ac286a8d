"""States of jobs and trials, and the one table of allowed changes."""

from __future__ import annotations

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
    "running": frozenset({"succeeded", "failed", "lost", "cancelled"}),
    "lost": frozenset({"pending", "failed", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
JOB_STATES = tuple(JOB_TRANSITIONS)
TRIAL_STATES = tuple(TRIAL_TRANSITIONS)
TRIAL_IN_FLIGHT = ("leased", "running")
"""Given to a backend: lost when it is."""
JOB_ENDED = frozenset(state for state, following in JOB_TRANSITIONS.items() if not following)
TRIAL_ENDED = frozenset(state for state, following in TRIAL_TRANSITIONS.items() if not following)
