"""Newton on a surrogate: J, its gradient and its Hessian by dense sampling of a Gaussian process under p_theta.

Six trainings say almost nothing about 36 entries of theta by themselves (``newton`` has to live with that), but the
objective depends on a point only through its curve, and a Gaussian process on segment means of the curve learns it from
few trials. The first trials are spread over the uniform density by the mean of their curve; then, each round:

1. the surrogate is fitted to all trials so far (:mod:`s2e.search.history` bounds what is remembered);
2. theta takes INNER_STEPS damped Newton steps on E_{x ~ p_theta}[posterior mean], from N_DRAWS draws each, in
   Fisher-whitened coordinates, within KL(new || old) <= KL_MAX of the round's first theta;
3. each trial follows one of four policies:

   thompson    the minimum of one joint posterior draw over a pool of its own: half p_theta, a quarter uniform, a
               quarter mutations of the elite;
   portfolio   the first N_START: points whose curves are nearest to eq. (1) at values of tau that cover what is not
               known, in place of 1 to 3 (:mod:`s2e.search.portfolio`);
   spread      the same, uniform draws spread by the mean of their curve;
   replicate   one of the elite again, by Thompson sampling, where seeds explain most of the objective;
   free        a draw from p_theta.

   All are ``thompson`` after the first unless a job asks for one replicate or free draw in so many trials: on recorded
   trainings neither of them pays (docs/search.md).

A trial's pool and posterior draw come from its own generator: no two trials of a round are alike, and neither depends
on the other. ``memory`` holds the history and the parameters of the fit.

Shapes: K trials of the round, N entries of the history, S draws, P points of a pool, X coordinates, D entries of theta,
G features, W trials of earlier jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from s2e.search.distributions import Array
from s2e.search.history import History
from s2e.search.newton import centred
from s2e.search.portfolio import nearest, portfolio
from s2e.search.relaxation import Relaxation, scaled
from s2e.search.space import THETA_MAX, THETA_MIN, Space
from s2e.search.surrogate import NO_ROUND, RELATEDNESS, Hyperparameters, Surrogate, standardised
from s2e.words import EarlierTrials, Observation, Point, SearchState, derive_seed, replace

N_START = 6
"""Trials before the surrogate is asked."""
N_SPREAD = 200
"""Uniform draws among which a first trial is chosen by its mean keep rate."""
RANGE = (0.02, 0.98)
"""Quantiles of that mean between which the first trials are spread."""
INNER_STEPS = 3
N_DRAWS = 2000
DAMPING = 0.2
"""Added to every |lambda| of the whitened Hessian of the standardised posterior mean."""
KL_MAX = 1.0
"""Nats that p_theta may move in one round."""
REPLICATE_NOISE = 0.3
"""Replicates are asked for while the noise share of the fit is above this."""
POOL = (200, 100, 100)
"""Points of a pool: draws from p_theta, uniform draws, mutations of the elite."""
N_ELITE = 6
CONCENTRATIONS = (10.0, 200.0)
"""Of a mutation's density around its parent, drawn log-uniformly: standard deviations of about 0.14 to 0.035."""
GOLDEN = (5**0.5 - 1) / 2


