"""The process behind :mod:`s2e.local_pool`: it says when it is ready; then populations in, a line of JSON for each
epoch out."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from s2e.local_pool import Kept
from s2e.startup import start_quickly
from s2e.words import Population, S2EError, SpecError, TrialError, read, to_json

if TYPE_CHECKING:
    from s2e.train.keep import Keeper


def main() -> None:
    """Train the populations that standard input asks for, line by line, until it is closed."""
    start_quickly()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # whatever a library prints does not get between the messages
        import s2e.train.keep  # noqa: F401  torch takes seconds, and nobody waits for a population yet

        def say(message: dict[str, Any]) -> None:
            out.write(json.dumps(message, allow_nan=False) + "\n")
            out.flush()

        say({"ready": True})
        for line in sys.stdin:
            for message in messages(json.loads(line)):
                say(message)


def messages(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One for each epoch, then one with the results, or with the error that stood in the way."""
    from s2e.train.keep import train_kept
    from s2e.train.trial import PopulationEnd

    kept = read(Kept, task["kept"])
    try:
        for step in train_kept(read(Population, task["population"]), keeper_of(kept), kept.data_root):
            if isinstance(step, PopulationEnd):
                yield {"results": to_json(step.results)}
            else:
                yield {"epochs": to_json(step.epochs)}
    except Exception as error:
        if not isinstance(error, S2EError):
            traceback.print_exc()
        yield {"error": described(error)}


def keeper_of(kept: Kept) -> Keeper:
    """Keeps in that folder."""
    from s2e.train.keep import BelowRoot, CheckpointsBelowRoot

    return (BelowRoot if kept.models else CheckpointsBelowRoot)(kept.root, kept.job_id, 1, kept.data_root)


def described(error: Exception) -> dict[str, Any]:
    """An error as plain JSON."""
    more: dict[str, Any] = {}
    if isinstance(error, SpecError):
        more["problems"] = to_json(error.problems)
    if isinstance(error, TrialError):
        more["retryable"] = error.retryable
    return {"kind": type(error).__name__, "message": str(error), **more}
