"""Messages and exit codes of a command line that is refused, or fails for a named reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from s2e.client.errors import ApiError, ClientError, InvalidSpec
from s2e.words import MissingExtraError, S2EError, SpecError, to_json
from service.api.auth import ExposedWithoutKeyError
from service.cli.options import BAD_INPUT, FAILED, REFUSED, UNREACHABLE, NotReadyError
from service.cli.terminal import problem_lines


class Refusal(NamedTuple):
    """Lines for standard error, and the exit code."""

    lines: Sequence[str]
    code: int


def refusal_of(error: Exception) -> Refusal | None:
    """Field, value and what is allowed, in place of a traceback; None for a fault of the program."""
    if isinstance(error, SpecError | InvalidSpec):
        return Refusal(problem_lines("refused:", [to_json(p) for p in error.problems]), BAD_INPUT)
    if isinstance(error, ApiError):
        return Refusal(problem_lines(error.detail, [to_json(p) for p in error.problems]), REFUSED)
    if isinstance(error, ClientError):
        return Refusal([str(error)], UNREACHABLE)
    if isinstance(error, ExposedWithoutKeyError | NotReadyError | MissingExtraError):
        return Refusal([str(error)], BAD_INPUT)
    return Refusal([str(error)], FAILED) if isinstance(error, S2EError) else None
