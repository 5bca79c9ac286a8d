"""Data and noise that do not fit, refused at the door: field, value, what is allowed. Imports no torch."""

from __future__ import annotations

from s2e.data.limits import FACTS, HUMAN_NOISE_RATES, has_images, sample_shape
from s2e.data.root import leaves_root
from s2e.data.transition import asymmetric_map, matrix_problems
from s2e.data.validation import validation_problems
from s2e.words import DataSpec, Problem, SpecError


def data_problems(data: DataSpec, augment: str) -> list[Problem]:
    """Every reason why ``data`` cannot be loaded as asked, given noise, or augmented."""
    problems = table_problems(data) + noise_problems(data)
    problems = problems or validation_problems(data)
    if augment != "none" and not has_images(data.name):
        problems.append(Problem("train.augment", augment, f"none: samples of {data.name} are no images"))
    return problems


def noise_problems(data: DataSpec) -> list[Problem]:
    """Every reason why the noise of ``data`` cannot be drawn, or would have no meaning."""
    noise = data.noise
    problems = []
    if noise.matrix is not None and noise.kind != "matrix":
        problems.append(Problem("data.noise.matrix", "a matrix", f"only with kind matrix, not with {noise.kind}"))
    if noise.true_superclass and (noise.kind, data.name) != ("asymmetric", "cifar100"):
        problems.append(Problem("data.noise.true_superclass", True, "only with kind asymmetric on cifar100"))
    if noise.kind in ("pair", "asymmetric") and noise.noise_rate >= 0.5:
        allowed = f"< 0.5 for {noise.kind} noise: beyond it the wrong class is the majority"
        problems.append(Problem("data.noise.noise_rate", noise.noise_rate, allowed))
    if noise.kind == "asymmetric":
        problems += _asymmetric_problems(data)
    elif noise.kind == "matrix":
        known = FACTS.get(data.name)
        problems += matrix_problems(noise.matrix, known.n_classes if known else None)
    elif noise.kind == "human":
        problems += _human_problems(data)
    if noise.kind == "open_set" or noise.open_set is not None:
        problems += _open_set_problems(data)
    return problems


def table_problems(data: DataSpec) -> list[Problem]:
    """A ``csv`` without a file, a file without ``csv``, a path that leaves the data root."""
    table = data.csv
    if data.name != "csv":
        given = [("path", table.path), ("test_path", table.test_path)]
        return [
            Problem(f"data.csv.{field}", path, f"only with data set csv, not with {data.name}")
            for field, path in given
            if path
        ]
    if not table.path:
        return [Problem("data.csv.path", table.path, "required for data set csv: a path below the data root")]
    paths = [("path", table.path), ("test_path", table.test_path or "")]
    return [
        Problem(f"data.csv.{field}", path, "a path below the data root, without '..'")
        for field, path in paths
        if leaves_root(path)
    ]


def _asymmetric_problems(data: DataSpec) -> list[Problem]:
    try:
        asymmetric_map(data.name)
    except SpecError as error:
        return list(error.problems)
    return []


def _human_problems(data: DataSpec) -> list[Problem]:
    label_sets = HUMAN_NOISE_RATES.get(data.name)
    if label_sets is None:
        return [Problem("data.noise.kind", "human", f"only for {', '.join(HUMAN_NOISE_RATES)}, not for {data.name}")]
    if data.noise.human_labels not in label_sets:
        allowed = f"one of {', '.join(label_sets)} for {data.name}"
        return [Problem("data.noise.human_labels", data.noise.human_labels, allowed)]
    return []


def _open_set_problems(data: DataSpec) -> list[Problem]:
    field, source, shape = "data.noise.open_set", data.noise.open_set, sample_shape(data.name)
    fitting = [name for name in FACTS if name != data.name and has_images(name) and sample_shape(name) == shape]
    allowed = f"one of {', '.join(fitting)}, or " if fitting else ""
    if data.noise.kind != "open_set":
        return [Problem(field, source, f"only with kind open_set, not with {data.noise.kind}")]
    if not has_images(data.name):
        return [Problem("data.noise.kind", "open_set", f"only for images, not for {data.name}")]
    is_file = source is not None and source.endswith(".npz") and not leaves_root(source)
    if source not in fitting and not is_file:
        return [Problem(field, source, f"{allowed}an .npz file below the data root, as {data.name} is {shape}")]
    return []
