"""The built-in spaces keep the contract of s2e/testing, as one of another package would.

``fixed`` has nothing of its own, so it is tried with searched training parameters, and so is ``s2e``.
"""

from __future__ import annotations

import numpy as np

from s2e.parts import SPACES
from s2e.testing import SpaceContract


class TestSpaces(SpaceContract):
    space = tuple(name for name in SPACES if name != "fixed")
    free_start = frozenset({"rbf", "mlp"})


class TestSpacesWithParameters(SpaceContract):
    space = ("fixed", "s2e")
    parameters = {  # noqa: RUF012 - of the class
        "train.batch_size": {"kind": "integer", "low": 32, "high": 40},
        "train.learning_rate": {"kind": "log", "low": 1e-4, "high": 1e-2},
        "train.params.gamma": {"kind": "linear", "low": 0.0, "high": 0.1},
        "train.params.fraction": {"kind": "choice", "values": [0.3, 0.4, 0.7]},
    }

    def test_a_choice_has_a_feature_for_each_value(self, space: str) -> None:
        made, bare = self.make(space), SPACES[space]().make()
        x = made.sample(made.initial_theta(), np.random.default_rng(0), 2)
        n_features = bare.features(x[:, : bare.n_x], 20).shape[1]
        assert made.features(x, 20).shape[1] == n_features + 1 + 1 + 1 + 3
