"""The parts keep the contracts that those of S2E keep."""

from __future__ import annotations

from s2e.testing import DatasetContract, MethodContract, NetworkContract, SearcherContract, SpaceContract


class TestMethod(MethodContract):
    method = "steady_loss"


class TestNetwork(NetworkContract):
    network = "small_cnn"


class TestDataset(DatasetContract):
    dataset = "stripes"


class TestSearcher(SearcherContract):
    searcher = "around_best"


class TestSpace(SpaceContract):
    space = "ramp"
