"""The built-in data sets keep the contract of s2e/testing: the digits always, others where S2E_DATA_ROOT holds them."""

from __future__ import annotations

import os

import pytest

from s2e.testing import DatasetContract


class TestDigits(DatasetContract):
    dataset = "digits"


@pytest.mark.data
@pytest.mark.skipif("S2E_DATA_ROOT" not in os.environ, reason="S2E_DATA_ROOT is not set")
class TestDatasetsOfTheRoot(DatasetContract):
    dataset = ("mnist", "cifar10", "newsgroups20")
