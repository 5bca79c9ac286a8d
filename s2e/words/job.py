"""A job, as a user asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from s2e.words.compare import CompareSpec
from s2e.words.data import DataSpec
from s2e.words.fields import param
from s2e.words.search import ReportSpec, SearchSpec
from s2e.words.train import TrainSpec

SPEC_VERSION = 2


@dataclass(frozen=True)
class PlanChoice:
    """The origin of a job's plan that was left to the machine that trains it."""

    place: str = param("", max_length=255, doc="host that was measured")
    n_workers: int = param(1, ge=1, doc="populations that train at once")
    job_s: float = param(0.0, ge=0, doc="expected seconds of the job's trainings")
    own_job_s: float | None = param(None, ge=0, doc="the same as the job asked for it; null: it does not train there")
    fallbacks: tuple[str, ...] = param((), max_length=50, doc="what the plan does without, each with the reason")

    @property
    def gain(self) -> float | None:
        """Speed over that of the plan that the job asked for."""
        return None if self.own_job_s is None or not self.job_s else self.own_job_s / self.job_s


@dataclass(frozen=True)
class PlanSpec:
    """Everything about execution that can change a number; stored with the job."""

    device: str = param("cpu", choices=("cpu", "cuda"), doc="where populations train")
    dtype: str = param(
        "float32",
        choices=("float32", "bfloat16", "float64"),
        doc="arithmetic of search trials; re-training uses float32",
    )
    population: int = param(3, ge=1, le=1_024, doc="most trials trained together as one stacked program")
    threads: int = param(1, ge=1, le=256, doc="CPU threads of one population")
    step: str = param(
        "auto",
        choices=("auto", "torch", "native"),
        doc="one optimiser step: torch's operations, or compiled as one for the networks and methods it knows (dense "
        "layers and ReLU on a CPU); auto: settled at submission, native where the library is there and threads is 1. "
        "Both agree up to rounding",
    )
    samples: str = param(
        "auto",
        choices=("auto", "resident", "streamed"),
        doc="where samples are while they train: resident: on the device, all of them; streamed: in their file (or in "
        "the host's memory), from where they are read ahead in blocks; auto: streamed where they are more than half of "
        "the memory there is. The numbers are the same",
    )
    validate_every: int = param(
        1,
        ge=1,
        le=10_000,
        doc="search trials: epochs from one measurement of validation accuracy to the next; the epochs that the "
        "objective averages always have it",
    )
    test_every: int = param(
        0,
        ge=0,
        le=10_000,
        doc="search trials: the same for test accuracy, which no search sees; 0: only in the epochs that the objective "
        "averages. Re-trainings and comparisons measure both in every epoch",
    )
    test_search: bool = param(
        True,
        doc="measure the test accuracy of search trials at all. Without it a search whose test samples are many beside "
        "its training samples takes less time and recommends the same; its trials show no test accuracy, its "
        "re-trainings do",
    )
    auto: bool = param(
        False,
        doc="choose population, dtype and step by what the machine that trains is measured to do fastest, once, before "
        "the first round. What was chosen is stored here and stays: numbers then depend on which machine was asked",
    )
    chosen: PlanChoice | None = param(None, doc="what was measured, where auto asks for it; leave it out")


@dataclass(frozen=True)
class BudgetSpec:
    """Limits on the resources of a job. The first limit reached ends the job, with a report of the work done by then.

    Trials and epochs are counted over the rounds, so where they end is a function of the job: a round that does not fit
    is not begun. The two times depend on the place; where they end is stored with the job.
    """

    trials: int | None = param(None, ge=1, doc="most trials, re-trainings among them; null: no limit")
    epochs: int | None = param(None, ge=1, doc="most epochs over all trials; null: no limit")
    device_hours: float | None = param(
        None, gt=0, doc="most hours of training, summed over the places that trained at once; null: no limit"
    )
    wall_clock: float | None = param(
        None, gt=0, doc="most hours from the job's start to its end, pauses among them; null: no limit"
    )


@dataclass(frozen=True)
class JobSpec:
    """One search, or one comparison: data, training, what is searched or compared, and the execution plan."""

    name: str = param("", max_length=120, doc="a name for people")
    kind: str = param(
        "search",
        names="kinds",
        doc="search: find a schedule; compare: train the entries of compare on the same seeds (of search, only "
        "tail_epochs then matters, and of report only tau and ramp_epochs); auto: choose a method among them, or among "
        "a portfolio",
    )
    seed: int = param(0, ge=0, lt=2**63, doc="the seed all randomness of the job is derived from")
    trials: str = param(
        "internal",
        choices=("internal", "external"),
        doc="who trains: the service's own workers, or, external, your own program, which asks for schedules under a "
        "lease and reports back (of data and train, only train.n_epochs and the noise rate then matter)",
    )
    protocol: str | None = param(
        None,
        names="protocols",
        doc="a published training protocol: its values stand in every field of data and train that the job does not "
        "set itself; null: the fields' own defaults",
    )
    data: DataSpec = param(DataSpec, doc="data set, noise and split")
    train: TrainSpec = param(TrainSpec, doc="how one trial is trained")
    search: SearchSpec = param(SearchSpec, doc="how schedules are searched")
    report: ReportSpec = param(ReportSpec, doc="the final comparison")
    compare: CompareSpec | None = param(None, doc="what a job of kind compare compares")
    plan: PlanSpec = param(PlanSpec, doc="execution plan")
    budget: BudgetSpec = param(BudgetSpec, doc="what the job may use up before it ends with its report")
    priority: int = param(
        0, ge=-100, le=100, doc="among the jobs of one owner, whose populations have places first: the highest number"
    )

    @property
    def tail_epochs(self) -> int:
        """Epochs averaged by the objective: mean validation accuracy over the last of them."""
        n_epochs = self.train.n_epochs
        return min(n_epochs, self.search.tail_epochs or max(5, n_epochs // 10))
