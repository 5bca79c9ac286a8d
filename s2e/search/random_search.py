"""Random search: every point is a uniform draw from the space, and nothing is learnt."""

from __future__ import annotations

from collections.abc import Sequence

from s2e.search.relaxation import Relaxation, ordered
from s2e.words import Observation, SearchState, replace


class RandomSearch(Relaxation):
    """Draws from p_theta at theta = 1, which is uniform on the simplex and on the cube."""

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The next round under the same theta."""
        ordered(self._space, observations, at_least=1)
        return replace(state, round=state.round + 1)
