"""Declarations of the search rules."""

from __future__ import annotations

from s2e.parts import SearcherPart, param, searcher


@searcher("newton", rule="s2e.search.newton:Newton", min_trials=2)
class Newton(SearcherPart):
    """S2E's Newton step, repaired: centred objective, Fisher-whitened |lambda| damping, trust region."""


@searcher("newton_literal", rule="s2e.search.newton_literal:NewtonLiteral", min_trials=2)
class NewtonLiteral(SearcherPart):
    """S2E eqs. (7)-(8) as printed, sign fixed; kept for comparison only."""


@searcher("model_newton", rule="s2e.search.model_newton:ModelNewton", warm_start=True)
class ModelNewton(SearcherPart):
    """Newton on a surrogate of the schedule curve; trials picked by Thompson sampling over a pool."""

    free_every: int = param(0, ge=0, le=1_000, doc="one trial in so many is a free draw from p_theta; 0: none")
    replicate_every: int = param(
        0,
        ge=0,
        le=1_000,
        doc="while seeds explain most of the objective, one trial in so many trains one of the best again; 0: none",
    )
    start: str = param(
        "portfolio",
        choices=("portfolio", "spread"),
        doc="first six trials. portfolio: the curves nearest to eq. (1) at six values of tau; spread: uniform draws "
        "whose mean keep rates cover the range",
    )
    tau: float | None = param(
        None,
        gt=0,
        lt=1,
        doc="share of wrong labels, where it is known, around which the portfolio lies; null: unknown",
    )
    estimate: float | None = param(
        None,
        gt=0,
        lt=1,
        doc="an estimate of it, which two curves of the portfolio follow while the others cover its range; of given "
        "labels that estimated before the first round; leave it out",
    )
    round_effect: bool = param(True, doc="the surrogate knows that the trials of a round share the data order")


@searcher("model_newton_rung", rule="s2e.search.subset_rung:SubsetRung", min_trials=2, short_trials=True)
class ModelNewtonRung(ModelNewton):
    """model_newton above a rung: every schedule on a quarter of the samples first, the best third in full."""


@searcher("cubic_newton", rule="s2e.search.cubic_newton:CubicNewton", warm_start=True)
class CubicNewton(ModelNewton):
    """model_newton with the cubic-regularised step of S2E's journal version."""

    cubic: float = param(1.0, gt=0, le=1e6, doc="M, weight of the cube of a step's length (Fisher-whitened)")


@searcher("cubic_newton_literal", rule="s2e.search.cubic_newton:CubicNewtonLiteral", min_trials=2)
class CubicNewtonLiteral(SearcherPart):
    """newton_literal with a cubic-regularised step; kept for comparison only."""

    cubic: float = param(1.0, gt=0, le=1e6, doc="M, weight of the cube of a step's length")


@searcher("natural_gradient", rule="s2e.search.natural_gradient:NaturalGradient", min_trials=2)
class NaturalGradient(SearcherPart):
    """A step along F^-1 grad J; baseline and trust region of newton."""


@searcher("cem", rule="s2e.search.cem:CrossEntropy", min_trials=2)
class CrossEntropy(SearcherPart):
    """Cross-entropy method: p_theta is refitted to the better half of a round, smoothed, in a trust region."""


@searcher("gradient", rule="s2e.search.gradient:Gradient", min_trials=2)
class Gradient(SearcherPart):
    """Gradient descent on J; baseline and trust region of newton."""


@searcher("official", rule="s2e.search.official:Official")
class Official(SearcherPart):
    """The rule of the released S2E program with its element-wise product; kept for comparison only."""


@searcher("grid", rule="s2e.search.grid:Grid")
class Grid(SearcherPart):
    """Full factorial grids in a small space, Sobol's sequence in others; theta never moves."""


@searcher("tpe", rule="s2e.search.optuna_samplers:TPE")
class TPE(SearcherPart):
    """Optuna's multivariate TPE with a constant liar, rebuilt from the history at each round; theta never moves."""


@searcher("gp", rule="s2e.search.optuna_samplers:GP")
class GP(SearcherPart):
    """Optuna's Gaussian process over the coordinates of a point, rebuilt at each round; theta never moves."""


@searcher("cmaes", rule="s2e.search.cma_es:CmaEs", min_trials=4)
class CmaEs(SearcherPart):
    """CMA-ES over the unit cube of the space, one generation a round; theta never moves."""


@searcher("hyperband", rule="s2e.search.hyperband:Hyperband", short_trials=True)
class Hyperband(SearcherPart):
    """Uniform draws trained for a part of the epochs, the best of a rung go on; M x K full trainings in all."""


@searcher("asha", rule="s2e.search.asha:Asha", short_trials=True)
class Asha(SearcherPart):
    """Successive halving that mixes rungs in one round; M x K full trainings in all."""


@searcher("asng", rule="s2e.search.asng:Asng", min_trials=2, short_trials=True)
class Asng(SearcherPart):
    """A natural gradient of self-adapting length; one training is carried through all rounds (weight sharing)."""


@searcher("random", rule="s2e.search.random_search:RandomSearch")
class RandomSearch(SearcherPart):
    """Uniform draws from the space; theta never moves."""
