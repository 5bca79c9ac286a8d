"""Trainers that were told to stop a population, and have not said yet that they did."""

from __future__ import annotations

import time
from typing import Any

from s2e.words import to_json
from workers.backend import PopulationKey
from workers.ray_trainers import Hands, Trainers


class Stopping:
    """They are idle again once they have stopped; one that has not listened for ``grace_s`` is ended."""

    def __init__(self, ray: Any, trainers: Trainers, grace_s: float) -> None:
        self._ray, self._trainers, self._grace_s = ray, trainers, grace_s
        self._waits: list[tuple[Hands, Any, float]] = []

    def stop(self, hands: Hands, key: PopulationKey) -> None:
        answer = hands.actor.stop.remote(to_json(key))
        self._waits.append((hands, answer, time.monotonic() + self._grace_s))

    def waits_for(self, hands: Hands) -> bool:
        """True if a trainer has not said yet that it stopped."""
        return any(stopping is hands for stopping, _, _ in self._waits)

    def answers(self) -> list[Any]:
        """References to the answers that are still to come."""
        return [answer for _, answer, _ in self._waits]

    def look_after(self) -> None:
        """Give back those that have stopped, end those that do not listen."""
        still: list[tuple[Hands, Any, float]] = []
        for hands, answer, deadline_s in self._waits:
            answered, _ = self._ray.wait([answer], timeout=0)
            if answered and self._has_stopped(answer):
                self._trainers.give_back(hands)
            elif answered or time.monotonic() >= deadline_s:
                self._trainers.end(hands)
            else:
                still.append((hands, answer, deadline_s))
        self._waits = still

    def end_all(self) -> None:
        """Wait for none of them."""
        for hands, _, _ in self._waits:
            self._trainers.end(hands)
        self._waits = []

    def _has_stopped(self, answer: Any) -> bool:
        try:
            self._ray.get(answer)
        except self._ray.exceptions.RayError:
            return False
        return True
