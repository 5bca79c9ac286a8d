"""Populations on Ray: each in the hands of a detached trainer, which goes on when this driver dies.

This is driver code and imports no torch. Ray never retries anything here: a lost population is an event, and the driver
decides. A trainer keeps its events until the next ``poll`` says that they were written down.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2e.files import is_address
from s2e.words import PlanSpec, Population, replace, to_json
from workers import pausing
from workers.backend import (
    LOST_TRAINER,
    NO_PLACE,
    OUT_OF_MEMORY,
    Event,
    PopulationChecked,
    PopulationFinished,
    PopulationKey,
    PopulationLost,
    PopulationStarted,
    WorkerInfo,
)
from workers.crowd import Crowd
from workers.detached import Batch
from workers.program import may_join, program_of
from workers.ray_nodes import fits, name_of, reason_of, resources, words
from workers.ray_start import connect
from workers.ray_stopping import Stopping
from workers.ray_trainers import Hands, Trainers
from workers.ray_watch import watch_head
from workers.wire import decode

CANCEL_GRACE_S = 1.5
"""A soft cancel is a KeyboardInterrupt, which one long C call can delay; after this the process is killed, so that a
place is free two seconds after the cancel."""
ORPHAN_S = 3600.0
"""A trainer that nobody has asked for its results for this long ends itself."""
NAMESPACE = "s2e"
FROZEN_S = 5.0
"""Time beyond its grace that a trainer gets to say that it has stopped."""
NODES_S = 0.5
"""Nodes are remembered for this long: each question goes to the head, and every population that waits leads to one."""
_LONG_POLL_S = 5.0
_LONGEST_WAIT_S = 1.0
"""Deadlines of waiting and cancelled populations are looked at this often, however long a poll may wait."""
OBJECT_STORE_BYTES = 100 * 2**20
"""Events are small and models go to files, so the object store stays nearly empty."""
_NOT_SHARED: dict[str, float] = {"CPU": 1.0}


@dataclass(eq=False)
class _Flight:
    """A population that was started or attached to."""

    key: PopulationKey
    population: Population | None
    """None: it trains already."""
    asks: dict[str, float]
    avoid: frozenset[str]
    check: bool
    since_s: float
    """Time at which it began to wait for a place."""
    hands: Hands | None = None
    """The trainer; None while it waits for one."""
    answer: Any = None
    """Ray's reference to the trainer's next answer; None while there is no question."""
    n_told: int = 0
    """The number of the next event."""
    began: bool = False
    handed_on: bool = False
    """The first trainer it was given to was gone."""
    program: str = ""
    """Those of one name may train as one program."""
    share: float = 1.0
    """Of its trainer."""

    @property
    def n_trials(self) -> int:
        return 0 if self.population is None else len(self.population.trials)


class RayBackend:
    """Trains on the cluster at ``address``, or on a cluster of its own on this machine.

    A population that no node could ever hold, or that finds no place for ``placement_timeout_s`` while no other one of
    this backend trains, is lost with that reason; one that only waits for its turn is left alone.

    Drivers of one ``namespace`` share their trainers. A trainer whose results nobody asks for ends itself after
    ``orphan_s``, one without work after ``idle_s`` (None: never); with ``linger`` idle ones outlive the backend.
    Populations that wait for a place train as one program of at most ``program_trials`` trials where that changes no
    number of theirs (:mod:`workers.program`).
    ``warm_processes`` of them are started at once; ``gone`` is called, in a thread, when the cluster's head is lost.
    """

    def __init__(
        self,
        artifact_root: str | Path,
        data_root: str | Path | None = None,
        *,
        address: str | None = None,
        num_cpus: int | None = None,
        num_gpus: int | None = None,
        placement_timeout_s: float = 60.0,
        cancel_grace_s: float = CANCEL_GRACE_S,
        object_store_bytes: int = OBJECT_STORE_BYTES,
        warm_processes: int | None = None,
        pass_on: Iterable[str] = (),
        namespace: str = NAMESPACE,
        orphan_s: float = ORPHAN_S,
        idle_s: float | None = None,
        linger: bool = False,
        program_trials: int = 1,
        gone: Callable[[str], None] | None = None,
    ) -> None:
        self._connection = connect(
            address,
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            object_store_bytes=object_store_bytes,
            pass_on=pass_on,
        )
        self._ray = self._connection.ray
        if gone is not None:
            watch_head(self._ray.get_runtime_context().gcs_address, gone)
        self._roots = (
            str(artifact_root if is_address(artifact_root) else Path(artifact_root).resolve()),
            None if data_root is None else str(Path(data_root).resolve()),
        )
        self.placement_timeout_s = placement_timeout_s
        self._linger = linger
        self._crowd = Crowd(program_trials)
        self._trainers = Trainers(
            self._ray, namespace, place_of=self._place, orphan_s=orphan_s, idle_s=idle_s, grace_s=cancel_grace_s
        )
        self._known: set[PopulationKey] = set()
        self._flights: dict[PopulationKey, _Flight] = {}
        self._ended: list[_Flight] = []
        """Their end was told, and the next poll says that it is written down."""
        self._stopping = Stopping(self._ray, self._trainers, cancel_grace_s + FROZEN_S)
        self._looked_s = 0.0
        self._seen: list[dict[str, Any]] = []
        self._nodes_until_s = 0.0
        n_warm = 2 * self._connection.is_own if warm_processes is None else warm_processes
        self._warm(n_warm)

    def start(
        self, key: PopulationKey, population: Population, *, avoid: frozenset[str] = frozenset(), check: bool = False
    ) -> None:
        if key in self._known:
            return
        self._known.add(key)
        flight = _Flight(key, population, resources(population.plan), avoid, check, time.monotonic())
        flight.program = program_of(population) if may_join(key) and not check else ""
        self._flights[key] = flight
        self._hand_over(flight)

    def attach(self, job_id: str) -> dict[PopulationKey, str]:
        taken = {}
        for key in self._trainers.busy():
            if key.job_id != job_id or key in self._flights:
                continue
            hands = self._trainers.use(key)
            if not hands.is_of_our_release:  # before an upgrade: it is trained again, from its checkpoint
                self._trainers.end(hands)
                continue
            self._known.add(key)
            flight = _Flight(key, None, hands.asks, frozenset(), False, time.monotonic(), hands, began=True)
            self._flights[key] = flight
            taken[key] = hands.place
        return taken

    def leave(self, job_id: str) -> None:
        for flight in [*self._flights.values(), *self._ended]:
            if flight.key.job_id == job_id:
                self._known.discard(flight.key)
                if flight.hands is not None and any(f.key.job_id != job_id for f in self._on(flight.hands)):
                    self._trainers.let_go(flight.key, flight.hands)
                elif flight.hands is not None:
                    self._trainers.forget(flight.hands)
        self._flights = {key: flight for key, flight in self._flights.items() if key.job_id != job_id}
        self._ended = [flight for flight in self._ended if flight.key.job_id != job_id]

    def lacks(self, plan: PlanSpec, avoid: frozenset[str] = frozenset()) -> str:
        asks, nodes = resources(plan), self._nodes()
        able = [node for node in nodes if fits(node["Resources"], asks)]
        if any(name_of(node) not in avoid for node in able):
            return ""
        if able:
            return f"{words(asks)} only on {', '.join(sorted(map(name_of, able)))}"
        return f"no node has {words(asks)}" if nodes else "no node is there"

    def poll(self, timeout_s: float = 0.0) -> list[Event]:
        self._acknowledge()
        self._stopping.look_after()
        if not self._flights:
            return []
        self._find_trainers()
        asked = {flight.answer: flight for flight in self._flights.values() if flight.answer is not None}
        coming = self._trainers.answers()
        stopping = self._stopping.answers() if self._waiting() else []
        events = []
        for answer in self._answered([*asked, *coming, *stopping], min(timeout_s, _LONGEST_WAIT_S)):
            if answer in asked:
                events += self._take_in(asked[answer])
            elif answer in coming:
                self._trainers.arrived(coming[answer])
        self._stopping.look_after()
        self._hand_out()
        return events + self._give_up_unplaced()

    def cancel(self, key: PopulationKey) -> None:
        flight = self._flights.pop(key, None)
        if flight is None or flight.hands is None:
            return
        if beside := self._on(flight.hands):
            flight.hands.actor.stop.remote(to_json(key))
            for other in beside:
                other.began = True  # nobody else hears now that they began
        else:
            self._stopping.stop(flight.hands, key)

    def pause(self, key: PopulationKey) -> None:
        if key in self._flights:
            pausing.ask(self._roots[0], key)

    def running(self) -> frozenset[PopulationKey]:
        return frozenset(self._flights)

    def riders(self) -> frozenset[PopulationKey]:
        training: dict[str, list[_Flight]] = {}
        for flight in self._flights.values():
            if flight.hands is not None:
                training.setdefault(flight.hands.name, []).append(flight)
        programs = [*training.values(), *self._crowd.programs(self._waiting())]
        return frozenset(flight.key for program in programs for flight in program[1:])

    def open_programs(self) -> dict[str, int]:
        return self._crowd.open_programs(self._waiting())

    def workers(self) -> list[WorkerInfo]:
        nodes = self._nodes()
        trainers = {
            flight.hands.name: flight.hands for flight in self._flights.values() if flight.hands and flight.began
        }
        busy = [hands.node for hands in trainers.values()]
        return [
            WorkerInfo(
                name=name_of(node),
                cpus=node["Resources"].get("CPU", 0.0),
                gpus=node["Resources"].get("GPU", 0.0),
                busy=busy.count(node["NodeID"]),
            )
            for node in nodes
        ]

    def close(self) -> None:
        self._acknowledge()
        for key in list(self._flights):
            self.cancel(key)
        if not self._connection.is_own:
            self._trainers.close(end_idle=not self._linger)
            if not self._linger:
                self._stopping.end_all()
        self._connection.close()

    def _warm(self, n_trainers: int) -> None:
        """Let new trainers import the engine at once, and not when their first population waits for them."""
        if n_trainers and not self._trainers.busy() and self._trainers.is_empty:
            for _ in range(n_trainers):
                self._trainers.create(_NOT_SHARED, {})

    def _hand_over(self, flight: _Flight) -> None:
        """Give a population that waits to an idle trainer, if there is one for it."""
        hands = self._trainers.take(flight.asks, flight.avoid)
        if hands is None:
            return
        program = self._program(flight, hands)
        n_trials = sum(one.n_trials for one in program)
        for one in program:
            one.hands, one.share = hands, one.n_trials / n_trials
        populations = [(to_json(one.key), to_json(one.population)) for one in program]
        flight.answer = hands.actor.begin.remote(populations, self._roots, flight.check, hands.ended)
        hands.ended = []

    def _program(self, first: _Flight, hands: Hands) -> list[_Flight]:
        """A population that waits, and those that train beside it: as many as leave the other places their share."""
        others = {id(f.hands) for f in self._flights.values() if f.hands is not None and f.asks == first.asks}
        n_places = 1 + len(others) + self._trainers.n_free(first.asks)
        waiting = [f for f in self._waiting() if f is not first and f.asks == first.asks and hands.place not in f.avoid]
        return self._crowd.beside(first, waiting, n_places)

    def _hand_out(self) -> None:
        for flight in self._waiting():
            if flight.hands is None:  # it may have gone with one before it
                self._hand_over(flight)

    def _on(self, hands: Hands) -> list[_Flight]:
        """The populations that a trainer has in hand for us."""
        return [flight for flight in self._flights.values() if flight.hands is hands]

    def _waiting(self) -> list[_Flight]:
        return [flight for flight in self._flights.values() if flight.hands is None]

    def _find_trainers(self) -> None:
        """Trainers for what waits: idle ones, those that others have left, and new ones."""
        self._hand_out()
        if self._waiting():
            self._trainers.look_around()
            self._hand_out()
        waiting = [program[0] for program in self._crowd.programs(self._waiting())]
        nodes = self._nodes() if any(flight.avoid for flight in waiting) else []
        self._trainers.expect(
            (flight.asks, {node["NodeID"]: name_of(node) for node in nodes if name_of(node) in flight.avoid})
            for flight in waiting
        )

    def _answered(self, answers: list[Any], timeout_s: float) -> list[Any]:
        if not answers:
            time.sleep(timeout_s)
            return []
        ready, rest = self._ray.wait(answers, num_returns=1, timeout=timeout_s)
        if rest:
            ready += self._ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        return list(ready)

    def _acknowledge(self) -> None:
        """The events of the last poll are written down: ask for those that follow."""
        for flight in self._flights.values():
            if flight.began and flight.answer is None:
                assert flight.hands is not None
                flight.answer = flight.hands.actor.events.remote(to_json(flight.key), flight.n_told, _LONG_POLL_S)
        for flight in self._ended:
            assert flight.hands is not None
            flight.hands.ended.append((to_json(flight.key), flight.n_told))
            flight.hands.actor.events.remote(*flight.hands.ended[-1], 0.0)
            if not self._on(flight.hands) and not self._stopping.waits_for(flight.hands):
                self._trainers.give_back(flight.hands)
        self._ended = []

    def _take_in(self, flight: _Flight) -> list[Event]:
        """Events of a trainer's answer. A failure of Ray's is the place's, never the trial's."""
        assert flight.hands is not None
        answer, flight.answer = flight.answer, None
        try:
            batch: Batch | None = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            return self._gone(flight, error)
        if batch is None:
            return self._in_other_hands(flight)
        if not flight.began:
            for one in self._on(flight.hands):
                one.began = True
        events = [self._placed(decode(event), flight) for event in batch["events"]]
        flight.n_told = batch["first"] + len(events)
        if events and isinstance(events[-1], PopulationFinished | PopulationLost | PopulationChecked):
            del self._flights[flight.key]
            self._ended.append(flight)
            self._crowd.ended(events[-1])
        return events

    def _placed(self, event: Event, flight: _Flight) -> Event:
        assert flight.hands is not None
        if isinstance(event, PopulationStarted):
            return replace(event, place=flight.hands.place, share=flight.share)
        return replace(event, place=flight.hands.place) if isinstance(event, PopulationLost) else event

    def _gone(self, flight: _Flight, error: Exception) -> list[Event]:
        """The trainer, or its node, is gone. One that was already gone when it was asked to begin costs no attempt."""
        assert flight.hands is not None
        place = flight.hands.place
        self._trainers.end(flight.hands)
        if not flight.began and not flight.handed_on:
            for one in self._on(flight.hands):
                one.hands, one.handed_on = None, True
            return []
        del self._flights[flight.key]
        return [PopulationLost(flight.key, reason_of(error), True, self._cause(error), place)]

    def _in_other_hands(self, flight: _Flight) -> list[Event]:
        assert flight.hands is not None
        self._trainers.forget(flight.hands)
        if not flight.began:  # another dispatcher was first
            for one in self._on(flight.hands):
                one.hands = None
            return []
        del self._flights[flight.key]
        reason = "its trainer was told to stop it"
        return [PopulationLost(flight.key, reason, True, LOST_TRAINER, flight.hands.place)]

    def _cause(self, error: Exception) -> str:
        """Ray ends the trainers of a host that runs out of memory, and says so."""
        return OUT_OF_MEMORY if isinstance(error, self._ray.exceptions.OutOfMemoryError) else LOST_TRAINER

    def _place(self, node_id: str) -> str:
        return next((name_of(node) for node in self._ray.nodes() if node["NodeID"] == node_id), node_id[:8])

    def _give_up_unplaced(self) -> list[Event]:
        now_s = time.monotonic()
        waiting = self._waiting()
        if not waiting or now_s - self._looked_s < min(_LONGEST_WAIT_S, self.placement_timeout_s):
            return []
        self._looked_s = now_s
        training = len(waiting) < len(self._flights)
        events: list[Event] = []
        for flight in waiting:
            could = any(fits(node["Resources"], flight.asks) for node in self._nodes())
            if could and training:
                flight.since_s = now_s
            elif now_s - flight.since_s >= self.placement_timeout_s:
                del self._flights[flight.key]
                events.append(PopulationLost(flight.key, self._unplaced(flight, could), True, NO_PLACE))
        return events

    def _unplaced(self, flight: _Flight, could: bool) -> str:
        why = "none was free" if could else "no node has that much"
        return f"no place with {words(flight.asks)} within {self.placement_timeout_s:g} s: {why}"

    def _nodes(self) -> list[dict[str, Any]]:
        """The nodes that are alive; Ray's head is asked for them now and then."""
        if time.monotonic() >= self._nodes_until_s:
            self._seen = [node for node in self._ray.nodes() if node["Alive"]]
            self._nodes_until_s = time.monotonic() + NODES_S
        return self._seen
