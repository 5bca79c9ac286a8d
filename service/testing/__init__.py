"""The contract suite of service/store, for another kind of database; it needs pytest (the extra ``testing``)."""

import pytest

# Failing assertions of the suite then show their values, as those of a test file do.
pytest.register_assert_rewrite("service.testing.stores")

from service.testing.stores import StoreContract  # noqa: E402

__all__ = ["StoreContract"]
