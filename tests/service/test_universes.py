"""Universes in which a dispatcher dies, freezes, or loses the database between any two writes (`make universes`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from service.store.engine import Database
from service.testing.universe import Rates, Universe, in_memory
from workers.backend import EpochReported


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    database = in_memory()
    yield database
    database.close()


def test_a_disturbed_job_ends_as_the_undisturbed_one_and_a_seed_replays_it(
    database: Database, quick_search: Any
) -> None:
    rates = Rates(crash=0.02, freeze=0.02, outage=0.02, loss=0.2)
    end, again = (Universe(2, quick_search.spec, quick_search.evaluate, rates, database).run() for _ in range(2))
    assert end.n_faults >= 5
    assert end.history == quick_search.history
    assert end.report == quick_search.report
    assert again == end


def test_a_universe_notices_what_must_not_be(
    database: Database, quick_search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trainers that forget what was told, written or not: the epochs of a dispatcher that died are missing."""
    universe = Universe(1, quick_search.spec, quick_search.evaluate, Rates(crash=0.05, late=0.0), database)
    advance = universe.cluster.advance

    def forgetful() -> None:
        for key, held in universe.cluster.held.items():
            universe.cluster.held[key] = [event for event in held if not isinstance(event, EpochReported)]
        advance()

    monkeypatch.setattr(universe.cluster, "advance", forgetful)
    with pytest.raises(AssertionError):
        universe.run()
