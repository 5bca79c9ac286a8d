"""``python -m s2e search job.toml``: a whole search where only torch, numpy and scipy are installed.

Prints JSON: theta of every search round, and the report. Model files, progress and a service are ``s2e``'s part.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from pathlib import Path

from s2e.door import parse_job
from s2e.jobs.loop import run_search
from s2e.words import Population, Round, S2EError, TrialResult, to_json


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m s2e", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    search = commands.add_parser("search", help="run the search of a job file in this process")
    search.add_argument("job", type=Path, help="a job as TOML, such as examples/digits.toml")
    search.add_argument("--data-root", help="folder of the data sets; digits needs none")
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(json.dumps(run(options.job, options.data_root), allow_nan=False) + "\n")
    except (S2EError, OSError, tomllib.TOMLDecodeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def run(job: Path, data_root: str | None) -> dict[str, object]:
    """The search of a job file, one population after the other."""
    from s2e.train.trial import PopulationEnd, train_population

    spec = parse_job(tomllib.loads(job.read_text(encoding="utf-8")))

    def run_round(round_: Round, populations: tuple[Population, ...]) -> list[TrialResult]:
        sys.stderr.write(f"round {round_.index} ({round_.kind}): {len(round_.trials)} trials\n")
        events = (event for population in populations for event in train_population(population, data_root=data_root))
        return [result for event in events if isinstance(event, PopulationEnd) for result in event.results]

    history, report = run_search(spec, run_round)
    theta = [record.round.state.theta for record in history if record.round.state is not None]
    return {"theta": theta, "report": to_json(report)}


if __name__ == "__main__":
    sys.exit(main())
