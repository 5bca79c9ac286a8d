"""Choosing a method: candidates are halved over seeds, and the winner stands beside every rival's best on fresh ones.

    halve      all candidates on one seed, the better half on a second, the best two on further ones
    compare    the winner, and of every other method its best candidate, each on the same other seeds

Held-out labels choose, as :mod:`s2e.jobs.judging` weighs them: those that are right, and noisy ones under the noise's
matrix. Of given labels another part ranks in each halving, so those who stay are judged by several times as many; the
default, a blend or the job's own method, stays to the end, so that leaving it is judged by all of them too. So do the
jurors, the candidates that weigh in the jury of the last rows, beside the best two: few who agree with one another make
a poor jury of the next rows. Jobs of earlier versions keep their default, rows, jury and rounds, and where trainings
were not judged choose by the likelihood of noisy labels, or by validation accuracy. The comparison uses no seed of the
halving. Every function is pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from statistics import fmean

from s2e.jobs.compare import compare_trials, entries_of, keep_rate_of
from s2e.jobs.judging import Trainings, judged, leads, worth
from s2e.jobs.trials import make_repeat
from s2e.prepare import BY_MATRIX
from s2e.words import DataSpec, EntrySpec, JobSpec, Round, RoundRecord, TrialResult, replace

KIND = "halve"
N_LAST = 2
"""Candidates of the third seed."""
TURNS = 5
"""Parts of the rows that take turns, where a job says nothing else."""
ROUNDS, ROUNDS_IN_TURNS, ROUNDS_OF_JURORS = 3, 4, 5
"""Of the halving: where the same rows rank in all, as of jobs stored before there were more; where others do; and where
jurors stay."""
JURORS = 0.5
"""Least weight of a juror, where a job says nothing else; 1 is an equal share."""
JURY, JURY_BEFORE = "weighed", "even"
"""Where a job says nothing else, and of jobs stored when there was no other."""


def candidates(spec: JobSpec) -> tuple[EntrySpec, ...]:
    """The entries; where the noise of given labels could not be estimated, those that need no matrix of it."""
    entries = entries_of(spec)
    return tuple(entry for entry in entries if not needs_matrix(entry)) if spec.data.unestimated else entries


def needs_matrix(entry: EntrySpec) -> bool:
    """True if the entry cannot train where the noise's matrix is not known."""
    return entry.params.get("transition") in BY_MATRIX


