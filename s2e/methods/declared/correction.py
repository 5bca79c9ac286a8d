"""Methods that correct the loss by a transition matrix T, T_ij = P(label j | class i)."""

from __future__ import annotations

from s2e.methods.declared.stages import never_comes
from s2e.parts import DATASETS, NOISE, MethodPart, method, noise_of, param
from s2e.words import DataSpec, JobSpec, Problem


@method("forward", rule="s2e.methods.correction:Forward", per_dataset={"cifar100": {"estimation_percentile": 100}})
class Forward(MethodPart):
    """Forward correction by a transition matrix (Patrini et al. 2017)."""

    transition: str = param(
        "given",
        choices=("given", "estimated", "confident"),
        doc="given: T of the injected noise; estimated: from the surest predictions of a first training (Patrini et "
        "al. 2017); confident: from the held-out predictions of two half trainings (Northcutt et al. 2021)",
    )
    estimation_epochs: int = param(
        20,
        ge=1,
        le=10_000,
        doc="epochs of each first training of standard cross entropy (estimated 1, confident 2); the networks then "
        "start anew, while the step size goes on along the job's epochs",
    )
    estimation_percentile: float = param(
        97,
        gt=0,
        le=100,
        doc="estimated: the class's representative is the largest probability below this percentile (CIFAR-100 100: "
        "nothing is discarded)",
    )

    @property
    def n_first_trainings(self) -> int:
        """Trainings that come before the one that counts."""
        return {"given": 0, "estimated": 1, "confident": 2}[self.transition]

    @property
    def first_epoch(self) -> int:
        """The epoch at which T is known and the networks start over."""
        return self.n_first_trainings * self.estimation_epochs

    def check(self, job: JobSpec) -> list[Problem]:
        """T that is not known, or that would be known only after the last epoch."""
        kind = job.data.noise.kind
        if self.transition == "given" and not NOISE[kind].has_matrix:
            allowed = f"estimated or confident: the matrix of {kind} noise is not known"
            return [Problem("train.params.transition", "given", allowed)]
        return never_comes(self.first_epoch, job.train, "estimation_epochs", self.estimation_epochs)


@method("backward", rule="s2e.methods.correction:Backward")
class Backward(Forward):
    """Backward correction by the inverse of a transition matrix (Patrini et al. 2017)."""

    def check(self, job: JobSpec) -> list[Problem]:
        """Also a given T without an inverse."""
        problems = super().check(job)
        if problems or self.transition != "given" or noise_of(job.data).problems(job):
            return problems
        return _singular(job.data)


@method("nnbc", rule="s2e.methods.correction:NnBC")
class NnBC(Backward):
    """Backward correction without samples of negative loss (SIGUA, Han et al. 2020)."""

    bad_if: str = param(
        "label",
        choices=("label", "sum"),
        doc="label: the corrected loss of the given label is negative, as the published figures were made; sum: the "
        "corrected losses of all labels sum to less than 0, eq. (11), which a doubly stochastic T never does",
    )
    warm_up_epochs: int = param(
        0, ge=0, le=10_000, doc="first epochs of plain backward correction (official program: CIFAR-10 sym-50 18)"
    )


@method("sigua_bc", rule="s2e.methods.correction:SiguaBC")
class SiguaBC(NnBC):
    """Backward correction, an ascent on samples of negative loss (Han et al. 2020)."""

    gamma: float = param(1.0, ge=0, le=1, doc="strength of the ascent on samples of negative corrected loss; 0 is nnBC")


def _singular(data: DataSpec) -> list[Problem]:
    """A problem if the injected noise has a matrix, known before the data is read, without a usable inverse."""
    n_classes = DATASETS[data.name].n_classes
    if n_classes is None:
        return []
    from s2e.data.transition import singular_problems  # numpy, which a list of names does without

    return singular_problems(noise_of(data).transition(data, n_classes))
