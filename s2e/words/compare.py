"""The part of a job that compares: entries, each a method under a schedule, on one data set, network and budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s2e.words.fields import param

MOST_ENTRIES = 50
MOST_LABEL = 40


@dataclass(frozen=True)
class ScheduleSpec:
    """The R(t) an entry trains under. A method without a schedule ignores it, and the report says so."""

    kind: str = param(
        "default",
        choices=("default", "all", "tau", "scaled", "list", "job"),
        doc="default: eq. (1) with the job's tau; all: R = 1; tau: eq. (1) with this tau; scaled: with factor times "
        "the job's; list: the values of keep_rate; job: what a finished search recommends",
    )
    tau: float | None = param(None, ge=0, lt=1, doc="tau of kind tau")
    factor: float | None = param(None, gt=0, le=5, doc="of kind scaled; the product is at most 0.95")
    keep_rate: tuple[float, ...] = param((), ge=0, le=1, doc="R(t) of kind list, one value for each epoch, R(0) = 1")
    job: str = param("", max_length=36, doc="id of the search of kind job; its schedule is taken at submission")


@dataclass(frozen=True)
class EntrySpec:
    """One contestant: a method, its hyperparameters and its schedule."""

    method: str = param(names="methods", doc="training method")
    label: str = param("", max_length=MOST_LABEL, doc="its name in tables and curves; the method's when empty")
    params: dict[str, Any] = param(
        dict, doc="hyperparameters of the method, by name; what is missing gets the paper's value"
    )
    schedule: ScheduleSpec = param(ScheduleSpec, doc="the schedule R(t) it trains under")
    train: dict[str, Any] = param(
        dict, doc='other training settings that this entry alone has different, such as {"learning_rate": 0.01}'
    )

    @property
    def overrides(self) -> dict[str, Any]:
        """Fields of TrainSpec that its trials have different from the job."""
        return {**self.train, "method": self.method, "params": self.params}


@dataclass(frozen=True)
class CompareSpec:
    """The entries of a comparison, the first of which is the baseline of all differences; candidates of ``auto``."""

    entries: tuple[EntrySpec, ...] = param(
        (),
        max_length=MOST_ENTRIES,
        doc="what is compared; the first is the baseline. Candidates of kind auto; none: a portfolio of methods",
    )
    refit: bool | None = param(
        None,
        doc="of kind auto: rows that chose among the candidates train too, in the comparison on fresh seeds; null: "
        "they do",
    )
    turns: int | None = param(
        None,
        ge=1,
        le=100,
        doc="of kind auto, with given labels: parts of the rows that take turns in choosing, another in every round; "
        "1: the same rows in all rounds; null: 5",
    )
    rounds: int | None = param(
        None,
        ge=1,
        le=20,
        doc="of kind auto: rounds in which candidates are halved, the best two in all from the third on; null: 5 where "
        "jurors stay, 4 where labels take turns without them, otherwise 3",
    )
    jury: str | None = param(
        None,
        choices=("weighed", "even"),
        doc="of kind auto, where noisy labels choose: all trainings on a row say together what its class is; weighed: "
        "by weights under which they make the labels likeliest; even: all alike; null: weighed",
    )
    jurors: float | None = param(
        None,
        ge=0,
        le=1,
        doc="of kind auto, where labels take turns and the jury is weighed: least weight in the jury with which a "
        "candidate trains on beside the best two, until every part has judged; 1 is an equal share, at 0 all train on "
        "all parts; null: 0.5",
    )
    default: str | None = param(
        None,
        doc="of kind auto: the method of the candidate that is left only for one with a clear lead; null: the job's "
        "own, under the default schedule. Where the portfolio is filled in: a blend, unless train.method is given",
    )
    n_seeds: int = param(
        5, ge=2, le=100, doc="seeds (initial weights, data order, noise draw), the same for every entry"
    )
