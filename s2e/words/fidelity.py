"""Fidelity, the part of a full training that a trial is: its epochs, its share of the data, the trial it continues."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from s2e.words.fields import param

T = TypeVar("T")


@dataclass(frozen=True)
class Fidelity:
    """The default is a full training: all T epochs on all samples, from initial weights.

    A prefix is the beginning of the full run: R(t) and the step size stay those of all T epochs. A trial that continues
    another has its seeds, so that both together are one training; where no checkpoint is found, training the prefix
    anew gives the same numbers.
    """

    n_epochs_run: int | None = param(None, ge=1, doc="epochs done at the trial's end, of T; null: all of them")
    data_share: float = param(1.0, gt=0, le=1, doc="share of the training samples that is used")
    resume: tuple[int, int] | None = param(None, doc="(round, k) of the trial that is continued; null: none")
    resumed_epochs: int = param(0, ge=0, doc="epochs that the continued trial has done")

    def epochs_of(self, n_epochs: int) -> int:
        """Epochs done when the trial ends, of a full run's ``n_epochs``."""
        return n_epochs if self.n_epochs_run is None else min(self.n_epochs_run, n_epochs)

    def share(self, n_epochs: int) -> float:
        """Share of a full training that the result rests on, in (0, 1]."""
        return self.data_share * self.epochs_of(n_epochs) / n_epochs

    def price(self, n_epochs: int) -> float:
        """Share of a full training that it trains itself: without the epochs of the trial that it continues."""
        return self.data_share * (self.epochs_of(n_epochs) - self.resumed_epochs) / n_epochs


FULL = Fidelity()


def of_highest_fidelity(items: Iterable[T], share: Callable[[T], float]) -> list[T]:
    """The items with the largest share of a full training: results of unequal fidelity are never ranked together.

    Early epochs mislead under label noise: a network fits the clean labels first.
    """
    shares = [(share(item), item) for item in items]
    most = max((s for s, _ in shares), default=0.0)
    return [item for s, item in shares if s == most]
