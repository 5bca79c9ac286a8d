"""S2E inside Ray Tune.

from s2e.ecosystem.ray_tune import S2ESearch

def trainable(config):
    for epoch, keep_rate in enumerate(config["keep_rate"]):     # R(t) of every epoch
        ...
    return {"error": 1 - validation_accuracy}

search = S2ESearch(n_epochs=30, metric="error", mode="min")
tune.Tuner(trainable, tune_config=tune.TuneConfig(search_alg=search, num_samples=60)).fit()

Other entries of Tune's ``param_space`` reach the trainable too: constants as they are, distributions drawn at random
from (seed, number of the trial), beside the schedule and not searched.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from s2e.ecosystem.asktell import AskTell
from s2e.ecosystem.curves import point_of_curve
from s2e.extras import needs
from s2e.parts import SEARCHERS, SPACES
from s2e.search.space import Space
from s2e.words import Point, derive_seed

with needs("tune"):
    from ray.tune.search import Searcher
    from ray.tune.search.variant_generator import generate_variants, parse_spec_vars

KEEP_RATE = "keep_rate"


class S2ESearch(Searcher):  # type: ignore[misc]  # Ray has no types
    """Suggests ``{"keep_rate": [R(0), ..., R(T-1)]}`` as the named searcher would, in rounds of ``n_trials``."""

    def __init__(
        self,
        n_epochs: int,
        *,
        metric: str | None = None,
        mode: str | None = None,
        searcher: str = "model_newton",
        space: str = "s2e",
        n_trials: int = 6,
        seed: int = 0,
    ) -> None:
        """``n_epochs`` is T, the epochs of one training. Raises SpecError for an unknown name."""
        super().__init__(metric=metric, mode=mode)
        self._metric, self._mode = metric, mode
        self._space: Space = SPACES.find(space, "space")().make()
        self._n_epochs, self._seed = n_epochs, seed
        self._asktell = AskTell(SEARCHERS.find(searcher, "searcher")().make(self._space, seed, n_epochs), n_trials)
        self._numbers: dict[str, int] = {}
        self._points: list[Point] = []
        self._told: list[tuple[int, tuple[float, ...], float | None]] = []
        """Number (negative: evaluated elsewhere), point and objective, in the order of telling."""
        self._param_space: dict[str, Any] = {}

    def set_search_properties(
        self,
        metric: str | None,
        mode: str | None,
        config: Mapping[str, Any],
        **spec: Any,  # noqa: ARG002
    ) -> bool:
        """Tune's own settings of metric and mode, where none were given here, and its ``param_space``. Raises
        ValueError for a grid, which no search can walk, and for a keep_rate of one's own."""
        self._metric, self._mode = self._metric or metric, self._mode or mode
        if KEEP_RATE in config:
            raise ValueError(f"param_space[{KEEP_RATE!r}] is what S2ESearch suggests: leave it out")
        if grids := parse_spec_vars(dict(config))[2]:
            names = ", ".join("/".join(map(str, path)) for path, _ in grids)
            raise ValueError(f"param_space: {names} is a grid_search, which runs every value: use tune.choice instead")
        self._param_space = dict(config)
        return True

    def suggest(self, trial_id: str) -> dict[str, Any]:
        self._numbers[trial_id] = number = len(self._points)
        told = {n for n, *_ in self._told}
        pending = [point for n, point in enumerate(self._points) if n not in told]
        self._points.append(self._asktell.ask(number, pending))
        keep_rate = list(self._space.schedule(self._points[number], self._n_epochs))
        return {**self._drawn(number), KEEP_RATE: keep_rate}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial without a finite number failed: the search counts the worst objective of its round. One that was
        never suggested here is nothing to it."""
        number = self._numbers.get(trial_id)
        if number is not None:
            value = None if error or not result else result.get(self._metric or "")
            self._tell(number, self._points[number], self._objective(value))

    def add_evaluated_point(
        self,
        parameters: Mapping[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: Sequence[float] | None = None,  # noqa: ARG002
    ) -> None:
        """A trial of another experiment: the search learns from it. Of ``parameters`` only ``keep_rate`` counts.

        Raises ValueError for a schedule of other epochs, or one that no point of the space comes close to.
        """
        point = point_of_curve(self._space, [float(r) for r in parameters[KEEP_RATE]], self._n_epochs)
        number = -1 - sum(n < 0 for n, *_ in self._told)
        self._tell(number, point, None if error or pruned else self._objective(value))

    def save(self, checkpoint_path: str) -> None:
        """Everything that was suggested and told, as JSON. Tune gives the ``param_space`` again."""
        state = {"numbers": self._numbers, "points": [p.values for p in self._points], "told": self._told}
        Path(checkpoint_path).write_text(json.dumps(state), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Go on from :meth:`save`, in a search of the same settings."""
        state = json.loads(Path(checkpoint_path).read_text(encoding="utf-8"))
        self._numbers = state["numbers"]
        self._points = [Point(tuple(values)) for values in state["points"]]
        for number, values, objective in state["told"]:
            self._tell(number, Point(tuple(values)), objective)

    def _tell(self, number: int, point: Point, objective: float | None) -> None:
        self._told.append((number, point.values, objective))
        self._asktell.tell(number, point, objective)

    def _objective(self, value: Any) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        return -float(value) if self._mode == "max" else float(value)

    def _drawn(self, number: int) -> dict[str, Any]:
        """The rest of a trial's config."""
        if not self._param_space:
            return {}
        rng = np.random.RandomState(derive_seed(self._seed, "param_space", number) % 2**32)
        ((_, spec),) = generate_variants({"config": self._param_space}, random_state=rng)
        config: dict[str, Any] = spec["config"]
        return config
