"""Parts of the data: data sets, and the kinds of noise in their labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast, dataclass_transform

from s2e.parts.facts import as_fact, fact_types, fits
from s2e.parts.part import FieldLine, Part
from s2e.parts.registry import PartRegistry
from s2e.words.data import DataSpec, NoiseSpec
from s2e.words.errors import Problem
from s2e.words.fields import NAMES, Names, field_lines, param, to_json
from s2e.words.job import JobSpec

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, of pixels in [0, 1]."""


class DatasetPart(Part):
    """A data set. Its implementation is a function ``load(data_root, **settings) -> s2e.data.datasets.Dataset``.

    A fact that only reading the data tells is None.
    """

    field = "data.name"
    section = "data.params"
    makes = "s2e.data.datasets:Dataset"
    n_train: ClassVar[int | None] = None
    """Samples of the official training set."""
    n_test: ClassVar[int | None] = None
    n_classes: ClassVar[int | None] = None
    shape: ClassVar[tuple[int | None, ...] | None] = None
    """Of one sample: (D, H, W) of an image, (F,) of a feature vector."""
    mean_std: ClassVar[Statistics | None] = None
    """Published numbers to normalise by."""
    confused: ClassVar[Mapping[int, int] | None] = None
    """Asymmetric noise: which class is labelled as which."""
    confused_in_superclass: ClassVar[Mapping[int, int] | None] = None
    """The same within true superclasses."""
    human_noise: ClassVar[Mapping[str, float]] = {}
    """Share of wrong labels in each label set made by people."""
    below_root: ClassVar[bool] = True
    """False where nothing of it is read from the data root."""
    labels: ClassVar[str] = "injected"
    """Default of ``data.labels``: what is known about the labels unless the job says."""

    @classmethod
    def notes(cls) -> list[str]:
        return ["labels as given: no noise is injected unless asked for"] if cls.labels == "given" else []

    @classmethod
    def shape_of(cls, data: DataSpec) -> tuple[int | None, ...] | None:  # noqa: ARG003 - for sets whose job says it
        """The shape of one sample in a job: what is declared, where the job has no say."""
        return cls.shape

    @classmethod
    def shape_in(cls, data: DataSpec) -> tuple[int | None, ...] | None:
        """:meth:`shape_of`. Raises SpecError where that of another package fails, or gives anything else."""
        try:
            shape = as_fact(cls.shape_of(data), kind := fact_types(DatasetPart)["shape"])
            if not fits(shape, kind):
                raise TypeError(f"{repr(shape)[:80]} is not a shape")
        except (Exception, SystemExit) as error:
            raise cls.failed(cls.field, "whose shape_of works", error) from error
        return cast("tuple[int | None, ...] | None", shape)

    @classmethod
    def has_images(cls, data: DataSpec | None = None) -> bool | None:
        """True for images, False for feature vectors, None where only reading the data tells; in a job, where one is
        given."""
        shape = cls.shape if data is None else cls.shape_in(data)
        return None if shape is None else len(shape) == 3

    @classmethod
    def has_counts(cls, data: DataSpec) -> bool:
        """:meth:`counts_words`. Raises SpecError where that of another package fails."""
        try:
            return bool(cls.counts_words(data))
        except (Exception, SystemExit) as error:
            raise cls.failed(cls.field, "whose counts_words works", error) from error

    @classmethod
    def counts_words(cls, data: DataSpec) -> bool:  # noqa: ARG003
        """True if features are counts or weights of terms, never negative."""
        return False

    @classmethod
    def own_section(cls) -> str:
        """The section of ``data`` that holds its settings: ``params``, or one of its own."""
        return cls.section.rpartition(".")[2]

    def read(self, data: DataSpec, data_root: str | None) -> Any:  # noqa: ARG002 - csv has a section of its own
        """The whole data set."""
        return self.built(data_root, **self.settings())

    def paths(self, data: DataSpec, root: Path) -> list[str]:  # noqa: ARG002 - for sets that have to look
        """The files and folders below the data root that it consists of, as far as its settings name them."""
        settings = (
            self.settings() if self.section == DatasetPart.section else to_json(getattr(data, self.own_section()))
        )
        named = [settings.get(field) for field in ("path", "test_path", "weights")]
        return [path for path in (*named, data.trusted.path) if isinstance(path, str) and path not in ("", "none")]

    def rules(self, job: JobSpec) -> list[Problem]:
        return [*self.too_few(job), *self.unnormalised(job.data), *self._unaugmented(job), *self.check(job)]

    def too_few(self, job: JobSpec) -> list[Problem]:
        """The field that asks for more samples than there are (the first; the next depend on it), or nothing."""
        data, left = job.data, self.n_train
        if left is None:
            return []
        if data.split == "holdout":
            if data.n_validation >= left:
                allowed = f"< {left}, the training samples of {self.name} it is taken from"
                return [Problem("data.n_validation", data.n_validation, allowed)]
            left -= data.n_validation
        if data.n_clean >= left:
            return [Problem("data.n_clean", data.n_clean, f"< {left}, what {self.name} has left for training")]
        left -= data.n_clean
        if data.n_train is not None and data.n_train > left:
            return [Problem("data.n_train", data.n_train, f"<= {left}, what {self.name} has left for training")]
        used = data.n_train or left
        if job.train.batch_size > used:
            allowed = f"<= {used}, the samples trained on: incomplete batches are dropped, so none would be left"
            return [Problem("train.batch_size", job.train.batch_size, allowed)]
        return []

    def unnormalised(self, data: DataSpec) -> list[Problem]:
        """Normalisation asked for where no numbers are published."""
        if data.normalise != "channels" or self.mean_std is not None:
            return []
        published = ", ".join(name for name, part in DATASETS.items() if part.mean_std is not None)
        allowed = f"none for {self.name}: numbers are published for {published}"
        return [Problem("data.normalise", data.normalise, allowed)]

    def _unaugmented(self, job: JobSpec) -> list[Problem]:
        if job.train.augment == "none" or self.has_images(job.data) is not False:
            return []
        allowed = f"none: {self.name} samples are feature vectors, not images"
        return [Problem("train.augment", job.train.augment, allowed)]