class ModelNewton(Relaxation):
    """Draws each round by Thompson sampling and moves theta by Newton steps on the surrogate."""

    looks_at_pending: ClassVar[bool] = True

    def __init__(
        self,
        space: Space,
        seed: int,
        n_epochs: int,
        earlier: Sequence[EarlierTrials] = (),
        *,
        free_every: int = 0,
        replicate_every: int = 0,
        round_effect: bool = True,
        start: str = "portfolio",
        tau: float | None = None,
        estimate: float | None = None,
    ) -> None:
        super().__init__(space, seed, n_epochs)
        self._start, self._tau, self._estimate = start, tau, estimate
        self._n_epochs = n_epochs
        self._free_every, self._replicate_every, self._round_effect = free_every, replicate_every, round_effect
        points = [space.vectors([Point(values) for values in one.points]) for one in earlier]
        self._earlier_features_WG = np.concatenate([self._features(x_SX) for x_SX in points]) if points else None
        self._earlier_score_W = np.concatenate(
            [[], *(standardised(scaled(np.array(one.objectives))) for one in earlier)]
        )

    def init(self) -> SearchState:
        """Round 0: a uniform density, and hyperparameters fitted to the earlier jobs, which are taken as related."""
        state = super().init()
        if self._earlier_features_WG is None:
            return state
        fitted = self._fit(History.of({}, self._space.n_x)).hyperparameters._replace(relatedness=max(RELATEDNESS))
        return replace(state, memory={"hyperparameters": list(fitted)})

    def ask(self, state: SearchState, k: int, pending: Sequence[Point] = ()) -> Point:
        """The k-th trial of the round. ``pending``, trials in flight, are expected to end with their posterior mean."""
        history = History.of(state.memory, self._space.n_x)
        if self._earlier_features_WG is None and (not len(history) or len(history) + k < N_START):
            has_curves = len(self._space.blocks) > len(self._space.parameters)
            first = self._from_portfolio if self._start == "portfolio" and has_curves else self._spread
            return first(state, len(history), k)
        surrogate = self._fit(history, Hyperparameters(*state.memory["hyperparameters"]))
        policy = self._policy(state, k, surrogate, len(history))
        if policy == "free":
            return super().ask(state, k)
        rng = np.random.default_rng([self._seed, state.round, k])
        elite_EX = self._elite(history, surrogate)
        if pending:
            surrogate = surrogate.expecting(self._features(self._space.vectors(pending)))
        pool_PX = elite_EX if policy == "replicate" else self._pool(np.array(state.theta), elite_EX, rng)
        return self._space.point(pool_PX[np.argmin(surrogate.draw(self._features(pool_PX), rng))])

    def _policy(self, state: SearchState, k: int, surrogate: Surrogate, n_told: int) -> str:
        """The policy of a trial after the first ones: ``free``, ``replicate`` or ``thompson``."""
        if self._free_every and (state.round + k) % self._free_every == 0:
            return "free"
        noisy = n_told > 0 and surrogate.noise_share > REPLICATE_NOISE
        if noisy and self._replicate_every and (state.round + k) % self._replicate_every == 1 % self._replicate_every:
            return "replicate"
        return "thompson"

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The history with this round in it, and theta after the inner Newton steps on its surrogate."""
        return self._told(state, observations, [state.round] * len(observations))

    def _told(self, state: SearchState, observations: Sequence[Observation], rounds: Sequence[int]) -> SearchState:
        """``tell`` with the round of each observation in the order of k, those that shared the data order."""
        history = History.of(state.memory, self._space.n_x).with_round(
            self._space, observations, self._features, rounds if self._round_effect else None
        )
        surrogate = self._fit(history)
        rng = np.random.default_rng(derive_seed(self._seed, "tell", state.round))
        theta_D = self._moved(np.array(state.theta), surrogate, rng)
        memory = {**history.to_memory(), "hyperparameters": list(surrogate.hyperparameters)}
        return SearchState(state.round + 1, tuple(theta_D.tolist()), memory)

    def _from_portfolio(self, state: SearchState, n_told: int, k: int) -> Point:
        """The point nearest to the next curve of the portfolio; a uniform draw once that has ended."""
        rng = np.random.default_rng([self._seed, state.round, k])
        curves_ST = portfolio(self._n_epochs, self._tau, self._estimate)
        if n_told + k >= len(curves_ST):
            return super().ask(state, k)
        return self._space.point(nearest(self._space, curves_ST[n_told + k], self._n_epochs, rng))

    def _spread(self, state: SearchState, n_told: int, k: int) -> Point:
        """A uniform draw whose mean feature is near a given value; the values of successive trials cover all there are.

        They lie at the fractions u, u + g, u + 2 g, ... modulo 1 of the range, with the golden ratio g: the gaps
        between them stay even however many follow.
        """
        fraction = np.random.default_rng(derive_seed(self._seed, "first fraction")).random()
        fraction = (fraction + GOLDEN * (n_told + k)) % 1.0
        rng = np.random.default_rng([self._seed, state.round, k])
        x_SX = self._space.sample(self._space.initial_theta(), rng, N_SPREAD)
        mean_S = self._features(x_SX).mean(axis=1)
        low, high = np.quantile(mean_S, RANGE)
        return self._space.point(x_SX[np.abs(mean_S - (low + fraction * (high - low))).argmin()])

    def _fit(self, history: History, chosen: Hyperparameters | None = None) -> Surrogate:
        """The surrogate of the history; of W trials of earlier jobs too, where the search starts warm."""
        features_NG = self._features(history.points_NX)
        score_N = standardised(scaled(history.objective_N)) if len(history) else np.zeros(0)
        if self._earlier_features_WG is None:
            return Surrogate(features_NG, score_N, chosen, noise_N=1 / history.weight_N, round_N=history.round_N)
        n_earlier = len(self._earlier_score_W)
        return Surrogate(
            np.concatenate([self._earlier_features_WG, features_NG]),
            np.concatenate([self._earlier_score_W, score_N]),
            chosen,
            noise_N=np.concatenate([np.ones(n_earlier), 1 / history.weight_N]),
            earlier_N=np.arange(n_earlier + len(history)) < n_earlier,
            round_N=None
            if history.round_N is None
            else np.pad(history.round_N, (n_earlier, 0), constant_values=NO_ROUND),
        )

    def _features(self, x_SX: Array) -> Array:
        """Points as the surrogate sees them: (S, G)."""
        return self._space.features(x_SX, self._n_epochs)

    def _elite(self, history: History, surrogate: Surrogate) -> Array:
        """The points of the history with the lowest posterior mean: (N_ELITE, X), fewer where there are fewer."""
        order = np.argsort(surrogate.mean(self._features(history.points_NX)), kind="stable")
        return np.asarray(history.points_NX[order[:N_ELITE]])

    def _pool(self, theta_D: Array, elite_NX: Array, rng: np.random.Generator) -> Array:
        """Candidates for one trial: (P, X)."""
        n_theta, n_uniform, n_mutated = POOL
        parts = [
            self._space.sample(theta_D, rng, n_theta),
            self._space.sample(self._space.initial_theta(), rng, n_uniform),
        ]
        log_low, log_high = np.log(CONCENTRATIONS)
        for i, x_X in enumerate(elite_NX):
            concentration = float(np.exp(rng.uniform(log_low, log_high)))
            n_children = len(range(i, n_mutated, len(elite_NX)))
            parts.append(self._space.sample(self._space.around(x_X, concentration), rng, n_children))
        return np.concatenate(parts)

    def _moved(self, theta_D: Array, surrogate: Surrogate, rng: np.random.Generator) -> Array:
        """theta after the inner steps, within KL_MAX of where it was: (D,)."""
        first_D = theta_D
        for _ in range(INNER_STEPS):
            x_SX = self._space.sample(theta_D, rng, N_DRAWS)
            mean_S = surrogate.mean(self._features(x_SX))
            gradient_D, hessian_DD = relaxed_derivatives(self._space, theta_D, x_SX, centred(mean_S))
            theta_D = within_kl(self._space, first_D, theta_D, self._step(gradient_D, hessian_DD))
        return theta_D

    def _step(self, gradient_D: Array, hessian_DD: Array) -> Array:
        """The step in whitened coordinates: (D,)."""
        return whitened_step(gradient_D, hessian_DD)


def relaxed_derivatives(space: Space, theta_D: Array, x_SX: Array, centred_S: Array) -> tuple[Array, Array]:
    """L^-1 grad J and L^-1 (grad^2 J) L^-T, F = L L', of J = E[f] from draws of p_theta with f centred: (D,), (D, D).

    The draws' mean of f (s s' - F) (newton.py, Prop. 1) has no F term, because the f sum to zero.
    """
    z_SD = np.einsum("de,se->sd", space.whitener(theta_D), space.score(theta_D, x_SX))
    weighted_SD = centred_S[:, None] * z_SD / len(z_SD)
    return np.asarray(weighted_SD.sum(axis=0)), np.einsum("sd,se->de", weighted_SD, z_SD)


def whitened_step(gradient_D: Array, hessian_DD: Array) -> Array:
    """-V diag(1 / (|lambda| + DAMPING)) V' g, at most sqrt(2 KL_MAX / INNER_STEPS) long: (D,)."""
    eigenvalue_D, vector_DD = np.linalg.eigh(hessian_DD)
    step_D = -vector_DD @ ((vector_DD.T @ gradient_D) / (np.abs(eigenvalue_D) + DAMPING))
    return at_most(step_D)


def at_most(step_D: Array) -> Array:
    """A whitened step, cut to the length sqrt(2 KL_MAX / INNER_STEPS): (D,)."""
    longest = np.sqrt(2 * KL_MAX / INNER_STEPS)
    return np.asarray(step_D * min(1.0, longest / max(float(np.linalg.norm(step_D)), longest)))


def within_kl(space: Space, first_D: Array, theta_D: Array, step_D: Array) -> Array:
    """theta after a whitened step, halved until KL(new || first) <= KL_MAX; theta itself where no length will do: (D,).

    The KL is that of the theta in its bounds, because clipping changes the step.
    """
    change_D = space.whitener(theta_D).T @ step_D
    for halvings in range(12):
        new_D = np.clip(theta_D + change_D / 2**halvings, THETA_MIN, THETA_MAX)
        if space.kl(new_D, first_D) <= KL_MAX:
            return np.asarray(new_D)
    return theta_D
