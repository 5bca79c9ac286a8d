"""The end of a job by its budget of trials or epochs: a pure function of its rounds, the same wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence

from s2e.words import JobSpec, Problem, Round, RoundRecord


def exceeded(spec: JobSpec, history: Sequence[RoundRecord], following: Round) -> str:
    """The budget that the following round would exceed, in words; empty if the round fits into every budget."""
    rounds = [*(record.round for record in history), following]
    need = {
        "trials": sum(len(round_.trials) for round_ in rounds),
        "epochs": sum(_epochs(spec, round_) for round_ in rounds),
    }
    return _first(spec, need)


def too_small(spec: JobSpec, first: Round) -> list[Problem]:
    """Budgets that the first round alone would exceed: nothing could be trained."""
    need = {"trials": len(first.trials), "epochs": _epochs(spec, first)}
    limits = {"trials": spec.budget.trials, "epochs": spec.budget.epochs}
    return [
        Problem(f"budget.{name}", limit, f"at least {need[name]}, what the first round needs")
        for name, limit in limits.items()
        if limit is not None and need[name] > limit
    ]


def used_up(name: str, limit: float, unit: str = "") -> str:
    """The words for a budget that is used up."""
    return f"the budget of {limit:g} {unit or name} is used up"


def _first(spec: JobSpec, need: dict[str, int]) -> str:
    for name, limit in (("trials", spec.budget.trials), ("epochs", spec.budget.epochs)):
        if limit is not None and need[name] > limit:
            return used_up(name, limit)
    return ""


def _epochs(spec: JobSpec, round_: Round) -> int:
    """Epochs that the trials of a round train."""
    return sum(trial.fidelity.epochs_of(spec.train.n_epochs) - trial.fidelity.resumed_epochs for trial in round_.trials)
