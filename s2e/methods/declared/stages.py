"""Rules of trainings in stages."""

from __future__ import annotations

from s2e.words import Problem, TrainSpec


def never_comes(epoch: int, train: TrainSpec, field: str, value: int) -> list[Problem]:
    """A problem if the stage that begins at ``epoch``, set by ``field``, never comes."""
    if epoch < train.n_epochs:
        return []
    return [Problem(f"train.params.{field}", value, f"a stage that begins before the last of {train.n_epochs} epochs")]


def out_of_order(field: str, value: int, before: str, earlier: int) -> list[Problem]:
    """A problem unless the stage ``field`` begins after the stage ``before``."""
    return [] if value > earlier else [Problem(f"train.params.{field}", value, f"> {earlier}, which is {before}")]
