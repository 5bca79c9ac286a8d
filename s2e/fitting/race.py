"""A choice among methods that may end at any time: candidates one after another, the likeliest winners first, then the
better half of those that were trained on a second seed, and the best two on further ones. Jurors stay, as in a job,
where there is time for it.

With a deadline as many are trained as end in time, and the entries of the plan that is stored are those: run again
without one they give the same rounds, and so the same choice.
"""

from __future__ import annotations

from collections.abc import Sequence

from s2e.chosen import chosen_among, with_candidates
from s2e.fitting.runs import SHARE_OF_MODELS, Choice, Run
from s2e.jobs.auto import KIND, N_LAST, candidates, default_of, those_left, turns, winner
from s2e.jobs.compare import entries_of, keep_rate_of
from s2e.jobs.loop import population_of, populations
from s2e.jobs.methods_tried import portfolio, steady, those_that_fit
from s2e.jobs.trials import make_repeat
from s2e.pace import guessed
from s2e.parts import METHODS
from s2e.words import (
    EntrySpec,
    JobSpec,
    Population,
    Round,
    RoundRecord,
    TrialResult,
    TrialSpec,
    replace,
)

ORDER = (
    "coteaching",
    "blend, corrected",
    "elr",
    "svc, reweighted",
    "forest, leaves of 10",
    "boosting",
    "gce",
    "forward",
    "sce",
    "svc",
    "forest, reweighted",
    "boosting, corrected",
    "standard",
    "coteaching, 1.2 tau",
    "dividemix",
    "extra trees",
    "blend",
)
"""Candidates by label, those first that win often and train fast; the others follow as the portfolio has them."""
CONFUSED = ("coteaching", "blend, corrected", "forward", "svc, reweighted", "forest, reweighted", "boosting, corrected")
"""The first ones where the estimate has classes confused unevenly: those that use the matrix are ahead there."""
BLIND = ("coteaching", "blend", "extra trees")
"""Candidates where no estimate is to be had: none of them repeats single wrong labels, which agreement would reward."""
HASTY = (
    EntrySpec("coteaching", "coteaching"),
    EntrySpec("extra_trees", "extra trees, leaves of 5", {"leaf": 5, "share": 0.3, "n_trees": 40}),
    EntrySpec("blend", "blend, two folds", {"n_folds": 2, "n_trees": 40}),
    EntrySpec("forest", "forest, leaves of 10", {"leaf": 10}),
    EntrySpec("svc", "svc"),
)
"""The same where there is no time for an estimate: all but the first take a second or so for a thousand rows."""
STEADIEST = ("blend", "extra_trees")
"""Where nothing is known of the noise a choice holds to the first of them that there was time for."""
SHARE_OF_FIRST, SHARE_OF_BLIND = 0.5, 0.8
"""Of what is left of a budget, at most, until no further candidate is begun; the second where nothing is known of the
noise: those few differ by more than their seeds do."""
SHARE_OF_CANDIDATE = 0.1
"""Of a budget: a candidate that takes more waits until all others were tried."""


def with_race(spec: JobSpec, names: Sequence[str] | None) -> JobSpec:
    """The job with its candidates in the order of the race. Raises SpecError for names that are none of them."""
    spec = with_candidates(spec, names)
    is_confused = spec.data.estimate is not None and spec.data.estimate.kind != "symmetric"
    return _raced(spec, (*CONFUSED, *ORDER) if is_confused else ORDER)


def with_steady(spec: JobSpec) -> JobSpec:
    """The same among :data:`BLIND`, where nothing is known of the noise; as it is, where they do not suit."""
    entries = [entry for entry in portfolio(replace(spec, kind="auto")) if entry.label in BLIND]
    return spec if steady(spec, entries) is None else _raced(chosen_among(spec, entries), BLIND)


def with_hasty(spec: JobSpec) -> JobSpec:
    """The same among those of :data:`HASTY` that suit the data; as it is, where none is fitted in one go."""
    entries = those_that_fit(replace(spec, kind="auto"), HASTY)
    is_choice = any(_is_fitted(entry.method) for entry in entries)
    return _raced(chosen_among(spec, entries), [entry.label for entry in HASTY]) if is_choice else spec


