"""The contract suite of places to run trials, for authors of a backend; it needs pytest (the extra ``testing``)."""

import pytest

# Failing assertions of the suite then show their values, as those of a test file do.
pytest.register_assert_rewrite("workers.testing.backends")

from workers.testing.backends import BackendContract, collect, key, population, run_to_end  # noqa: E402

__all__ = ["BackendContract", "collect", "key", "population", "run_to_end"]
