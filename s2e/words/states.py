"""States of jobs and trials, and the one table of allowed changes."""

from __future__ import annotations

JOB_TRANSITIONS: dict[str, frozenset[str]] = {
    "queued": frozenset({"checking", "running", "blocked", "paused", "cancelling", "cancelled", "failed"}),
    "checking": frozenset({"running", "blocked", "paused", "cancelling", "failed"}),
    "running": frozenset({"blocked", "paused", "cancelling", "completed", "failed"}),
    "blocked": frozenset({"checking", "running", "paused", "cancelling", "failed"}),
    "paused": frozenset({"queued", "running", "cancelling", "cancelled", "failed"}),
    "cancelling": frozenset({"cancelled"}),
    "cancelled": frozenset(),
    "completed": frozenset(),
    "failed": frozenset({"queued"}),
}
"""``checking``: a worker looks whether the job can be trained at all. ``blocked``: no place can train it now, and it
goes on by itself. ``failed`` leads to ``queued`` when somebody asks for another try."""
TRIAL_TRANSITIONS: dict[str, frozenset[str]] = {
    "pending": frozenset({"leased", "cancelled"}),
    "leased": frozenset({"running", "succeeded", "failed", "lost", "cancelled"}),
    "running": frozenset({"succeeded", "failed", "lost", "cancelled"}),
    "lost": frozenset({"pending", "failed", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset({"pending"}),
    "cancelled": frozenset({"pending"}),
}
"""A trial that has ended returns to ``pending`` only by a retry of its failed job."""
JOB_STATES = tuple(JOB_TRANSITIONS)
TRIAL_STATES = tuple(TRIAL_TRANSITIONS)
TRIAL_IN_FLIGHT = ("leased", "running")
"""Given to a backend: lost when it is."""
JOB_GOES_ON = ("queued", "checking", "running", "blocked")
"""A dispatcher has something to do."""
JOB_ENDED = frozenset({"cancelled", "completed", "failed"})
TRIAL_ENDED = frozenset({"succeeded", "failed", "cancelled"})
