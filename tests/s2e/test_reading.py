"""JSON that was checked once is read: as it was, whatever today's rules are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar

import pytest

from s2e.words import EpochMetrics, JobSpec, UnreadableError, numbers_of, param, read, to_json, value_at
from s2e.words.answers import Page, Worker

T = TypeVar("T")


@dataclass(frozen=True)
class Inner:
    share: float = param(0.5, ge=0, le=1, doc="a share")
    kind: str = param("a", choices=("a", "b"), doc="a name")


@dataclass(frozen=True)
class Outer(Generic[T]):
    inner: Inner
    items: tuple[T, ...]
    rows: tuple[tuple[float | None, ...], ...] = ()
    more: dict[str, tuple[int, ...]] = param(dict, doc="by name")
    at: datetime | None = None
    what: Literal["outer"] = "outer"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, Inner()),
        ({"share": 7, "kind": "z"}, Inner(7.0, "z")),
        ({"share": 0.1, "gone": [1, 2]}, Inner(0.1)),
    ],
)
def test_no_range_no_name_and_no_unknown_field_is_judged(data: dict[str, Any], expected: Inner) -> None:
    assert read(Inner, data) == expected
    assert type(read(Inner, data).share) is float


def test_everything_the_vocabulary_is_made_of_comes_back() -> None:
    value = Outer(Inner(), (Inner(0.25),), ((0.5, None), ()), {"n": (1, 2)}, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    plain = to_json(value)
    assert plain["at"] == "2026-01-02T03:04:05Z"
    assert read(Outer[Inner], plain) == value


def test_a_generic_answer_is_read_with_the_type_it_is_used_with() -> None:
    worker = {"name": "node", "cpus": 2, "gpus": 0.0, "busy": 1, "seen_at": "2026-01-02T03:04:05.678+00:00"}
    page = read(Page[Worker], {"items": [worker], "next_cursor": None})
    assert page.items[0].cpus == 2.0
    assert page.items[0].seen_at == datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("text", "the whole = 'text' cannot be read: expected an object"),
        ({"data": {}, "train": "fast"}, "train = 'fast' cannot be read: expected an object"),
        ({"train": {"n_epochs": "many"}}, "train.n_epochs = 'many' cannot be read: expected a whole number"),
        ({"train": {"n_epochs": True}}, "train.n_epochs = True cannot be read: expected a whole number"),
        ({"train": {"learning_rate": None}}, "train.learning_rate = None cannot be read: expected a number"),
        ({"data": {"noise": {"matrix": [[1, "x"]]}}}, "data.noise.matrix = 'x' cannot be read: expected a number"),
        ({"compare": {"entries": [{}]}}, "compare.entries.method = None cannot be read: expected something"),
        ({"compare": {"entries": "all"}}, "compare.entries = 'all' cannot be read: expected a list"),
    ],
)
def test_what_makes_no_sense_is_named_by_its_path(data: Any, message: str) -> None:
    with pytest.raises(UnreadableError) as raised:
        read(JobSpec, data)
    assert str(raised.value) == message


def test_every_number_of_an_epoch_is_declared_once_and_read_back() -> None:
    """A row with every declared number, by its name alone."""
    numbers = {number.name: (i + 1) / 100 for i, number in enumerate(numbers_of(EpochMetrics))}
    row = EpochMetrics(k=1, epoch=2, networks=((0.1, None, 0.3),), **numbers)
    assert read(EpochMetrics, to_json(row)) == row
    assert {name: value_at(row, name) for name in numbers} == numbers


def test_the_search_may_see_validation_only() -> None:
    searched = {number.name for number in numbers_of(EpochMetrics) if number.searched}
    assert searched == {"validation_accuracy"}
