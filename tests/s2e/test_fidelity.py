"""Fidelity: the share of a full training that a trial is."""

from hypothesis import given
from hypothesis import strategies as st

from s2e.words import FULL, Fidelity, of_highest_fidelity


def test_the_default_is_a_full_training() -> None:
    assert FULL.epochs_of(200) == 200
    assert FULL.share(200) == 1


def test_a_quarter_of_the_images_over_half_of_the_epochs_is_an_eighth() -> None:
    assert Fidelity(n_epochs_run=100, data_share=0.25).share(200) == 0.125


def test_no_prefix_is_longer_than_the_training() -> None:
    assert Fidelity(n_epochs_run=300).epochs_of(200) == 200


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from([0.25, 0.5, 1.0]))))
def test_only_results_of_the_highest_fidelity_are_ranked(items: list[tuple[int, float]]) -> None:
    kept = of_highest_fidelity(items, lambda item: item[1])
    shares = [share for _, share in items]
    assert kept == [item for item in items if item[1] == max(shares)]
