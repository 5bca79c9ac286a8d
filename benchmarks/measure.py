"""Shared by every benchmark: the machine it ran on, and how a list of times becomes a figure."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

Run = dict[str, Any]


def machine() -> dict[str, Any]:
    """Processor, torch version, threads and the load of the machine at this moment."""
    facts: dict[str, Any] = {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "amx_bf16": torch.cpu._is_amx_tile_supported(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "load_1min": round(os.getloadavg()[0], 2),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Median, minimum, maximum and number of the measurements."""
    return {
        "median": round(statistics.median(values), 6),
        "min": round(min(values), 6),
        "max": round(max(values), 6),
        "n": len(values),
    }


def percentiles(values: Sequence[float]) -> dict[str, Any]:
    """p50 and p95 (nearest rank), minimum, maximum and number of the measurements."""
    ranked = sorted(values)

    def rank(share: float) -> float:
        return round(ranked[min(len(ranked) - 1, int(share * len(ranked)))], 6)

    return {"p50": rank(0.5), "p95": rank(0.95), "min": rank(0.0), "max": round(ranked[-1], 6), "n": len(ranked)}


def write_result(folder: Path, name: str, result: dict[str, Any]) -> Path:
    """Keep a result as ``<date>-<name>.json`` below ``folder``; a later run of the same day replaces it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.now(UTC):%Y-%m-%d}-{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def logged(cells: Sequence[tuple[str, int]], log: Path | None, run: Callable[[str, int], Run]) -> list[Run]:
    """The run of every (cell, seed), printed and added to ``log`` as a JSON line; those in it are not run again."""
    lines = log.read_text().splitlines() if log and log.exists() else []
    done = {(one["cell"], one["seed"]): one for one in map(json.loads, lines)}
    for name, seed in cells:
        if (name, seed) not in done:
            done[name, seed] = run(name, seed)
            line = json.dumps(done[name, seed])
            print(line, flush=True)
            if log:
                with log.open("a") as file:
                    file.write(line + "\n")
    return [done[cell] for cell in cells]


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
