"""Counts of faults and what came of them, which add up over several runs in one file."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from s2e.files import write_atomic


@dataclass
class Tally:
    """Faults through jobs that have ended and were compared with the undisturbed one."""

    recovery_s: dict[str, list[float]] = field(default_factory=dict)
    """Of every fault, by its name."""
    lost: list[int] = field(default_factory=list)
    """Epochs that every killed training lost."""
    thirds: list[int] = field(default_factory=lambda: [0, 0, 0])
    """Trainings under way at a fault, by the third of their length that they were in."""
    jobs: int = 0
    seeds: list[int] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path | None) -> Self:
        """That of the runs before, where the file is there."""
        return cls() if path is None or not path.exists() else cls(**json.loads(path.read_text()))

    @property
    def n_faults(self) -> int:
        return sum(map(len, self.recovery_s.values()))

    def save(self, path: Path | None) -> None:
        if path is not None:
            write_atomic(path, json.dumps(asdict(self)).encode())

    def add(self, other: Tally) -> None:
        """Take in the faults of another one, but for its seeds."""
        for name, seconds in other.recovery_s.items():
            self.recovery_s.setdefault(name, []).extend(seconds)
        self.lost += other.lost
        self.thirds = [mine + its for mine, its in zip(self.thirds, other.thirds, strict=True)]
        self.jobs += other.jobs
        self.violations += other.violations

    def told(self) -> dict[str, Any]:
        every = [s for of_kind in self.recovery_s.values() for s in of_kind]
        return {
            "faults": self.n_faults,
            "jobs": self.jobs,
            "seeds": self.seeds,
            "recovery_s": {name: summary(self.recovery_s[name]) for name in sorted(self.recovery_s)}
            | {"all": summary(every)},
            "epochs_lost_per_killed_training": summary([float(n) for n in self.lost]),
            "trainings_under_way_by_third": self.thirds,
            "violations": self.violations,
        }


def summary(values: list[float]) -> dict[str, float]:
    """Number, median, 95 % and largest."""
    if not values:
        return {"n": 0}
    ordered = sorted(values)
    return {
        "n": len(ordered),
        "median": round(statistics.median(ordered), 2),
        "p95": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 2),
        "max": round(ordered[-1], 2),
    }
