"""``make bench``: run the benchmarks, keep each result as ``results/<date>-<name>.json``, print them all as JSON.

python -m benchmarks.run [--quick] [--results FOLDER] [--only epoch dispatch methods]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import write_result

ROOT = Path(__file__).resolve().parent
_ARGUMENTS: dict[str, list[str]] = {"epoch": [], "dispatch": [], "methods": []}
_QUICK = {
    "epoch": ["--tiny", "--repeats", "2", "--late-epochs", "6"],
    "dispatch": ["--tiny"],
    "methods": ["--tiny", "--repeats", "1"],
}


def run_one(name: str, arguments: list[str]) -> dict[str, Any]:
    """One benchmark in a process of its own, so that no other leaves threads, memory or a Ray behind."""
    command = [sys.executable, "-m", f"benchmarks.bench_{name}", *arguments]
    done = subprocess.run(command, cwd=ROOT.parent, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return {"command": " ".join(["python", *command[1:]]), **result}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes: checks the path, not the speed"
    )
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="where the raw JSON is kept")
    parser.add_argument("--only", nargs="+", choices=sorted(_ARGUMENTS), default=sorted(_ARGUMENTS))
    args = parser.parse_args()
    results = {}
    for name in args.only:
        results[name] = run_one(name, (_QUICK if args.quick else _ARGUMENTS)[name])
        if not args.quick:
            path = write_result(args.results, name, results[name])
            print(f"wrote {path}", file=sys.stderr)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
