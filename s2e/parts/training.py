"""Parts that train: methods and networks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar, dataclass_transform

from s2e.parts.data import DATASETS, NOISE, settings
from s2e.parts.jobs import KINDS
from s2e.parts.part import Part
from s2e.parts.registry import PartRegistry
from s2e.words.data import DataSpec
from s2e.words.errors import Problem
from s2e.words.fields import param
from s2e.words.job import JobSpec


class MethodPart(Part):
    """A training method. Its implementation is a :class:`s2e.methods.base.Method`, made from the part itself."""

    field = "train.method"
    section = "train.params"
    makes = "s2e.methods.base:Method"
    scheduled: ClassVar[bool] = False
    """Trains differently under another schedule R(t)."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Requirements: ``clean``, trusted samples."""
    candidate: ClassVar[bool] = False
    """Of another package: with its defaults it is a candidate of ``auto``, where a job names none."""
    fitted: ClassVar[bool] = False
    """A model that is fitted in one go: no network, no epochs, no schedule."""
    ranks: ClassVar[bool] = False
    """Weighs a sample by nothing but the rank of its cross entropy, so the compiled step trains whole epochs of it, and
    a trial has the same bits beside any others."""

    @classmethod
    def notes(cls) -> list[str]:
        return [
            *([] if cls.scheduled else ["ignores the schedule"]),
            *(["needs trusted samples, data.n_clean"] if "clean" in cls.needs else []),
        ]

    def make(self) -> Any:
        """The rule."""
        return self.built(self)

    def rules(self, job: JobSpec) -> list[Problem]:
        return [*self.without_effect(job.data.name), *self.missing(job), *self.check(job)]

    def by_ranks(self) -> bool:
        """True if it still does with these settings (:attr:`ranks`)."""
        return self.ranks

    def suits(self, data: DataSpec) -> bool:  # noqa: ARG002
        """False where it could be trained, but is worth no training that nobody asked for."""
        return True

    def missing(self, job: JobSpec) -> list[Problem]:
        """The requirements that ``job`` does not meet."""
        if "clean" not in self.needs or job.data.n_clean:
            return []
        return [Problem("data.n_clean", 0, f">= 1 for method {self.name}, which learns from trusted samples")]


@settings
class FittedPart(MethodPart):
    """A model that is fitted in one go. Its implementation is a :class:`s2e.methods.fitted.Fitted`, made from the part
    itself; it is trained by comparisons and by ``auto``, beside networks."""

    transition: str = param(
        "none",
        choices=("none", "corrected", "reweighted"),
        doc="what is made of the noise's matrix T, known or estimated. none: nothing; corrected: predictions are "
        "carried back through T; reweighted: so are those of three folds held out, and the model is fitted to what "
        "each label then probably is",
    )
    max_rows: int = param(
        10_000, ge=10, le=10_000_000, doc="most rows that it is fitted to: of more, a stratified share drawn anew"
    )

    makes = "s2e.methods.fitted:Fitted"
    fitted: ClassVar[bool] = True
    trusts: ClassVar[tuple[str, ...]] = ("sklearn.",)
    """Beginnings of the names of types that a file of such a model may hold."""
    growth: ClassVar[float] = 2.0
    """The power of the number of rows by which the time of a fit grows, at most."""

    @classmethod
    def notes(cls) -> list[str]:
        return [*super().notes(), "no network: fitted in one go, in jobs that compare or choose"]

    def rules(self, job: JobSpec) -> list[Problem]:
        problems = super().rules(job)
        if KINDS[job.kind].recommends:
            problems.append(Problem("train.method", self.name, "a method of networks, or kind compare or auto"))
        if self.transition != "none" and job.data.truth_is_known and not NOISE[job.data.noise.kind].has_matrix:
            problems.append(Problem("train.params.transition", self.transition, "none: the noise has no known matrix"))
        if job.data.noise.kind == "open_set":
            problems.append(Problem("data.noise.kind", "open_set", f"only for methods of networks, not {self.name}"))
        if job.train.revise in ("relabel", "soften"):
            problems.append(Problem("train.revise", job.train.revise, f"none or drop for {self.name}"))
        return problems


