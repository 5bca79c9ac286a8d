"""The best bet on what has succeeded so far, kept by job: every reader of a running job asks for it again and again.

Only trials that have succeeded since the last reading are read. Where weighing them takes long, as with thousands, they
are weighed again only after ten times as long while the job runs. Until then readers get the best bet of a moment ago.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from s2e.jobs.recommendation import Tried, best_bets
from s2e.words import JobSpec
from service.api.stored import if_known, spec_of
from service.store import queries
from service.store.models import Job

Place = tuple[int, int]
MOST_KEPT = 32
"""Jobs; of a job with 10,000 trials of 200 epochs it is about 20 MB."""
LONG_S, PAUSE = 0.1, 10


@dataclass
class _Kept:
    tried: dict[Place, Tried] = field(default_factory=dict)
    last_end: datetime | None = None
    weighed: object = None
    """Number and last end of the trials that had succeeded when the best bet was weighed."""
    place: Place | None = None
    again_s: float = 0.0


_kept: OrderedDict[str, _Kept] = OrderedDict()
_lock = threading.Lock()


def best(session: Session, job: Job) -> Place | None:
    """Lowest posterior mean."""
    succeeded = queries.succeeded_so_far(session, job.id)
    with _lock:
        kept = _kept.setdefault(job.id, _Kept())
        _kept.move_to_end(job.id)
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
        if kept.weighed != succeeded and (job.state != "running" or time.monotonic() >= kept.again_s):
            spec, _ = spec_of(job)
            began_s = time.monotonic()
            kept.place = None if spec is None else if_known(_weigh, session, job.id, spec, kept, succeeded)
            kept.weighed, took_s = succeeded, time.monotonic() - began_s
            kept.again_s = time.monotonic() + PAUSE * took_s if took_s > LONG_S else 0.0
        return kept.place


def _weigh(
    session: Session, job_id: str, spec: JobSpec, kept: _Kept, succeeded: tuple[int, datetime | None]
) -> Place | None:
    if kept.last_end is None or kept.last_end != succeeded[1]:
        _read(session, job_id, kept, kept.last_end)
    if len(kept.tried) != succeeded[0]:  # some ended at another time than their transaction says, or are gone
        kept.tried.clear()
        _read(session, job_id, kept, None)
    kept.last_end = succeeded[1]
    places = sorted(kept.tried)
    chosen = best_bets(spec, [kept.tried[place] for place in places])
    return places[chosen[0]] if chosen else None


def _read(session: Session, job_id: str, kept: _Kept, since: datetime | None) -> None:
    for m, k, tried in queries.succeeded_search_trials(session, job_id, since):
        kept.tried[m, k] = tried
