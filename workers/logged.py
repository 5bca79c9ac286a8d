"""The log of a training, kept for readers: the last lines of a try, without secrets.

Caught while the training runs and told with its next event; a line that came while nobody listened is not of it.
"""

from __future__ import annotations

import io
import logging
import re
import sys
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from workers.backend import LoggedLine, PopulationKey, PopulationLogged

MOST_LINES = 200
"""Of one try; of more the last ones are kept."""
LONGEST = 1_000
"""Characters of a line."""
_SECRETS = (
    (re.compile(r"(\w://)[^/\s@]+@"), r"\1***@"),  # the password of an address
    (re.compile(r"(?i)\b(bearer|basic) +[\w.~+/=-]{6,}"), r"\1 ***"),
    (re.compile(r"(?i)\b([\w-]*(?:passw|secret|token|api_?key|credential)[\w-]*[\"']? *[=:] *)[^\s,;&]+"), r"\1***"),
    (re.compile(r"\b(whsec_|s2e_|hf_|sk-|ghp_|AKIA)[\w-]{8,}"), r"\1***"),
)  # fmt: skip


def without_secrets(text: str) -> str:
    """``text`` without what looks like a password, a key or a token."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class Lines(logging.Handler):
    """Catches what is logged while :meth:`listening`."""

    def __init__(self, key: PopulationKey) -> None:
        super().__init__()
        self._key, self._n = key, 0
        self._lines: deque[LoggedLine] = deque(maxlen=MOST_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # a message that does not fit its arguments must not end a training
            text = str(record.msg)
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info))
        for line in text.splitlines():
            self._n += 1
            shown = without_secrets(line[: 4 * LONGEST])[:LONGEST].replace("\x00", "")
            self._lines.append(LoggedLine(record.created, record.levelname.lower(), record.name, shown))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While a training runs, and not between two of its events: another one may run in this process then."""
        root = logging.getLogger()
        root.addHandler(self)
        try:
            yield
        finally:
            root.removeHandler(self)

    def take(self) -> PopulationLogged | None:
        """The lines since the last time; None where there were none."""
        if not self._lines:
            return None
        told = PopulationLogged(self._key, self._n - len(self._lines), tuple(self._lines))
        self._lines.clear()
        return told


class Printed(io.TextIOBase):
    """Standard output of a training process: each line that a user's module prints is one of its log."""

    def __init__(self) -> None:
        self._log, self._begun = logging.getLogger("print"), ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if line.strip():
                self._log.info("%s", line)
        self._begun = self._begun[-LONGEST:]
        return len(text)


def log_this_process() -> None:
    """Send log lines, warnings and prints of a training process to its standard error and to its try's log."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("s2e", "workers", "print"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(True)
    sys.stdout = Printed()
