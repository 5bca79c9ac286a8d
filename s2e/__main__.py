"""``python -m s2e search job.toml``: a whole job where only torch, numpy and scipy are installed.

Prints JSON: theta of every search round, and the report. Model files, a progress bar and a service are ``s2e``'s part.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from s2e.local import run, spec_of
from s2e.words import S2EError, to_json


class _Lines:
    """A line on standard error for each round."""

    def round(self, index: int, kind: str, n_trials: int) -> None:
        sys.stderr.write(f"round {index} ({kind}): {n_trials} trials\n")

    def epoch(self, trial: object, epoch: int) -> None:
        """Not told."""

    def ended(self, trial: object, label: str, share: float, validation_accuracy: float | None) -> None:
        """Not told."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m s2e", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    search = commands.add_parser("search", help="run the search of a job file in this process")
    search.add_argument("job", type=Path, help="a job as TOML, such as examples/digits.toml")
    search.add_argument("--data-root", help="folder of the data sets; digits needs none")
    options = parser.parse_args(arguments)
    try:
        history, report = run(spec_of(options.job), data_root=options.data_root, progress=_Lines())
    except S2EError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    theta = [record.round.state.theta for record in history if record.round.state and record.round.kind == "search"]
    sys.stdout.write(json.dumps({"theta": theta, "report": to_json(report)}, allow_nan=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
