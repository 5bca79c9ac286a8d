"""The trainers of an installation as a dispatcher sees them: detached Ray actors, used again and again.

No dispatcher owns them: all of an installation find them by their namespace, and the first to ask an idle one gets it.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from workers.backend import PopulationKey
from workers.detached import RELEASE, State, Trainer

log = logging.getLogger(__name__)

PREFIX = "s2e-trainer-"
LOOK_S = 1.0
"""Between two looks for trainers that others have left, while something waits for one."""
ANSWER_S = 2.0
"""A trainer that does not report its state within this time is left alone."""
SURPLUS_S = 5.0
"""A trainer that Ray has no room for yet is wanted no more when nothing has waited for it for this long."""
_CONCURRENT_CALLS = 32
"""Every population in its hands has somebody who waits for its next event."""


@dataclass
class Hands:
    """One trainer: its actor, the resources it occupies, and its place once it is there."""

    name: str
    actor: Any
    asks: dict[str, float] = field(default_factory=dict)
    avoids: frozenset[str] = frozenset()
    """Names of nodes that it was kept away from."""
    node: str = ""
    place: str = ""
    is_of_our_release: bool = True
    ended: list[tuple[dict[str, Any], int]] = field(default_factory=list)
    """The populations it trained last, and the number of events that were told of each."""
    answer: Any = None
    """Its state, asked for while it is on its way."""
    wanted_s: float = 0.0
    """Time at which it was last wanted, or first asked."""


class Trainers:
    """Idle trainers, and those on their way. ``place_of`` names a node by its id."""

    def __init__(
        self,
        ray: Any,
        namespace: str,
        *,
        place_of: Callable[[str], str],
        orphan_s: float,
        idle_s: float | None,
        grace_s: float,
    ) -> None:
        self._ray, self._namespace, self._place_of = ray, namespace, place_of
        self._limits = orphan_s, idle_s, grace_s
        self._class = ray.remote(Trainer)
        self._idle: dict[str, Hands] = {}
        self._coming: dict[str, Hands] = {}
        self._used: set[str] = set()
        self._busy: dict[PopulationKey, Hands] = {}
        """Trainers with populations that nobody here has started."""
        self._looked_s = -LOOK_S

    def create(self, asks: dict[str, float], avoids: dict[str, str]) -> None:
        """Ask Ray for another trainer, not on the nodes ``avoids`` (id: name)."""
        name = PREFIX + secrets.token_hex(6)
        options: dict[str, Any] = {"num_cpus": asks.get("CPU", 0), "num_gpus": asks.get("GPU", 0)}
        if avoids:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(avoids))})"}
        actor = self._class.options(
            name=name,
            namespace=self._namespace,
            lifetime="detached",
            max_restarts=0,
            max_concurrency=_CONCURRENT_CALLS,
            **options,
        ).remote(asks, *self._limits)
        hands = Hands(name, actor, asks, frozenset(avoids.values()), wanted_s=time.monotonic())
        hands.answer = actor.state.remote()
        self._coming[name] = hands

    def take(self, asks: dict[str, float], avoid: frozenset[str]) -> Hands | None:
        """An idle trainer, which is the caller's from now on."""
        for hands in self._idle.values():
            if hands.asks == asks and hands.place not in avoid:
                del self._idle[hands.name]
                self._used.add(hands.name)
                return hands
        return None

    def give_back(self, hands: Hands) -> None:
        """It is idle again."""
        self._used.discard(hands.name)
        self._busy = {key: others for key, others in self._busy.items() if others is not hands}
        self._idle[hands.name] = hands

    def let_go(self, key: PopulationKey, hands: Hands) -> None:
        """One of the populations that it trains for us is nobody's now; the others stay ours."""
        self._busy[key] = hands

    def forget(self, hands: Hands) -> None:
        """It is in other hands, or gone."""
        self._used.discard(hands.name)
        self._looked_s = -LOOK_S

    def dismiss(self, hands: Hands) -> Any:
        """Let an idle trainer end; one that another dispatcher has given work meanwhile trains on."""
        self._idle.pop(hands.name, None)
        return hands.actor.end_if_idle.remote()

    def end(self, hands: Hands) -> None:
        """End a trainer, whatever it does."""
        for known in (self._idle, self._coming):
            known.pop(hands.name, None)
        self.forget(hands)
        self._ray.kill(hands.actor)

    def expect(self, waiting: Iterable[tuple[dict[str, float], dict[str, str]]]) -> None:
        """Have as many trainers on their way as populations wait (asks, nodes to avoid): fewer are asked for, and those
        that nothing has waited for in a while are called off. Idle ones of another shape make room."""
        now_s, free = time.monotonic(), dict(self._coming)
        asked = list(waiting)
        for asks, avoids in asked:
            fits = (h for h in free.values() if h.asks == asks and frozenset(avoids.values()) <= h.avoids)
            if (hands := next(fits, None)) is None:
                self.create(asks, avoids)
            else:
                hands.wanted_s = now_s
                del free[hands.name]
        for hands in free.values():
            if hands.asks and now_s - hands.wanted_s > SURPLUS_S:
                self.end(hands)
        for hands in list(self._idle.values()):
            if asked and all(hands.asks != asks for asks, _ in asked):
                self.dismiss(hands)

    def answers(self) -> dict[Any, Hands]:
        """The trainers on their way, by the reference to the answer of each."""
        return {hands.answer: hands for hands in self._coming.values()}

    def arrived(self, hands: Hands) -> None:
        """A trainer on its way has answered: it is idle, or trains for somebody else."""
        self._coming.pop(hands.name, None)
        try:
            state: State = self._ray.get(hands.answer)
        except self._ray.exceptions.RayError as error:
            log.warning("trainer %s is not there: %s", hands.name, error)
            return
        hands.asks, hands.node, hands.place = state["asks"], state["node"], self._place_of(state["node"])
        hands.is_of_our_release = state["release"] == RELEASE
        self._busy |= {PopulationKey(**key): hands for key in state["keys"]}
        if not state["keys"] and not hands.is_of_our_release:
            self.dismiss(hands)
        elif not state["keys"]:
            self._idle[hands.name] = hands

    def look_around(self) -> None:
        """Ask the trainers that others have started, every now and then, what they do."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        # A trainer in use may have more in its hands: populations of other jobs, which nobody here has asked for yet.
        self._busy = {key: hands for key, hands in self._busy.items() if hands.name in self._used}
        known = {*self._idle, *self._coming, *self._used}
        for hands in (self._find(name) for name in self._names() if name not in known):
            if hands is not None:
                hands.answer, hands.wanted_s = hands.actor.state.remote(), now_s
                self._coming[hands.name] = hands

    def busy(self) -> dict[PopulationKey, Hands]:
        """The trainers that train what nobody here has started. One that does not answer in time (it has no place yet,
        or is frozen) is waited for but once."""
        self.look_around()
        asked = {hands.answer: hands for hands in self._coming.values() if not hands.asks}
        first_s = max((hands.wanted_s for hands in asked.values()), default=0.0)
        left_s = max(0.0, first_s + ANSWER_S - time.monotonic())
        if asked:
            for answer in self._ray.wait(list(asked), num_returns=len(asked), timeout=left_s)[0]:
                self.arrived(asked[answer])
        return dict(self._busy)

    def use(self, key: PopulationKey) -> Hands:
        """One that is busy trains for us from now on."""
        hands = self._busy.pop(key)
        self._used.add(hands.name)
        return hands

    def close(self, *, end_idle: bool) -> None:
        """Call off those on their way; the idle ones end too, or wait for the next dispatcher."""
        for hands in [hands for hands in self._coming.values() if hands.asks]:
            self.end(hands)
        if end_idle and self._idle:
            answers = [self.dismiss(hands) for hands in list(self._idle.values())]
            self._ray.wait(answers, num_returns=len(answers), timeout=ANSWER_S)

    def n_free(self, asks: dict[str, float]) -> int:
        """Trainers with these resources that are idle or on their way."""
        return sum(hands.asks == asks for hands in [*self._idle.values(), *self._coming.values()])

    @property
    def is_empty(self) -> bool:
        return not (self._idle or self._coming or self._used)

    def _names(self) -> list[str]:
        everywhere = self._ray.util.list_named_actors(all_namespaces=True)
        return [
            actor["name"]
            for actor in everywhere
            if actor["namespace"] == self._namespace and actor["name"].startswith(PREFIX)
        ]

    def _find(self, name: str) -> Hands | None:
        try:
            return Hands(name, self._ray.get_actor(name, namespace=self._namespace))
        except ValueError:  # it ended in this moment
            return None