def _raced(spec: JobSpec, order: Sequence[str]) -> JobSpec:
    place = {label: i for i, label in enumerate(dict.fromkeys(order))}
    entries = tuple(sorted(entries_of(spec), key=lambda entry: place.get(entry.label, len(place))))
    # each trains alone: which of them share a stack would depend on how many there is time for
    plan = replace(spec.plan, population=1)
    assert spec.compare is not None
    return replace(spec, compare=replace(spec.compare, entries=entries), plan=plan)


def race_round(spec: JobSpec, history: Sequence[RoundRecord]) -> Round | None:
    """The next round: all entries, the better half, then the best two for ever, or the best two and jurors from the
    second round on. None where there is but one."""
    n, m = len(candidates(spec)), len(history)
    if m and n == 1:
        return None
    size = (n, max(N_LAST, -(-n // 2)), N_LAST)[min(m, 2)]
    return Round(m, KIND, tuple(_trial(spec, m, k, entry) for k, entry in enumerate(those_left(spec, history, size))))


def _trial(spec: JobSpec, m: int, k: int, entry: EntrySpec) -> TrialSpec:
    return make_repeat(spec, m, k, entry.label, keep_rate_of(entry, spec), entry.overrides, (KIND, m + 1))


class Race(Run):
    """The rounds of a race, then models of the winner."""

    def search(self) -> None:
        self._untried, self._own_s = list(candidates(self.spec)), dict[str, float]()
        self._guessed_s, self._default = dict[str, float](), self.spec.compare.default if self.spec.compare else None
        share = SHARE_OF_BLIND if self._is_blind() else SHARE_OF_FIRST
        self._try_candidates(0.0 if self.deadline is None else (1 - share) * self.deadline.left)
        while len(self.history) < self.spec.search.n_rounds:
            self._keep_jurors()
            if (round_ := race_round(self.spec, self.history)) is None:
                return
            units = -(-len(round_.trials) // self.n_jobs)
            if not self._fits("trial", self._reserve(), units):
                if self._goes_on():
                    continue
                return
            may_end = self.n_jobs == 1
            wave = populations(self.spec, round_)
            results = self._timed("trial", wave, self._reserve() if may_end else None, units)
            if results is None:
                return
            self.history.append(RoundRecord(round_, tuple(results)))

    def _keep_jurors(self) -> None:
        """After the first round: let jurors stay only where there is time for all their rounds; else more rounds of the
        best two choose as well."""
        compare = self.spec.compare
        if self.deadline is None or compare is None or compare.jurors is None or len(self.history) > 1:
            return
        round_s = sum(self._own_s[entry.label] for entry in those_left(self.spec, self.history, N_LAST)) / self.n_jobs
        if (turns(self.spec) - 1) * round_s > self.deadline.left - self._reserve():
            self.spec = replace(self.spec, compare=replace(compare, jurors=None))

    def choice(self) -> Choice | None:
        best = winner(self.spec, self.history)
        k = candidates(self.spec).index(best)
        if self.history[0].results[k].failed:
            return None
        return Choice((0, k), keep_rate_of(best, self.spec), best.overrides, "compare")

    def most_models(self, most: int) -> int:
        """One of a model that is fitted in one go: others of it would hardly differ."""
        return 1 if self._is_fitted() else most

    def _goes_on(self) -> bool:
        """Try further candidates in the first round where there is no time for another; True if some were tried. Models
        of a network would fill the rest of a budget, but of a model that is fitted in one go there is only one."""
        return len(self.history) == 1 and self._is_fitted() and self._try_candidates(self._reserve())

    def _try_candidates(self, ends: float) -> bool:
        """Those of the first round, once each, as far as that ends with ``ends`` seconds left; at least one at first.
        Those that were not trained are no candidates. True if some were."""
        entries, results = self._tried()
        n_before, left_out = len(entries), list[EntrySpec]()
        while self._untried:
            is_first, wave = not results, list[tuple[EntrySpec, Population]]()
            while self._untried and len(wave) < self.n_jobs:
                entry = self._untried.pop(0)
                run = self._alone(entry, len(entries) + len(wave))
                if not is_first and self._waits(entry, run, ends):
                    self._untried.append(entry)
                elif (is_first and not wave) or self._may_begin(run, ends):
                    wave.append((entry, run))
                else:
                    left_out.append(entry)
            may_end = not is_first and self.n_jobs == 1
            began = self._clock()
            ended = self._timed("trial", [run for _, run in wave], ends if may_end else None) if wave else []
            if ended is None:
                break
            results += ended
            entries += [entry for entry, _ in wave]
            self._own_s |= {entry.label: self._clock() - began for entry, _ in wave}
        self._untried = left_out + self._untried
        self._have_tried(entries, results)
        return len(entries) > n_before

    def _tried(self) -> tuple[list[EntrySpec], list[TrialResult]]:
        """The candidates of the first round so far, and their results."""
        return (list(candidates(self.spec)), list(self.history[0].results)) if self.history else ([], [])

    def _have_tried(self, entries: Sequence[EntrySpec], results: Sequence[TrialResult]) -> None:
        assert self.spec.compare is not None
        compare = replace(self.spec.compare, entries=tuple(entries), default=self._held_to(entries))
        self.spec = replace(self.spec, compare=compare)
        whole = race_round(self.spec, ())
        assert whole is not None
        self.history = [RoundRecord(whole, tuple(results))]

    def _held_to(self, entries: Sequence[EntrySpec]) -> str | None:
        """The method that the choice among ``entries`` holds to."""
        if self._default is None or not self._is_blind():
            return self._default
        tried = {entry.method for entry in entries}
        return next((method for method in STEADIEST if method in tried), self._default)

    def _is_blind(self) -> bool:
        """True where nothing is known of the noise."""
        return self.spec.data.estimate is None and not self.spec.report.tau

    def _alone(self, entry: EntrySpec, k: int) -> Population:
        trial = _trial(self.spec, 0, k, entry)
        return population_of(self.spec, Round(0, KIND, (trial,)), (trial,))

    def _waits(self, entry: EntrySpec, run: Population, ends: float) -> bool:
        """True, but once, for a candidate that takes much of the budget."""
        if self.deadline is None or self.deadline.left <= ends or entry.label in self._guessed_s:
            return False
        return self._needs(run) > SHARE_OF_CANDIDATE * self.deadline.seconds

    def _may_begin(self, run: Population, ends: float) -> bool:
        """True if a candidate never tried before ends in time, as far as a few steps of it tell, and if it is fitted in
        one go as a model once more."""
        if self.deadline is None:
            return True
        if self.deadline.left <= ends:
            return False
        needs = self._needs(run)
        return self.deadline.left - (max(ends, needs) if _is_fitted(run.train.method) else ends) >= needs

    def _needs(self, run: Population) -> float:
        """Seconds that a candidate takes, as far as a few steps of it, made once, tell."""
        (trial,) = run.trials
        if trial.label not in self._guessed_s:
            self._guessed_s[trial.label] = guessed(run, self.data_root)
        return self.busy * self._guessed_s[trial.label]

    def _reserve(self) -> float:
        """Seconds for models: of networks a share of the budget, of a model that is fitted in one go its own time."""
        if self.deadline is None:
            return 0.0
        if self._is_fitted():
            # what another seed turns over falls back to the candidate that the choice holds to
            likely = (winner(self.spec, self.history), default_of(self.spec))
            return max(self._own_s[entry.label] for entry in likely if entry is not None and _is_fitted(entry.method))
        return max(SHARE_OF_MODELS * self.deadline.seconds, self.deadline.needs("trial"))

    def _is_fitted(self) -> bool:
        return _is_fitted(winner(self.spec, self.history).method)


def _is_fitted(method: str) -> bool:
    return METHODS.find(method, "method").fitted
