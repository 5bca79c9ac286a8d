"""Several populations, of one job or of many, trained as one stacked program: same data, same settings, same bits.

Every member is asked for its epochs as if it trained alone. The first to ask for an epoch has all of them trained; the
others find theirs there. A member that is left (cancelled, paused) takes its rows out before the next epoch.
Only the compiled step under a method that weighs by ranks gives a trial the same bits beside any others; members that
take another step train each by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from s2e.train.checkpoint import Checkpoint
from s2e.train.trial import NotTogetherError, PopulationEnd, PopulationEpoch, train_population
from s2e.words import Population, replace

Train = Callable[..., Iterator[PopulationEpoch | PopulationEnd]]
"""As :func:`s2e.train.trial.train_population`."""


@dataclass
class _Member:
    population: Population
    rows: range
    """Its trials within the program."""
    left: bool = False
    steps: list[PopulationEpoch | PopulationEnd] = field(default_factory=list)
    """Trained and not yet asked for: at most one, as long as all members are asked in turn."""


class Together:
    """The program of ``populations``, which agree in everything but their trials (:func:`s2e.train.program.program_of`)
    and begin with their first epoch."""

    def __init__(self, populations: Sequence[Population], data_root: str | None) -> None:
        trials = [trial for population in populations for trial in population.trials]
        whole = replace(populations[0], trials=tuple(replace(trial, k=k) for k, trial in enumerate(trials)))
        ends = [sum(len(p.trials) for p in populations[: i + 1]) for i in range(len(populations))]
        self._members = [_Member(p, range(end - len(p.trials), end)) for p, end in zip(populations, ends, strict=True)]
        self._training = train_population(whole, data_root=data_root, left=self._left)
        self._error: Exception | None = None
        self._n_steps = 0

    def member(self, i: int) -> Train:
        """The training of population i, in place of ``train_population``."""

        def train(
            population: Population, *, data_root: str | None = None, start: Sequence[Checkpoint] | None = None
        ) -> Iterator[PopulationEpoch | PopulationEnd]:
            mine = self._members[i]
            try:
                while start is None:
                    step = self._next(mine)
                    if step is None:
                        return
                    yield step
            except NotTogetherError:
                pass
            finally:
                mine.left = True
            yield from train_population(population, data_root=data_root, start=start)

        return train

    def _left(self) -> frozenset[int]:
        return frozenset(k for member in self._members if member.left for k in member.rows)

    def _next(self, mine: _Member) -> PopulationEpoch | PopulationEnd | None:
        """The member's next step; None behind its end."""
        if not mine.steps:
            self._train()
        return mine.steps.pop(0) if mine.steps else None

    def _train(self) -> None:
        """Train the next epoch of everybody who is still there. Raises for each of them what it raised for one."""
        if self._error is not None:
            raise self._error
        try:
            step = next(self._training, None)
        except Exception as error:
            self._error = error
            raise
        self._n_steps += 1
        for member in self._members:
            if step is not None and not member.left:
                member.steps += self._share(member, step)

    def _share(self, member: _Member, step: PopulationEpoch | PopulationEnd) -> list[PopulationEpoch | PopulationEnd]:
        """A member's share of a step: nothing of an epoch in which all its trials had failed before."""
        mine, trials, now = slice(member.rows.start, member.rows.stop), member.population.trials, self._n_steps
        if isinstance(step, PopulationEnd):
            results = tuple(
                replace(result, k=trial.k) for result, trial in zip(step.results[mine], trials, strict=True)
            )
            return [PopulationEnd(results, step.models[mine], step.network, step.margins and step.margins[mine])]

        def checkpoints() -> tuple[Checkpoint | None, ...]:
            assert now == self._n_steps, "the program is an epoch further"
            return step.checkpoints()[mine]

        rows = tuple(replace(row, k=trials[row.k - mine.start].k) for row in step.epochs if row.k in member.rows)
        return [PopulationEpoch(rows, checkpoints)] if rows else []
