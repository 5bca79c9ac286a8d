"""A whole search in this process, by the loop and the trainer of the service: the same theta, bit for bit."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from s2e.jobs.loop import n_rounds, n_trials, run_search
from s2e.parts import KINDS
from s2e.words import JobSpec, Population, Round, RoundRecord, S2EError, TrialError, TrialResult, to_json
from service.api.schemas_compare import REPORT_SHAPES, AnyReport
from service.cli.terminal import LiveSearch
from workers.artifacts import save_schedule, write_atomic
from workers.backend import EpochReported, Event, PopulationFinished, PopulationKey, PopulationLost, TrialBackend


def run_with_progress(spec: JobSpec, output: Path, data_root: Path | None, console: Console) -> AnyReport:
    """Run ``spec`` under a progress bar. The artifacts lie in a folder named for the kind of the job; beside them,
    search.json or compare.json holds every round, its theta and results."""
    with LiveSearch(console, n_rounds(spec), n_trials(spec), spec.train.n_epochs) as live:

        def on_event(round_: Round, event: Event) -> None:
            if isinstance(event, EpochReported):
                for row in event.epochs:
                    live.epoch((round_.index, row.k), row.epoch)
            elif isinstance(event, PopulationFinished):
                for result in event.results:
                    live.ended((round_.index, result.k), result.validation_accuracy)

        history, report = search(
            spec, output, data_root, lambda round_: live.round(round_.index, round_.kind), on_event
        )
    write_atomic(output / spec.kind / f"{spec.kind}.json", _as_json(spec, history, report))
    return REPORT_SHAPES[spec.kind](**to_json(report), created_at=datetime.now(UTC))


def _as_json(spec: JobSpec, history: Sequence[RoundRecord], report: Any) -> bytes:
    content = {"spec": to_json(spec), "rounds": to_json(list(history)), "report": to_json(report)}
    return json.dumps(content, allow_nan=False, indent=1).encode()


def search(
    spec: JobSpec,
    output: Path,
    data_root: Path | None,
    on_round: Callable[[Round], None],
    on_event: Callable[[Round, Event], None],
) -> tuple[list[RoundRecord], Any]:
    """Run ``spec`` with the inline backend; models, their descriptions and schedule.json go below ``output``.

    Raises TrialError, with its reason, when a population cannot be trained at all.
    """
    from workers.inline import InlineBackend  # imports torch, which the other commands do without

    logging.getLogger("workers.trainer").addFilter(_is_unexpected)
    backend = InlineBackend(output, data_root)

    def run_round(round_: Round, populations: tuple[Population, ...]) -> list[TrialResult]:
        on_round(round_)
        return _run_round(backend, spec.kind, round_, populations, on_event)

    try:
        history, report = run_search(spec, run_round)
    finally:
        backend.close()
    if KINDS[spec.kind].recommends:
        save_schedule(output, spec.kind, report)
    return history, report


def _is_unexpected(record: logging.LogRecord) -> bool:
    """Keeps the traceback of what nobody foresaw; an error with a name is told by its reason."""
    return record.exc_info is None or not isinstance(record.exc_info[1], S2EError)


def _run_round(
    backend: TrialBackend,
    folder: str,
    round_: Round,
    populations: tuple[Population, ...],
    on_event: Callable[[Round, Event], None],
) -> list[TrialResult]:
    for group, population in enumerate(populations):
        backend.start(PopulationKey(folder, round_.index, group, 1), population)
    results: list[TrialResult] = []
    while backend.running():
        for event in backend.poll(1.0):
            on_event(round_, event)
            if isinstance(event, PopulationFinished):
                results.extend(event.results)
            elif isinstance(event, PopulationLost):
                raise TrialError(event.reason, retryable=event.retryable)
    return results
