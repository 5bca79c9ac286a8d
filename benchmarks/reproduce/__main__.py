"""Train rows of published tables and write them beside the published figures.

    python -m benchmarks.reproduce                           every row, at the size a CPU can train
    python -m benchmarks.reproduce --row s2e-mnist-sym50     one row
    python -m benchmarks.reproduce --scale paper             as published, on a GPU

Needs MNIST and CIFAR-10 below S2E_DATA_ROOT. Writes results/reproduce-<scale>.json here and docs/results.md; rows that
were measured before stay.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import machine
from benchmarks.reproduce.rows import Measured, load, measure, ordering
from s2e.train.runtime import has_fast_bfloat16

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "results.md"
HEAD = """# Published figures and ours

Written by `python -m benchmarks.reproduce`. Test accuracy in %, mean +- standard deviation over seeds; *best* is the
maximum over epochs and *last10* the mean of the last ten, both on test data: figures to compare, never a basis of a
choice, never with one another. *best-val* is the test accuracy of the epoch that validates best. What was scaled down
is said with each table: then the order (at the end of training) is to be compared, not the values.
"""


def main() -> None:
    scales, rows = load()
    options = argparse.ArgumentParser(prog="python -m benchmarks.reproduce", description=__doc__.splitlines()[0])
    options.add_argument("--row", action="append", choices=[row["name"] for row in rows], help="default: all")
    options.add_argument("--scale", choices=list(scales), default="cpu")
    chosen = options.parse_args()
    scale = scales[chosen.scale]
    dtype = "bfloat16" if scale["device"] == "cpu" and has_fast_bfloat16() else "float32"
    path = ROOT / "benchmarks" / "results" / f"reproduce-{chosen.scale}.json"
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    torch.set_num_threads(1)
    for row in rows:
        if chosen.row and row["name"] not in chosen.row:
            continue
        results[row["name"]] = _train(row, scale, dtype)
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    TABLE.write_text(document(scales, rows), encoding="utf-8")
    print(f"wrote {path.name} and {TABLE.relative_to(ROOT)}")


def _train(row: dict[str, Any], scale: dict[str, Any], dtype: str) -> dict[str, Any]:
    began_s, measured = time.monotonic(), []
    for method in row["methods"]:
        measured.append(measure(row, method, scale, dtype))
        print(f"{row['name']:20} {measured[-1].method:14} {measured[-1].shown(row['metric'])}", file=sys.stderr)
    accuracy = {one.method: one.accuracy for one in measured}
    return {"accuracy": accuracy, "dtype": dtype, "machine": machine(), "wall_s": round(time.monotonic() - began_s)}


def document(scales: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """docs/results.md from every stored result."""
    parts = [HEAD]
    for name, scale in scales.items():
        path = ROOT / "benchmarks" / "results" / f"reproduce-{name}.json"
        if path.exists():
            results = json.loads(path.read_text(encoding="utf-8"))
            parts += [_section(row, scale, results[row["name"]]) for row in rows if row["name"] in results]
    return "\n".join(parts)


def _section(row: dict[str, Any], scale: dict[str, Any], result: dict[str, Any]) -> str:
    measured = {
        m["method"]: Measured(m["method"], result["accuracy"][m["method"]], m.get("published"))
        for m in row["methods"]
        if m["method"] in result["accuracy"]
    }
    lines, shown = [], list(dict.fromkeys(["best", "last10", row["metric"]]))
    for m in measured.values():
        published = "" if m.published is None else f"{m.published:.2f} ({row['metric']})"
        cells = [m.shown(metric) if metric in m.accuracy else "" for metric in shown]
        lines.append("| " + " | ".join([m.method, published, *cells]) + " |")
    notes = "; ".join(filter(None, (scale["note"], row.get("note") if scale["device"] == "cpu" else "")))
    return "\n".join(
        [
            f"## {row['source']}",
            "",
            f"{notes}; {result['dtype']}. {ordering(row['expect'], measured)}.",
            "",
            "| method | published | " + " | ".join(f"ours, {metric}" for metric in shown) + " |",
            "|---|---|" + "---|" * len(shown),
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    main()
