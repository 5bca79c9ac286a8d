"""Recorded trainings as a stand-in for training: the nearest recorded schedule answers.

Legend: S schedules of the table, T epochs.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.errors import DataError
from s2e.spec import TrialSpec
from workers.artifacts import write_atomic
from workers.simulated import SimulatedTrial

DIGITS_SYM50 = Path(__file__).parent / "tables" / "digits_sym50.npz"
"""Co-teaching, MLP, digits, 50 % symmetric noise; written by ``benchmarks/record_table.py``."""

Curves = NDArray[np.float32]
_CURVES = ("keep_rate", "validation_accuracy", "test_accuracy", "label_precision")


@dataclass(frozen=True)
class RecordedTable:
    """Per-epoch measurements of S real trainings, each (S, T), with the job they were made with."""

    keep_rate: Curves
    validation_accuracy: Curves
    test_accuracy: Curves
    label_precision: Curves
    made_with: dict[str, Any]
    """Data, training and plan of the trainings, as in a JobSpec."""

    @classmethod
    def load(cls, path: Path = DIGITS_SYM50) -> RecordedTable:
        """Read a table. Raises DataError where there is none."""
        if not path.is_file():
            raise DataError(f"no recorded table at {path}: make it with benchmarks/record_table.py")
        with np.load(path, allow_pickle=False) as arrays:
            curves = {name: arrays[name] for name in _CURVES}
            return cls(**curves, made_with=json.loads(str(arrays["made_with"])))

    def save(self, path: Path) -> None:
        """Write the table, compressed."""
        buffer = io.BytesIO()
        curves = {name: getattr(self, name) for name in _CURVES}
        np.savez_compressed(buffer, **curves, made_with=np.array(json.dumps(self.made_with)))
        write_atomic(path, buffer.getvalue())

    def nearest(self, keep_rate: tuple[float, ...]) -> int:
        """The recorded schedule with the smallest L2 distance from R(t), compared on the table's own epochs."""
        asked_T = _resampled(np.asarray(keep_rate), self.keep_rate.shape[1])
        return int(np.square(self.keep_rate - asked_T).sum(axis=1).argmin())

    def __call__(self, trial: TrialSpec) -> SimulatedTrial:
        """What the nearest recorded training measured, stretched over the trial's epochs."""
        s, n_epochs = self.nearest(trial.keep_rate), len(trial.keep_rate)
        curves_ST = (self.validation_accuracy, self.test_accuracy, self.label_precision)
        validation, test, precision = (tuple(_resampled(curve_ST[s], n_epochs).tolist()) for curve_ST in curves_ST)
        return SimulatedTrial(validation, test, precision)


def _resampled(curve: NDArray[Any], n_epochs: int) -> NDArray[np.float64]:
    """A curve over its own epochs, linearly interpolated at ``n_epochs`` points from its first to its last."""
    at = np.linspace(0, len(curve) - 1, n_epochs)
    return np.interp(at, np.arange(len(curve)), np.asarray(curve, dtype=np.float64))
