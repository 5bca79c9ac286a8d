"""Rules that join fields of the data: a table that is not asked for, validation labels under the noise."""

from __future__ import annotations

from s2e.data.validation import known_transition, scores
from s2e.parts import NOISE
from s2e.words import DataSpec, Problem, SpecError


def table_problems(data: DataSpec) -> list[Problem]:
    """A table for another data set than ``csv``."""
    if data.name == "csv":
        return []
    given = [("path", data.csv.path), ("test_path", data.csv.test_path)]
    allowed = f"only with data set csv, not with {data.name}"
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
