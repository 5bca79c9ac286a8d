"""Logs as one JSON object a line, on standard error, each with the ids of its job, trial or request.

Every line that is written for a request carries its ``request_id``. Code that writes about a job, round, population or
attempt names it: ``log.info("...", extra=about(job=...))``.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
_FIELDS = "s2e_fields"
_ENCODER = json.JSONEncoder(default=str)


def about(**fields: Any) -> dict[str, Any]:
    """Fields of a line, for ``extra=``."""
    return {_FIELDS: fields}


class JsonLines(logging.Formatter):
    """One record as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line |= getattr(record, _FIELDS, {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line)


class _ToStandardError(logging.StreamHandler[Any]):
    """Standard error as it is when a line is written."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr


def configure(level: int = logging.INFO) -> None:
    """Make every logger of this process write JSON lines; those of libraries only warnings."""
    handler = _ToStandardError()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # No line says where in the code or in which thread it was written: not asked, as the HOWTO of logging has it.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for name in ("s2e", "service", "workers"):
        logging.getLogger(name).setLevel(level)
