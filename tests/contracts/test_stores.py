"""The contract of service/testing on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from service.store.engine import Database
from service.testing import StoreContract


class TestStores(StoreContract):
    @pytest.fixture
    def database(self, each_database: Database) -> Database:
        return each_database
