"""Rules that join fields of the data: claims about labels, a table beside another data set, validation labels under the
noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s2e.data.root import leaves_root
from s2e.data.validation import known_transition, scores
from s2e.parts import DATASETS, NOISE
from s2e.words import DataSpec, JobSpec, Problem, SpecError

_DEFAULT_DATASET = DataSpec().name


def with_label_contract(job: Any) -> Any:
    """The plain JSON of a job with its data set's kind of labels, where the job itself gives none.

    No noise is injected into labels that are given or trusted, and given ones validate as they are. A job that asks for
    a kind of noise takes the labels for right. Malformed values are passed on, for the validator to name. Raises
    SpecError for a setting of noise without its kind, which says neither.
    """
    data = job.get("data", {}) if isinstance(job, Mapping) else None
    noise = data.get("noise", {}) if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(noise, Mapping):
        return job
    name = data.get("name", _DEFAULT_DATASET)
    if not isinstance(name, str) or name not in DATASETS:
        return job
    labels = data.get("labels", DATASETS[name].labels if noise.get("kind", "none") == "none" else "injected")
    more: dict[str, Any] = {"labels": labels}
    if labels in ("given", "trusted") and "kind" not in noise:
        _refuse_half_asked(labels, noise)
        more["noise"] = {"kind": "none"}
    if labels == "given" and "validation_labels" not in data:
        more["validation_labels"] = "noisy"
    return {**job, "data": {**data, **more}}


def with_open_sizes(job: Any) -> Any:
    """The plain JSON of a job on data of one's own with the sizes that it leaves to them; :mod:`s2e.sizes` fills them
    in. As it is where the service does not see the data."""
    data, train = (job.get(section, {}) if isinstance(job, Mapping) else None for section in ("data", "train"))
    if not isinstance(data, Mapping) or not isinstance(train, Mapping) or "sizes" in data:
        return job
    name = data.get("name", _DEFAULT_DATASET)
    if not isinstance(name, str) or name not in DATASETS or DATASETS[name].labels != "given":
        return job
    if job.get("trials", "internal") != "internal":
        return job
    left = [] if "n_validation" in data or data.get("split", "holdout") != "holdout" else ["n_validation"]
    left += [] if "batch_size" in train else ["batch_size"]
    left += [] if "n_epochs" in train or _counts_epochs(job, train) else ["n_epochs"]
    left += [] if "network" in train or "network_params" in train else ["network"]
    return {**job, "data": {**data, "sizes": {"open": left}}}


def _counts_epochs(job: Mapping[str, Any], train: Mapping[str, Any]) -> bool:
    """True if the job says something in epochs, which would mean something else with another number of them."""
    said = ((job.get("search"), "tail_epochs"), (job.get("report"), "ramp_epochs"), (job.get("budget"), "epochs"))
    return "lr_milestones" in train or any(isinstance(part, Mapping) and name in part for part, name in said)


def _refuse_half_asked(labels: str, noise: Mapping[str, Any]) -> None:
    """A setting of noise without a kind: to inject noise, or to say how wrong the labels are?"""
    allowed = (
        f"only beside data.noise.kind: no noise is injected into labels that are {labels} unless a kind is asked for; "
        "what you know of their noise rate is report.tau"
    )
    if problems := [Problem(f"data.noise.{field}"[:200], str(value)[:80], allowed) for field, value in noise.items()]:
        raise SpecError(*problems)


def label_problems(job: JobSpec) -> list[Problem]:
    """Claims about labels that contradict each other, or that need a truth which is not known."""
    data, problems = job.data, []
    if data.labels != "injected" and data.noise.kind != "none":
        allowed = (
            f"none for labels that are {data.labels}; data.labels = injected takes them for right and injects noise"
        )
        problems.append(Problem("data.noise.kind", data.noise.kind, allowed))
    problems += _trust_problems(job)
    if data.truth_is_known:
        return problems
    if data.validation_labels == "clean":
        allowed = "noisy or noisy_corrected for labels that are given: nobody knows which of them are right"
        problems.append(Problem("data.validation_labels", "clean", allowed))
    if data.imbalance is not None:
        allowed = "null for labels that are given: nobody knows the true class of a sample"
        problems.append(Problem("data.imbalance", data.imbalance, allowed))
    if data.n_clean:
        allowed = "0 for labels that are given: nobody knows which samples have a right one"
        problems.append(Problem("data.n_clean", data.n_clean, allowed))
    if job.trials == "external" and job.report.tau is None:
        allowed = "the share of wrong labels, which s2e estimate-noise estimates: the service does not see your data"
        problems.append(Problem("report.tau", None, allowed))
    return problems


def _trust_problems(job: JobSpec) -> list[Problem]:
    """Trusted rows of a data set that cannot mark any, or in a job that would not use them as meant."""
    data, field = job.data, "data.trusted"
    if not data.trusted.is_declared:
        return []
    if DATASETS[data.name].labels != "given":
        own = ", ".join(name for name, part in DATASETS.items() if part.labels == "given")
        return [Problem(field, data.name, f"only for data of your own ({own}); see data.n_clean")]
    if data.labels != "given":
        return [Problem(field, data.labels, "only for labels that are given: the others are taken for right")]
    if data.split != "holdout":
        return [Problem("data.split", data.split, "holdout, where some rows are trusted")]
    if leaves_root(data.trusted.path or ""):
        return [Problem(f"{field}.path", data.trusted.path, "a path below the data root, without '..'")]
    return []


def registered_problems(data: DataSpec) -> list[Problem]:
    """A registered data set in a job that no service handles."""
    if data.registered is None or data.fingerprint is not None:
        return []
    allowed = "null without a service: those it keeps are listed by s2e data list"
    return [Problem("data.registered", data.registered, allowed)]


def table_problems(data: DataSpec) -> list[Problem]:
    """A table for a data set that reads none."""
    tables = [name for name, part in DATASETS.items() if part.own_section() == "csv"]
    if data.name in tables:
        return []
    given = [("path", data.csv.path), ("test_path", data.csv.test_path)]
    allowed = f"only with data set {' or '.join(tables)}, not with {data.name}"
    return [Problem(f"data.csv.{field}", path, allowed) for field, path in given if path]


def validation_problems(data: DataSpec) -> list[Problem]:
    """Noisy validation labels that do not exist, or a correction without a matrix or without its inverse."""
    field, asked, kind = "data.validation_labels", data.validation_labels, data.noise.kind
    if asked == "clean":
        return []
    if kind == "open_set":
        return [Problem(field, asked, "clean: open-set noise keeps all labels")]
    if kind == "human" and data.split == "s2e":
        return [Problem(field, asked, "clean: people labelled the training samples, and split s2e validates on others")]
    if asked == "noisy_corrected" and not NOISE[kind].has_matrix:
        return [Problem(field, asked, f"clean or noisy: the matrix of {kind} noise is not known")]
    T_CC = known_transition(data)
    if asked == "noisy_corrected" and T_CC is not None:
        try:
            scores(T_CC)
        except SpecError as error:
            return list(error.problems)
    return []
