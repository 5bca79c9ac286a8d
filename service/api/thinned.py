"""R(t) of every trial, thinned: written as JSON once for each trial, because a schedule never changes.

Ten thousand trials are megabytes of numbers. As objects they would be ten times that for every reader at once; here a
reader costs the text that is sent.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from s2e.words import to_json
from service.api.schedules import recommended
from service.api.series import thin
from service.api.stored import spec_of
from service.store import queries
from service.store.models import Job

MOST_CHANGES = 2_000
"""More events than this since the reader's last answer: it is sent everything again."""
ITEMS = 200
"""Trials of a piece of an answer."""
MOST_BYTES = 64 * 2**20
"""Of texts that are kept."""
Wanted = tuple[str, int, int | None]
"""Job, points, digits."""
Texts = dict[str, str]
"""By trial."""


class _Kept:
    """Texts of the schedules of jobs, the latest used."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._texts: OrderedDict[Wanted, Texts] = OrderedDict()
        self._n_bytes = 0

    def of(self, wanted: Wanted) -> Texts:
        texts = self._texts.setdefault(wanted, {})
        self._texts.move_to_end(wanted)
        return texts

    def grew(self, n_bytes: int) -> None:
        self._n_bytes += n_bytes
        while self._n_bytes > MOST_BYTES and len(self._texts) > 1:
            _, texts = self._texts.popitem(last=False)
            self._n_bytes -= sum(map(len, texts.values()))


_kept = _Kept()


def schedules_json(
    session: Session, job: Job, max_points: int, since: int | None = None, digits: int | None = None
) -> Iterator[str]:
    """A ``TrialSchedules`` in pieces: of every trial at the same few epochs, or of those that changed ``since`` an
    event. All is read before the first piece is asked for."""
    changes = None if since is None else queries.changes(session, job.id, since, MOST_CHANGES)
    if changes is None:
        last_id = queries.last_events(session, [job.id]).get(job.id, 0)
        rows = queries.schedule_places(session, job.id)
    else:
        last_id, rounds, trials = changes
        rows = queries.schedule_places(session, job.id, rounds, trials) if rounds or trials else []
    epochs = thin(_n_epochs(session, job), max_points)
    texts = _texts(session, (job.id, max_points, digits), [row.id for row in rows], epochs)
    head = json.dumps(
        {
            "epochs": epochs,
            "recommended": to_json(recommended(session, job)),
            "last_event_id": last_id,
            "whole": changes is None,
        }
    )
    return _pieces(head, rows, texts)


def _pieces(head: str, rows: Sequence[Row[Any]], texts: Texts) -> Iterator[str]:
    yield f'{head[:-1]},"items":['
    for first in range(0, len(rows), ITEMS):
        items = ",".join(_item(row, texts[row.id]) for row in rows[first : first + ITEMS])
        yield f",{items}" if first else items
    yield "]}"


def _item(row: Row[Any], keep_rate: str) -> str:
    about = dict(zip(("id", "round", "k", "label", "state", "validation_accuracy"), row, strict=True))
    return f'{json.dumps(about)[:-1]},"keep_rate":{keep_rate}}}'


def _texts(session: Session, wanted: Wanted, ids: Sequence[str], epochs: Sequence[int]) -> Texts:
    """The schedules of these trials as JSON; one reader writes the missing ones, and the others wait for it."""
    digits = wanted[2]
    with _kept.lock:
        texts = _kept.of(wanted)
        missing = [trial_id for trial_id in ids if trial_id not in texts]
        n_bytes = 0
        for trial_id, keep_rate in queries.keep_rates(session, missing):
            values = [keep_rate[t] if digits is None else round(keep_rate[t], digits) for t in epochs]
            texts[trial_id] = json.dumps(values, separators=(",", ":"))
            n_bytes += len(texts[trial_id])
        _kept.grew(n_bytes)
        return texts


def _n_epochs(session: Session, job: Job) -> int:
    """Epochs of a whole training; where the spec cannot be read, those of the schedules that are stored."""
    spec, _ = spec_of(job)
    if spec is not None:
        return spec.train.n_epochs
    ids = [trial.id for trial in queries.trials(session, job.id, 1, None, specs=False)]
    return max((len(keep_rate) for _, keep_rate in queries.keep_rates(session, ids)), default=0)