def sizes(n: int, n_rounds: int = ROUNDS) -> tuple[int, ...]:
    """Candidates of each halving round."""
    if n <= 1:
        return ()
    halves = (n, max(N_LAST, -(-n // 2)), *[N_LAST] * n_rounds)
    return halves[:1] if n <= N_LAST else halves[:n_rounds]


def planned_sizes(spec: JobSpec) -> tuple[int, ...]:
    """Those of the job's candidates, without a default that stays."""
    return sizes(len(candidates(spec)), (spec.compare.rounds if spec.compare else None) or ROUNDS)


def halving_round(spec: JobSpec, history: Sequence[RoundRecord]) -> Round | None:
    """The next halving round; None after its last."""
    m, planned = len(history), planned_sizes(spec)
    if m >= len(planned):
        return None
    trials = (
        make_repeat(spec, m, k, entry.label, keep_rate_of(entry, spec), entry.overrides, (KIND, m + 1))
        for k, entry in enumerate(those_left(spec, history, planned[m]))
    )
    return Round(m, KIND, tuple(trials))


def those_left(spec: JobSpec, history: Sequence[RoundRecord], n: int) -> list[EntrySpec]:
    """The ``n`` best candidates, best first; behind them, where rows take turns, the default that is not among them."""
    every, default, stay = ranked(spec, history), default_of(spec), jurors(spec, history)
    n = min(n, N_LAST) if stay else n
    left = [entry for place, entry in enumerate(every) if place < n or entry.label in stay]
    return [*left, default] if default is not None and default not in left and turns(spec) > 1 else left


def jurors(spec: JobSpec, history: Sequence[RoundRecord]) -> frozenset[str]:
    """Labels of the candidates that weigh enough in the last round's jury to train on, until all parts of the rows have
    had their turn; none where a job has no jurors, or no noisy labels judge."""
    least = spec.compare.jurors if spec.compare else None
    trainings = None if least is None or not 0 < len(history) < turns(spec) else trainings_of(spec, history)
    if least is None or trainings is None:
        return frozenset()
    last = history[-1].round.index
    return frozenset(
        label
        for label, of in trainings.items()
        for one in of
        if one is not None and one.round == last and one.noisy_share and one.weight >= least
    )


def final_round(spec: JobSpec, history: Sequence[RoundRecord]) -> Round:
    """The winner and its rivals on fresh seeds."""
    return Round(len(history), "compare", compare_trials(spec, len(history), finalists(spec, history)))


def finalists(spec: JobSpec, history: Sequence[RoundRecord]) -> tuple[EntrySpec, ...]:
    """The winner, then of every other method its best candidate, best first."""
    won = winner(spec, history)
    best = {won.method: won}
    for entry in ranked(spec, history):
        best.setdefault(entry.method, entry)
    return tuple(best.values())


def winner(spec: JobSpec, history: Sequence[RoundRecord]) -> EntrySpec:
    """The best candidate if its lead over the default shows more than chance does, else the default."""
    first, default, trainings = ranked(spec, history)[0], default_of(spec), trainings_of(spec, history)
    if default is None or trainings is None or set(trainings.get(default.label, [None])) == {None}:
        return first
    return first if leads(trainings[first.label], trainings[default.label]) else default


def default_of(spec: JobSpec) -> EntrySpec | None:
    """The candidate that is left only for a clear lead: of the method that the job names for it, by the matrix where it
    can; else the job's own method under the default schedule. None where neither is a candidate."""
    entries, named = candidates(spec), spec.compare.default if spec.compare else None
    steady = sorted((entry for entry in entries if entry.method == named), key=needs_matrix, reverse=True)
    own = (entry for entry in entries if entry.method == spec.train.method and entry.schedule.kind == "default")
    return next(iter((*steady, *own)), None)


def ranked(spec: JobSpec, history: Sequence[RoundRecord]) -> list[EntrySpec]:
    """The candidates, those of the most seeds first and among them those of the best mean; of equal ones the first."""
    trainings = trainings_of(spec, history)
    worths = (
        _by_results(history) if trainings is None else {of: (len(all_), worth(all_)) for of, all_ in trainings.items()}
    )
    place = {label: (-n_seeds, -value) for label, (n_seeds, value) in worths.items()}
    return sorted(candidates(spec), key=lambda entry: place.get(entry.label, (0, 0.0)))


def trainings_of(spec: JobSpec, history: Sequence[RoundRecord]) -> Trainings | None:
    """Those of the halving, each judged by its jury; None where one that succeeded was not judged."""
    return judged(history, KIND, turns(spec), (spec.compare.jury if spec.compare else None) or JURY_BEFORE)


def _by_results(history: Sequence[RoundRecord]) -> dict[str, tuple[int, float]]:
    """Number of trainings and their mean, by the figures of results: of jobs whose trainings were not judged."""
    seen: dict[str, list[TrialResult]] = {}
    for record in history:
        if record.round.kind == KIND:
            for trial, result in zip(record.round.trials, record.results, strict=True):
                seen.setdefault(trial.label, []).append(result)
    by_likelihood = is_by_likelihood(history)
    return {
        label: (len(results), fmean([_score(result, by_likelihood) for result in results]))
        for label, results in seen.items()
    }


def is_by_likelihood(history: Sequence[RoundRecord]) -> bool:
    """True if trainings measured how likely they make noisy validation labels."""
    finals = [result.final for record in history for result in record.results if result.final is not None]
    return any(final.noisy_likelihood is not None for final in finals)


def _score(result: TrialResult, by_likelihood: bool) -> float:
    """Higher is better; a failed training is the worst."""
    if by_likelihood:
        value = None if result.final is None else result.final.noisy_likelihood
    else:
        value = result.validation_accuracy
    return -inf if value is None else value


def turns(spec: JobSpec) -> int:
    """Parts of the rows with given labels that take turns; 1 where the same ones rank in every round."""
    is_dealt = not spec.data.truth_is_known and spec.data.split == "holdout"
    return (spec.compare.turns or 1) if spec.compare and is_dealt else 1


def halved(spec: JobSpec, m: int) -> DataSpec:
    """The data of halving round m: other rows rank in each, trusted ones where some do, and given labels in turns."""
    data = spec.data if turns(spec) == 1 else replace(spec.data, fold=m % turns(spec))
    if not data.trusted_rows.n_validation:
        return data
    return replace(data, trusted=replace(data.trusted, fold=m))


def refitted(spec: JobSpec) -> DataSpec:
    """The data of the comparison: rows that chose train too, where the job lets them."""
    data = spec.data
    if not (spec.compare and spec.compare.refit):
        return data
    if data.trusted_rows.n_validation:
        return replace(data, trusted=replace(data.trusted, refit=True))
    return data if turns(spec) == 1 else replace(data, refit=True)


def n_most_trials(spec: JobSpec) -> int:
    """Trials of a whole job; where jurors stay all candidates may."""
    return _n_trials(spec, len(candidates(spec)))


def n_planned_trials(spec: JobSpec) -> int:
    """The same with as many jurors as there are wont to be at most: those who stay are half of the candidates."""
    return _n_trials(spec, -(-len(candidates(spec)) // 2))


def _n_trials(spec: JobSpec, n_stay: int) -> int:
    assert spec.compare is not None  # filled in at the door
    entries, planned = candidates(spec), planned_sizes(spec)
    if spec.compare.jurors is not None:
        planned = (*planned[:1], *(max(n, n_stay) for n in planned[1 : turns(spec)]), *planned[turns(spec) :])
    has_default = default_of(spec) is not None and turns(spec) > 1
    n_halving = planned[0] + sum(min(n + has_default, len(entries)) for n in planned[1:]) if planned else 0
    return n_halving + len({entry.method for entry in entries}) * spec.compare.n_seeds
