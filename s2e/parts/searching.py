"""Parts that search: the rules, and the spaces of schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar, dataclass_transform

from s2e.parts.part import Part
from s2e.parts.registry import PartRegistry
from s2e.words.earlier import EarlierTrials
from s2e.words.errors import Problem
from s2e.words.fields import param
from s2e.words.job import JobSpec
from s2e.words.search import SearchSpec


class SearcherPart(Part):
    """A search rule. Its implementation is a :class:`s2e.search.base.Searcher`, which takes the settings by name."""

    field = "search.searcher"
    section = "search.params"
    makes = "s2e.search.base:Searcher"
    min_trials: ClassVar[int] = 1
    """Trials a round that it needs: a rule that compares the trials of one round has no step for fewer."""
    short_trials: ClassVar[bool] = False
    """Asks for parts of full trainings, to be continued later."""
    warm_start: ClassVar[bool] = False
    """Takes ``earlier``, the trials of earlier jobs."""

    @classmethod
    def notes(cls) -> list[str]:
        return [
            *([f"needs {cls.min_trials} trials a round"] if cls.min_trials > 1 else []),
            *(["trains parts of full trainings"] if cls.short_trials else []),
            *(["starts warm"] if cls.warm_start else []),
        ]

    def make(self, space: Any, seed: int, n_epochs: int, earlier: Sequence[EarlierTrials] = ()) -> Any:
        """The rule over ``space``."""
        more = {"earlier": earlier} if earlier else {}
        return self.built(space, seed, n_epochs, **self.settings(), **more)

    def rules(self, job: JobSpec) -> list[Problem]:
        return [*self._budget(job), *self._warm_start(job.search), *self.check(job)]

    def _budget(self, job: JobSpec) -> list[Problem]:
        problems = []
        if job.search.n_trials < self.min_trials:
            allowed = f">= {self.min_trials} for searcher {self.name}, which compares the trials of one round"
            problems.append(Problem("search.n_trials", job.search.n_trials, allowed))
        if self.short_trials and job.trials == "external":
            whole = ", ".join(name for name, part in SEARCHERS.items() if not part.short_trials)
            allowed = f"with external trials, which are full trainings, one of {whole}"
            problems.append(Problem("search.searcher", self.name, allowed))
        return problems

    def _warm_start(self, search: SearchSpec) -> list[Problem]:
        if (search.warm_start or search.earlier) and not self.warm_start:
            able = ", ".join(name for name, part in SEARCHERS.items() if part.warm_start)
            allowed = f"none for searcher {self.name}; rules that start warm: {able}"
            return [Problem("search.warm_start", ", ".join(search.warm_start)[:80], allowed)]
        return [problem for i, one in enumerate(search.earlier) for problem in _unrelated(one, search, i)]


class SpacePart(Part):
    """A space of schedules. Its implementation is a :class:`s2e.search.space.Space`; that of a space with settings is a
    function that takes them by name and makes one."""

    field = "search.space"
    section = "search.space_params"
    makes = "s2e.search.space:Space"

    def make(self) -> Any:
        """The space."""
        settings = self.settings()
        return self.built(**settings) if settings else self.required(self.load())


SEARCHERS = PartRegistry("searchers", SearcherPart, "s2e.search.declared.searchers", "s2e.searchers")
SPACES = PartRegistry("spaces", SpacePart, "s2e.search.declared.spaces", "s2e.spaces")
S = TypeVar("S", bound=SearcherPart)
X = TypeVar("X", bound=SpacePart)


def _unrelated(one: EarlierTrials, search: SearchSpec, i: int) -> list[Problem]:
    """Why the trials of an earlier job say nothing to this search."""
    problems = []
    asked = (search.space, dict(search.space_params), dict(search.parameters))
    if (one.space, dict(one.space_params), dict(one.parameters)) != asked:
        other = f"{one.job}, which searched {one.space}" + (" with parameters" if one.parameters else "")
        allowed = f"jobs that searched {search.space} with the same search.space_params and search.parameters"
        problems.append(Problem("search.warm_start", other, allowed))
    if not one.points or len(one.points) != len(one.objectives):
        counts = f"{len(one.points)} points, {len(one.objectives)} objectives"
        problems.append(Problem(f"search.earlier[{i}]", counts, "at least one point, and an objective for each"))
    return problems


@dataclass_transform(frozen_default=True, field_specifiers=(param,))
def searcher(
    name: str, *, rule: str, min_trials: int = 1, short_trials: bool = False, warm_start: bool = False
) -> Callable[[type[S]], type[S]]:
    """Declare a search rule; ``rule`` is where its class is, ``package.module:Class``."""

    def declare(cls: type[S]) -> type[S]:
        facts = {"min_trials": min_trials, "short_trials": short_trials, "warm_start": warm_start}
        SEARCHERS.declare(cls, name, rule, facts)
        return cls

    return declare


@dataclass_transform(frozen_default=True, field_specifiers=(param,))
def space(name: str, *, at: str) -> Callable[[type[X]], type[X]]:
    """Declare a space of schedules; ``at`` is where it is, ``package.module:OBJECT``, or the function that makes it of
    its settings."""

    def declare(cls: type[X]) -> type[X]:
        SPACES.declare(cls, name, at, {})
        return cls

    return declare
