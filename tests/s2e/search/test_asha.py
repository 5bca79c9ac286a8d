"""ASHA trial by trial."""

from s2e.search.asha import N_RUNG, Asha
from s2e.search.space import S2E
from s2e.words import Fidelity, Observation, Point, SearchState

T = 20
"""Rungs at 2, 4, 8 and 20 epochs."""


def round_of(searcher: Asha, state: SearchState, objectives: list[float | None]) -> SearchState:
    return searcher.tell(
        state,
        [
            Observation(k, searcher.ask(state, k), 1.0 if f is None else f, failed=f is None)
            for k, f in enumerate(objectives)
        ],
    )


def parts(searcher: Asha, state: SearchState, n: int) -> list[tuple[int | None, tuple[int, int] | None]]:
    fidelities = [searcher.fidelity(state, k) for k in range(n)]
    return [(part.n_epochs_run, part.resume) for part in fidelities]


def test_one_in_eta_goes_on_the_highest_rung_first() -> None:
    """Of 5 told at 2 epochs, floor(5 / 2.5) = 2 go on; with both told at 4 epochs, none of two does."""
    searcher = Asha(S2E, 3, T)
    first = searcher.init()
    assert parts(searcher, first, 2) == [(2, None), (2, None)]
    second = round_of(searcher, first, [0.5, 0.3, 0.4, 0.2, 0.6])
    assert parts(searcher, second, 4) == [(4, (0, 3)), (4, (0, 1)), (2, None), (2, None)]
    assert searcher.ask(second, 0) == searcher.ask(first, 3)
    assert searcher.fidelity(second, 0) == Fidelity(4, resume=(0, 3), resumed_epochs=2)
    third = round_of(searcher, second, [0.25, 0.35, 0.1, 0.7])
    # 7 at 2 epochs: still floor(7 / 2.5) = 2, and two went on before the best of all came.
    assert parts(searcher, third, 2) == [(2, None), (2, None)]
    fourth = round_of(searcher, third, [0.9])
    # 8 at 2 epochs: floor(8 / 2.5) = 3, so (1, 2) with 0.1 goes on.
    assert parts(searcher, fourth, 2) == [(4, (1, 2)), (2, None)]
    fifth = round_of(searcher, fourth, [0.15])
    # 3 at 4 epochs: floor(3 / 2.5) = 1 goes on, before anything of the lowest rung.
    assert parts(searcher, fifth, 2) == [(8, (3, 0)), (2, None)]


def test_a_failed_trial_never_goes_on() -> None:
    searcher = Asha(S2E, 3, T)
    state = round_of(searcher, searcher.init(), [None, None, 0.4, None, None])
    assert parts(searcher, state, 2) == [(4, (0, 2)), (2, None)]


def test_the_state_does_not_grow_with_the_search() -> None:
    searcher = Asha(S2E, 3, T)
    state = searcher.init()
    for _ in range(4):
        told = [Observation(k, Point((0.25,) * 4 + (0.5,) * 16), 0.5 + 1e-6 * k) for k in range(200)]
        state = searcher.tell(state, told)
    assert max(len(rung) for rung in state.memory["rungs"]) == N_RUNG


def test_the_plan_spends_the_budget_when_one_in_eta_goes_on() -> None:
    """2 + 2 / 2.5 + 4 / 6.25 + 12 / 15.625 = 4.208 epochs for 1 + 0.4 + 0.16 + 0.064 = 1.624 trials: 7.718 in 20."""
    assert Asha(S2E, 3, T).plan(10, 6) == (6,) * 77
