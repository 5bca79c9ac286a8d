"""The files behind an audit of labels, below the artifact root. Numpy alone: serving them needs no torch.

<job>/labels.npz                                    the labels of the training rows, as the job got them
<job>/cross-fitted.npz                              the verdict on each by the estimate before round 0
<job>/round-<m>/trial-<k>-attempt-<a>.margins.npz   the margins of one training, beside its model
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from s2e.files import files_below, job_folder
from s2e.labels.free import TrialMargins
from s2e.words import DataError

Arrays = TypeVar("Arrays")


@dataclass(frozen=True, eq=False)
class GivenLabels:
    """The labels of a job's training rows."""

    label_S: NDArray[np.int64]
    """Class numbers."""
    id_S: NDArray[Any]
    """The user's own name for each row: its id, or its number in the file."""
    name_C: NDArray[Any]
    """Names of the classes."""
    is_trusted_S: NDArray[np.bool_]
    """Labels that are known to be right."""


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """The verdict on each label by networks that did not train on its row."""

    probability_wrong_S: NDArray[np.float64]
    score_S: NDArray[np.float64]
    likely_S: NDArray[np.int64]
    other_S: NDArray[np.int64]
    """The likeliest class beside the given one."""


def labels_path(job_id: str) -> str:
    """Path of a job's given labels below the root. Raises ArtifactError for a bad job id."""
    return f"{job_folder(job_id)}/labels.npz"


def cross_fitted_path(job_id: str) -> str:
    """Path of the cross-fitted audit below the root. Raises ArtifactError for a bad job id."""
    return f"{job_folder(job_id)}/cross-fitted.npz"


def margins_path(model: str) -> str:
    """Path of what a training says of the labels, from that of its model."""
    return f"{model.removesuffix('.safetensors')}.margins.npz"


def save(root: str | Path, relative: str, arrays: Any) -> None:
    """Write one of this module's dataclasses, whole or not at all."""
    file = io.BytesIO()
    np.savez_compressed(file, **asdict(arrays))
    files_below(root).write(relative, file.getvalue())


def load(root: str | Path, relative: str, shape: type[Arrays]) -> Arrays | None:
    """One of this module's dataclasses; None where there is no such file. Raises DataError for one that is broken."""
    files = files_below(root)
    if files.look(relative) is None:
        return None
    try:
        with np.load(io.BytesIO(files.read(relative)), allow_pickle=False) as stored:
            return shape(**{each.name: stored[each.name] for each in fields(shape)})  # type: ignore[arg-type]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{relative} cannot be read: {error}") from error


def load_margins(root: str | Path, model: str) -> TrialMargins | None:
    """The margins of the training behind a model file; None where they were not kept."""
    return load(root, margins_path(model), TrialMargins)