class NetworkPart(Part):
    """An architecture. Its implementation is a :class:`s2e.networks.base.StackedNetwork`."""

    field = "train.network"
    section = "train.network_params"
    makes = "s2e.networks.base:StackedNetwork"
    min_size: ClassVar[int] = 1
    """Pixels, the least height and width of the images it takes."""
    variants: ClassVar[bool] = False
    """A family: a job names NAME:VARIANT."""
    dense: ClassVar[bool] = False
    """Dense layers with a ReLU between each two and nothing else, as the compiled step trains."""

    @classmethod
    def notes(cls) -> list[str]:
        return [f"needs images of {cls.min_size}x{cls.min_size}"] if cls.min_size > 1 else []

    def make(
        self, input_shape: Sequence[int], n_classes: int, *, variant: str = "", data_root: str | None = None
    ) -> Any:
        """The network for samples of ``input_shape``, (D, H, W) or (F,)."""
        return self.built(input_shape, n_classes, self, variant=variant, data_root=data_root)

    def rules(self, job: JobSpec) -> list[Problem]:
        shape = DATASETS[job.data.name].shape_in(job.data)
        return [*self.misfits(shape, job.train.network), *self.check(job)]

    @classmethod
    def misfits(cls, shape: Sequence[int | None] | None, called: str) -> list[Problem]:
        """A refusal of the network, which the job calls ``called``, if samples of this shape are too small for it.

        Nothing where the shape is known only once the data is read.
        """
        sizes = [1] if shape is not None and len(shape) != 3 else shape[1:] if shape is not None else []
        known = [size for size in sizes if size is not None]
        if not known or min(known) >= cls.min_size:
            return []
        samples = f"images of {'x'.join(map(str, sizes))} pixels" if len(sizes) == 2 else "rows of numbers"
        fitting = ", ".join(name for name in NETWORKS.names() if NETWORKS[name].min_size <= min(known))
        needed = f"{called} needs images of {cls.min_size}x{cls.min_size}"
        return [Problem("train.network", called, f"one of {fitting} for {samples}: {needed}")]


class Networks(PartRegistry[NetworkPart]):
    """Networks, found by name or by NAME:VARIANT."""

    def names(self) -> Iterator[str]:
        return (name for name, part in self.items() if not part.variants)

    def find(self, name: str, field: str) -> type[NetworkPart]:
        family, _, variant = name.partition(":")
        part = self.get(family)
        if part is None or part.variants != bool(variant):
            raise self.unknown(name, field)
        return part


M = TypeVar("M", bound=MethodPart)
N = TypeVar("N", bound=NetworkPart)
METHODS = PartRegistry("methods", MethodPart, "s2e.methods.declared", "s2e.methods")
NETWORKS = Networks("networks", NetworkPart, "s2e.networks.declared", "s2e.networks")


@dataclass_transform(frozen_default=True, field_specifiers=(param,))
def method(
    name: str,
    *,
    rule: str,
    scheduled: bool = False,
    ranks: bool = False,
    needs: Collection[str] = (),
    per_dataset: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[type[M]], type[M]]:
    """Declare a method; ``rule`` is where its class is, ``package.module:Class``. ``per_dataset`` is inherited."""

    def declare(cls: type[M]) -> type[M]:
        facts: dict[str, Any] = {"scheduled": scheduled, "ranks": ranks, "needs": needs}
        METHODS.declare(cls, name, rule, facts if per_dataset is None else {**facts, "per_dataset": per_dataset})
        return cls

    return declare


@dataclass_transform(frozen_default=True, field_specifiers=(param,))
def network(
    name: str, *, module: str, min_size: int = 1, variants: bool = False, dense: bool = False
) -> Callable[[type[N]], type[N]]:
    """Declare a network; ``module`` is where its stacked class is, ``package.module:Class``."""

    def declare(cls: type[N]) -> type[N]:
        NETWORKS.declare(cls, name, module, {"min_size": min_size, "variants": variants, "dense": dense})
        return cls

    return declare
