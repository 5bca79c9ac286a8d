"""Recorded trainings as a stand-in for training: one seed of the nearest recorded schedule answers.

Legend: S schedules of the table, R seeds of each, T epochs.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.files import write_atomic
from s2e.words import DataError, TrialSpec
from workers.simulated import SimulatedTrial

TABLES = Path(__file__).parent / "tables"
DIGITS_SYM50 = TABLES / "digits_sym50.npz"
"""Co-teaching, MLP, digits, 50 % symmetric noise; written by ``benchmarks/record_table.py``."""
DIGITS_PAIR45 = TABLES / "digits_pair45.npz"
"""The same with 45 % pair noise, where seeds differ by more than schedules."""

Curves = NDArray[np.float64]
MEASURED = ("validation_accuracy", "test_accuracy", "label_precision")
UNITS = 60_000
"""Files hold integers n for n / UNITS: exact for shares of 300 and of 500 images averaged over two networks."""


@dataclass(frozen=True)
class RecordedTable:
    """Per-epoch measurements of S schedules x R seeds (initial weights and data order), and how they were made."""

    keep_rate: Curves
    """R(t) of each schedule: (S, T)."""
    validation_accuracy: Curves
    """(S, R, T), as are the next two."""
    test_accuracy: Curves
    label_precision: Curves
    made_with: dict[str, Any]
    """Data, training and plan of the trainings, as in a JobSpec, and ``n_drawn``: schedules drawn uniformly from the
    space ``s2e``, which come first; the others are eq. (1)."""

    @classmethod
    def load(cls, path: Path = DIGITS_SYM50) -> RecordedTable:
        """Read a table. Raises DataError where there is none."""
        if not path.is_file():
            raise DataError(f"no recorded table at {path}: make it with python -m benchmarks.record_table")
        with np.load(path, allow_pickle=False) as arrays:
            curves = {name: arrays[name].astype(np.float64) / UNITS for name in ("keep_rate", *MEASURED)}
            return cls(**curves, made_with=json.loads(str(arrays["made_with"])))

    def save(self, path: Path) -> None:
        """Write the table, compressed."""
        buffer = io.BytesIO()
        curves = {name: np.rint(getattr(self, name) * UNITS).astype(np.uint16) for name in ("keep_rate", *MEASURED)}
        np.savez_compressed(buffer, **curves, made_with=np.array(json.dumps(self.made_with)))
        write_atomic(path, buffer.getvalue())

    def objective(self, tail_epochs: int) -> Curves:
        """1 - mean validation accuracy over the last epochs of each training: (S, R)."""
        return np.asarray(1 - self.validation_accuracy[..., -tail_epochs:].mean(axis=-1))

    def nearest(self, keep_rate: tuple[float, ...]) -> int:
        """The recorded schedule with the smallest L2 distance from R(t), compared on the table's own epochs."""
        asked_T = _resampled(np.asarray(keep_rate), self.keep_rate.shape[1])
        return int(np.square(self.keep_rate - asked_T).sum(axis=1).argmin())

    def __call__(self, trial: TrialSpec) -> SimulatedTrial:
        """Measurements of the nearest recorded schedule's training, stretched over the trial's epochs.

        The trial's initial weights choose among the recorded seeds, so a fresh-seed repeat differs as a real one does.
        """
        s, r = self.nearest(trial.keep_rate), trial.init_seed % self.validation_accuracy.shape[1]
        curves_SRT = (self.validation_accuracy, self.test_accuracy, self.label_precision)
        validation, test, precision = (_resampled(curve_SRT[s, r], len(trial.keep_rate)) for curve_SRT in curves_SRT)
        return SimulatedTrial(tuple(validation.tolist()), tuple(test.tolist()), tuple(precision.tolist()))


def _resampled(curve: NDArray[Any], n_epochs: int) -> NDArray[np.float64]:
    """A curve over its own epochs, linearly interpolated at ``n_epochs`` points from its first to its last."""
    at = np.linspace(0, len(curve) - 1, n_epochs)
    return np.interp(at, np.arange(len(curve)), np.asarray(curve, dtype=np.float64))
