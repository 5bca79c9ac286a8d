"""Kinds of label noise."""

from __future__ import annotations

from typing import Any

from s2e.data.root import leaves_root
from s2e.parts import DATASETS, NoisePart, noise
from s2e.words import DataSpec, JobSpec, Problem, SpecError


@noise("none", made_by="s2e.data.transition:identity")
class Clean(NoisePart):
    """The labels stay as they are."""

    def transition(self, data: DataSpec, n_classes: int) -> Any:  # noqa: ARG002
        return self.load()(n_classes)

    def rate(self, data: DataSpec) -> float:  # noqa: ARG002
        return 0.0


class _Share(NoisePart):
    """Noise that makes exactly the share ``noise_rate`` of the labels wrong, in expectation."""

    def rate(self, data: DataSpec) -> float:
        return data.noise.noise_rate


@noise("symmetric", made_by="s2e.data.transition:symmetric", uses=("noise_rate", "exact_counts"))
class Symmetric(_Share):
    """A replaced label is uniform over the other classes."""


@noise("symmetric_inclusive", made_by="s2e.data.transition:symmetric_inclusive", uses=("noise_rate",))
class SymmetricInclusive(NoisePart):
    """Exactly noise_rate x S labels are re-drawn, uniform over all classes (ELR)."""


@noise("pair", made_by="s2e.data.transition:pair", uses=("noise_rate", "exact_counts"))
class Pair(_Share):
    """A replaced label becomes the next class."""

    def check(self, job: JobSpec) -> list[Problem]:
        return _majority(job.data)


@noise("asymmetric", made_by="s2e.data.transition:mapped", uses=("noise_rate", "exact_counts", "true_superclass"))
class Asymmetric(NoisePart):
    """A replaced label becomes a similar class, by a published map of the data set."""

    def transition(self, data: DataSpec, n_classes: int) -> Any:
        """Raises SpecError for a data set without a published map."""
        if problems := _unmapped(data):
            raise SpecError(*problems)
        dataset = DATASETS[data.name]
        confused = dataset.confused_in_superclass if data.noise.true_superclass else dataset.confused
        return self.load()(n_classes, data.noise.noise_rate, confused)

    def check(self, job: JobSpec) -> list[Problem]:
        return _majority(job.data) + _unmapped(job.data)


@noise("asymmetric_elr", made_by="s2e.data.transition:one_after_another", uses=("noise_rate",))
class AsymmetricElr(Asymmetric):
    """Asymmetric noise as ELR's program draws it: class after class, so that labels already changed change again.

    Of CIFAR-10 at 0.4 it leaves 18.4 % wrong labels, not 20: ELR's published asymmetric rows rest on it.
    """


@noise(
    "part_dependent",
    made_by="s2e.data.instance:part_dependent",
    has_matrix=False,
    by_features=True,
    uses=("noise_rate",),
)
class PartDependent(_Share):
    """Labels flip with a chance, and to a class, that depend on the sample's features (Xia et al. 2020)."""


@noise(
    "margin",
    made_by="s2e.data.instance:polynomial_margin",
    has_matrix=False,
    by_features=True,
    uses=("noise_rate", "margin_type"),
)
class Margin(_Share):
    """Labels flip between a sample's two most probable classes, near their border (polynomial margin
    diminishing noise, Zhang et al. 2021)."""


@noise("matrix", made_by="s2e.data.transition:normalised", uses=("matrix", "exact_counts"))
class Matrix(NoisePart):
    """The matrix that the job gives."""

    def transition(self, data: DataSpec, n_classes: int) -> Any:
        return self.load()(data.noise.matrix, n_classes)

    def rate(self, data: DataSpec) -> float:
        n_classes = len(data.noise.matrix or ())
        return float(1 - self.transition(data, n_classes).diagonal().mean())

    def check(self, job: JobSpec) -> list[Problem]:
        from s2e.data.transition import matrix_problems  # numpy, which a list of names does without

        return matrix_problems(job.data.noise.matrix, DATASETS[job.data.name].n_classes)


@noise("human", made_by="s2e.data.human:human_labels", has_matrix=False, uses=("human_labels",))
class Human(NoisePart):
    """Labels made by people: the CIFAR-N label sets below the data root."""

    def rate(self, data: DataSpec) -> float:
        return DATASETS[data.name].human_noise[data.noise.human_labels]

    def check(self, job: JobSpec) -> list[Problem]:
        name, label_set = job.data.name, job.data.noise.human_labels
        label_sets = DATASETS[name].human_noise
        if not label_sets:
            known = ", ".join(name for name, part in DATASETS.items() if part.human_noise)
            return [Problem("data.noise.kind", "human", f"only for {known}, not for {name}")]
        if label_set not in label_sets:
            return [Problem("data.noise.human_labels", label_set, f"one of {', '.join(label_sets)} for {name}")]
        return []


@noise("open_set", made_by="s2e.data.open_set:foreign_images", has_matrix=False, uses=("noise_rate", "open_set"))
class OpenSet(NoisePart):
    """Images of another set replace exactly noise_rate x S of the images; the labels stay (SIGUA Table 1)."""

    def rate(self, data: DataSpec) -> float:
        return data.noise.noise_rate

    def check(self, job: JobSpec) -> list[Problem]:
        own, source = DATASETS[job.data.name], job.data.noise.open_set
        if own.has_images(job.data) is False:
            return [Problem("data.noise.kind", "open_set", f"only for images, not for {own.name}")]
        fitting = [
            name for name, other in DATASETS.items() if name != own.name and other.shape == own.shape is not None
        ]
        is_file = source is not None and source.endswith(".npz") and not leaves_root(source)
        if source in fitting or is_file:
            return []
        sets = f"one of {', '.join(fitting)}, or " if fitting else ""
        shape = f", as {own.name} is {own.shape}" if own.shape is not None else ""
        return [Problem("data.noise.open_set", source, f"{sets}an .npz file below the data root{shape}")]


def _unmapped(data: DataSpec) -> list[Problem]:
    """A confusion of classes that is not published for the data set."""
    dataset, problems = DATASETS[data.name], []
    if dataset.confused is None:
        known = ", ".join(name for name, part in DATASETS.items() if part.confused is not None)
        problems.append(Problem("data.noise.kind", "asymmetric", f"only for {known}, not for {data.name}"))
    if data.noise.true_superclass and dataset.confused_in_superclass is None:
        known = ", ".join(name for name, part in DATASETS.items() if part.confused_in_superclass is not None)
        problems.append(Problem("data.noise.true_superclass", True, f"only with kind asymmetric on {known}"))
    return problems


def _majority(data: DataSpec) -> list[Problem]:
    """A rate at which the wrong class of a confusion is the majority."""
    if data.noise.noise_rate < 0.5:
        return []
    allowed = f"< 0.5 for {data.noise.kind} noise: beyond it the wrong class is the majority"
    return [Problem("data.noise.noise_rate", data.noise.noise_rate, allowed)]
