"""Thinning and cursors."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.paging import decode_cursor, encode_cursor
from service.api.series import thin
from service.errors import Invalid


@given(n=st.integers(0, 2000), max_points=st.integers(2, 300))
def test_thinning_keeps_first_and_last_and_is_even(n: int, max_points: int) -> None:
    kept = thin(n, max_points)
    assert len(kept) == min(n, max_points)
    if n:
        assert kept[0] == 0
        assert kept[-1] == n - 1
    gaps = {b - a for a, b in pairwise(kept)}
    assert not gaps or (min(gaps) >= 1 and max(gaps) - min(gaps) <= 1)


@given(m=st.integers(0, 2**31 - 1), k=st.integers(0, 2**31 - 1))
def test_a_cursor_comes_back_as_it_was(m: int, k: int) -> None:
    assert decode_cursor(encode_cursor(m, k), [int, int]) == (m, k)


@given(st.text(max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        decode_cursor(text, [str])
    assert refused.value.problems[0].field == "cursor"


@pytest.mark.parametrize("key", [("a",), (1, 2, 3), (1, "b"), (2**40, 1), (True, 1), ()])
def test_a_cursor_of_another_list_is_refused(key: tuple[int | str, ...]) -> None:
    with pytest.raises(Invalid):
        decode_cursor(encode_cursor(*key), [int, int])


@pytest.mark.parametrize("text", ["x" * 121, "nul\0", "half \ud83d of a character"])
def test_a_cursor_that_no_database_can_compare_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        decode_cursor(encode_cursor(text), [str])
