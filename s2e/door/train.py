"""Training settings that contradict each other, refused by name."""

from __future__ import annotations

from dataclasses import fields

from s2e.words.errors import Problem
from s2e.words.fields import to_json
from s2e.words.train import TrainSpec

STEPPED = ("multistep", "stages")
"""Schedules of the step size that change at milestones."""


def train_problems(train: TrainSpec) -> list[Problem]:
    """Values that contradict each other: a setting that the chosen optimiser or schedule does not use, a milestone
    that never comes."""
    default = {f.name: f.default for f in fields(TrainSpec)}
    problems = [
        Problem(f"train.{name}", to_json(value), f"{to_json(default[name])}, its default: {reason}")
        for name, reason in _unused(train).items()
        if (value := getattr(train, name)) != default[name]
    ]
    return problems + _schedule_problems(train)


def _unused(train: TrainSpec) -> dict[str, str]:
    """The settings without effect, and the methods or settings that would use each."""
    adam, schedule = train.optimizer == "adam", train.lr_schedule
    users = {
        "beta1": (adam, "only optimizer adam has it"),
        "beta1_decay": (adam, "only optimizer adam has it"),
        "beta2": (adam, "only optimizer adam has it"),
        "momentum": (train.optimizer == "sgd", "only optimizer sgd has it"),
        "decay_start": (
            schedule == "linear" or train.beta1_decay is not None,
            "only lr_schedule linear and beta1_decay use it",
        ),
        "lr_milestones": (schedule in STEPPED, "only lr_schedule multistep and stages use it"),
        "lr_factor": (schedule == "multistep", "only lr_schedule multistep uses it"),
        "lr_values": (schedule == "stages", "only lr_schedule stages uses it"),
        "lr_period": (schedule == "cosine_restarts", "only lr_schedule cosine_restarts uses it"),
        "lr_minimum": (schedule == "cosine_restarts", "only lr_schedule cosine_restarts uses it"),
    }
    return {name: reason for name, (is_used, reason) in users.items() if not is_used}


def _schedule_problems(train: TrainSpec) -> list[Problem]:
    steps = train.lr_milestones
    if train.lr_schedule in STEPPED:
        if not steps or list(steps) != sorted(set(steps)):
            allowed = f"rising epochs, at least one, for {train.lr_schedule}"
            return [Problem("train.lr_milestones", list(steps), allowed)]
        if steps[-1] >= train.n_epochs:
            allowed = f"epochs < {train.n_epochs}, the length of the training: later ones would never come"
            return [Problem("train.lr_milestones", list(steps), allowed)]
    if train.lr_schedule == "stages" and len(train.lr_values) != len(steps):
        allowed = f"{len(steps)} step sizes, one for each of train.lr_milestones"
        return [Problem("train.lr_values", list(train.lr_values), allowed)]
    if train.lr_schedule == "cosine_restarts" and train.lr_minimum > train.learning_rate:
        return [Problem("train.lr_minimum", train.lr_minimum, f"<= {train.learning_rate}, the learning_rate")]
    return []
