"""The files behind an audit of labels, below the artifact root. Numpy alone: serving them needs no torch.

<job>/labels.npz                                    the labels of all rows, as the job got them
<job>/cross-fitted.npz                              the verdict on each by the estimate before round 0
<job>/round-<m>/trial-<k>-attempt-<a>.margins.npz   the margins of one training, beside its model
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from s2e.files import files_below, job_folder
from s2e.labels.free import TrialMargins
from s2e.words import DataError

Arrays = TypeVar("Arrays")
SPLITS = ("train", "validation", "test")
"""Parts of a job's rows, in the order in which files have them."""


@dataclass(frozen=True, eq=False)
class GivenLabels:
    """The labels of a job's rows: those that train, then those that validate, then those that test."""

    label_S: NDArray[np.int64]
    """Class numbers."""
    id_S: NDArray[Any]
    """The user's own name for each row: its id, or its number in the file."""
    name_C: NDArray[Any]
    """Names of the classes."""
    is_trusted_S: NDArray[np.bool_]
    """Labels that are known to be right."""
    split_S: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype=np.str_))
    """The part each row belongs to, one of SPLITS. Left out, all train: earlier releases kept no others."""

    def __post_init__(self) -> None:
        if not len(self.split_S):
            object.__setattr__(self, "split_S", np.full(len(self.label_S), SPLITS[0]))

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.label_S)

    @property
    def n_train(self) -> int:
        """Rows that train: the first ones."""
        return int((self.split_S == SPLITS[0]).sum())

    def first(self, n: int) -> GivenLabels:
        """The first n rows: those of which something is known."""
        by_row = ("label_S", "id_S", "is_trusted_S", "split_S")
        return replace(self, **{name: getattr(self, name)[:n] for name in by_row})


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """The verdict on each label by networks that did not train on its row; rows as in :class:`GivenLabels`."""

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
            known = (
                each.name
                for each in fields(shape)  # type: ignore[arg-type]
                if each.name in stored or each.default_factory is MISSING
            )
            return shape(**{name: stored[name] for name in known})
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{relative} cannot be read: {error}") from error


def load_margins(root: str | Path, model: str) -> TrialMargins | None:
    """The margins of the training behind a model file; None where they were not kept."""
    return load(root, margins_path(model), TrialMargins)