class NoisePart(Part):
    """A kind of label noise. Ours read fields of ``data.noise``; one of another package has settings of its own.

    The implementation of noise that is one matrix T, T_ij = P(label j | class i), is a function that makes it: of the
    number of classes, ``noise_rate``, and the settings by name.
    """

    field = "data.noise.kind"
    section = "data.noise"
    has_matrix: ClassVar[bool] = True
    by_features: ClassVar[bool] = False
    """Its labels depend on the samples; the implementation is a function of :mod:`s2e.data.instance`'s form."""
    uses: ClassVar[frozenset[str]] = frozenset()
    """Fields of ``data.noise`` that it reads."""

    @classmethod
    def field_lines(cls) -> list[FieldLine]:
        own = [(f"params.{name}", *more) for name, *more in field_lines(cls)]
        return [*(line for line in field_lines(NoiseSpec) if line[0] in cls.uses), *own]

    def transition(self, data: DataSpec, n_classes: int) -> Any:
        """T [C, C], float64."""
        return self.load()(n_classes, data.noise.noise_rate, **self.settings())

    def rate(self, data: DataSpec) -> float:
        """Expected share of wrong labels, classes equally frequent; where T needs a number of classes that only reading
        the data tells, the share of replaced ones."""
        n_classes = DATASETS[data.name].n_classes if data.name in DATASETS else None
        if n_classes is None:
            return data.noise.noise_rate
        return float(1 - self.transition(data, n_classes).diagonal().mean())

    def rules(self, job: JobSpec) -> list[Problem]:
        return [*_unused(job.data), *self.check(job)]


DATASETS = PartRegistry("datasets", DatasetPart, "s2e.data.declared", "s2e.datasets")
NOISE = PartRegistry("noise", NoisePart, "s2e.data.declared.noise")


def noise_of(data: DataSpec) -> NoisePart:
    """The noise of a job, with its settings, which are not judged. Raises SpecError for a kind that is not there."""
    return NOISE.find(data.noise.kind, NoisePart.field).stored(data.noise.params)


D = TypeVar("D", bound=DatasetPart)
P = TypeVar("P", bound=Part)
K = TypeVar("K", bound=NoisePart)


def _human_label_sets() -> list[str]:
    return list(dict.fromkeys(label_set for part in DATASETS.values() for label_set in part.human_noise))


NAMES["human_labels"] = Names(_human_label_sets)


def _unused(data: DataSpec) -> list[Problem]:
    """Settings of another kind of noise than the job's, where they are given and would change nothing."""
    default = {field.name: field.default for field in fields(NoiseSpec)}
    problems = []
    for field in ("matrix", "true_superclass", "margin_type", "open_set"):
        value, kinds = getattr(data.noise, field), [kind for kind, part in NOISE.items() if field in part.uses]
        if value != default[field] and data.noise.kind not in kinds:
            shown = "a matrix" if field == "matrix" else value
            allowed = f"only with kind {' or '.join(kinds)}, not with {data.noise.kind}"
            problems.append(Problem(f"data.noise.{field}", shown, allowed))
    return problems


@dataclass_transform(frozen_default=True, field_specifiers=(param,))
def settings(cls: type[P]) -> type[P]:
    """Make a base of declarations, no part itself: its fields are settings of every part below it."""
    return dataclass(frozen=True)(cls)


@dataclass_transform(frozen_default=True, field_specifiers=(param,))
def dataset(
    name: str,
    *,
    load: str,
    n_train: int | None = None,
    n_test: int | None = None,
    n_classes: int | None = None,
    shape: tuple[int | None, ...] | None = None,
    **published: Any,
) -> Callable[[type[D]], type[D]]:
    """Declare a data set; ``load`` is where the function that reads it is, ``package.module:function``.

    ``published``: ``mean_std``, ``confused``, ``confused_in_superclass``, ``human_noise``, ``labels`` of
    :class:`DatasetPart`.
    """
    facts = {"n_train": n_train, "n_test": n_test, "n_classes": n_classes, "shape": shape, **published}

    def declare(cls: type[D]) -> type[D]:
        DATASETS.declare(cls, name, load, facts)
        return cls

    return declare


@dataclass_transform(frozen_default=True, field_specifiers=(param,))
def noise(
    name: str, *, made_by: str, has_matrix: bool = True, by_features: bool = False, uses: Collection[str] = ()
) -> Callable[[type[K]], type[K]]:
    """Declare a kind of noise; ``made_by`` is where its matrix, or its labels, come from."""

    def declare(cls: type[K]) -> type[K]:
        facts = {"has_matrix": has_matrix, "by_features": by_features, "uses": uses}
        NOISE.declare(cls, name, made_by, facts)
        return cls

    return declare
