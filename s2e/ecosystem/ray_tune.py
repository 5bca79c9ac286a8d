"""S2E inside Ray Tune.

from s2e.ecosystem.ray_tune import S2ESearch

def trainable(config):
    for epoch, keep_rate in enumerate(config["keep_rate"]):     # R(t) of every epoch
        ...
    return {"error": 1 - validation_accuracy}

search = S2ESearch(n_epochs=30, metric="error", mode="min")
tune.Tuner(trainable, tune_config=tune.TuneConfig(search_alg=search, num_samples=60)).fit()
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from s2e.ecosystem.asktell import AskTell
from s2e.extras import needs
from s2e.parts import SEARCHERS, SPACES
from s2e.search.space import Space
from s2e.words import Point

with needs("tune"):
    from ray.tune.search import Searcher


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
        self._space: Space = SPACES.find(space, "space").load()
        self._n_epochs = n_epochs
        self._asktell = AskTell(SEARCHERS.find(searcher, "searcher")().make(self._space, seed, n_epochs), n_trials)
        self._numbers: dict[str, int] = {}
        self._points: list[Point] = []
        self._told: list[tuple[int, float | None]] = []

    def set_search_properties(
        self,
        metric: str | None,
        mode: str | None,
        config: dict[str, Any],  # noqa: ARG002
        **spec: Any,  # noqa: ARG002
    ) -> bool:
        """Tune's own settings of metric and mode, where none were given here."""
        self._metric, self._mode = self._metric or metric, self._mode or mode
        return True

    def suggest(self, trial_id: str) -> dict[str, Any]:
        self._numbers[trial_id] = number = len(self._points)
        told = {n for n, _ in self._told}
        pending = [point for n, point in enumerate(self._points) if n not in told]
        self._points.append(self._asktell.ask(number, pending))
        return {"keep_rate": list(self._space.schedule(self._points[number], self._n_epochs))}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial without a finite number failed: the search counts the worst objective of its round."""
        value = None if error or not result else result.get(self._metric or "")
        objective = None if value is None or not math.isfinite(value) else float(value)
        if objective is not None and self._mode == "max":
            objective = -objective
        self._tell(self._numbers[trial_id], objective)

    def save(self, checkpoint_path: str) -> None:
        """Everything that was suggested and told, as JSON."""
        state = {"numbers": self._numbers, "points": [p.values for p in self._points], "told": self._told}
        Path(checkpoint_path).write_text(json.dumps(state), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        state = json.loads(Path(checkpoint_path).read_text(encoding="utf-8"))
        self._numbers = state["numbers"]
        self._points = [Point(tuple(values)) for values in state["points"]]
        for number, objective in state["told"]:
            self._tell(number, objective)

    def _tell(self, number: int, objective: float | None) -> None:
        self._told.append((number, objective))
        self._asktell.tell(number, self._points[number], objective)
