"""Populations that wait for a place, in the programs that they are going to train in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from workers.backend import TOO_MANY, Event, PopulationLost
from workers.program import MOST_POPULATIONS


class Waiting(Protocol):
    """A population that waits."""

    program: str

    @property
    def n_trials(self) -> int: ...


W = TypeVar("W", bound=Waiting)


class Crowd:
    """``most_trials`` of one program; fewer once several jobs together had no room in memory."""

    def __init__(self, most_trials: int) -> None:
        self._most_trials = most_trials

    def programs(self, waiting: Iterable[W]) -> list[list[W]]:
        """The waiting ones in programs, in order: each is full before the next begins."""
        programs: list[list[W]] = []
        last: dict[str, list[W]] = {}
        for one in waiting:
            beside = last.get(one.program) if one.program else None
            if beside is None or not self._has_room(beside, one.n_trials):
                last[one.program] = beside = []
                programs.append(beside)
            beside.append(one)
        return programs

    def open_programs(self, waiting: Iterable[W]) -> dict[str, int]:
        """The programs that are not full, and the trials that each has room for."""
        last = {program[0].program: program for program in self.programs(waiting)}
        return {name: room for name, program in last.items() if name and (room := self._room(program)) > 0}

    def beside(self, first: W, waiting: Sequence[W], n_places: int) -> list[W]:
        """The program of ``first``, which has a place now. ``n_places`` are going to train what waits, this one among
        them, so it takes no more than its share."""
        alike = [one for one in waiting if one.program and one.program == first.program]
        program = [first]
        for one in alike[: -(-(1 + len(alike)) // n_places) - 1]:
            if self._has_room(program, one.n_trials):
                program.append(one)
        return program

    def ended(self, event: Event) -> None:
        """Several jobs that had no room together: fewer from now on."""
        if isinstance(event, PopulationLost) and event.cause == TOO_MANY:
            self._most_trials = max(1, self._most_trials // 2)

    def _has_room(self, program: Sequence[W], n_trials: int) -> bool:
        return n_trials <= self._room(program)

    def _room(self, program: Sequence[W]) -> int:
        if len(program) >= MOST_POPULATIONS:
            return 0
        return self._most_trials - sum(one.n_trials for one in program)
