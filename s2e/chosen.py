"""The choice of a method on rows in memory: the halving of ``auto``, then one training of the winner on fresh seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from s2e.jobs.auto import halving_round, ranked, trainings_of, winner
from s2e.jobs.compare import keep_rate_of
from s2e.jobs.compare_report import members_of
from s2e.jobs.judging import Judged
from s2e.jobs.loop import populations
from s2e.jobs.methods_tried import portfolio, steady
from s2e.jobs.trials import make_repeat
from s2e.parts import KINDS
from s2e.stages import stage_of, tell
from s2e.words import (
    CompareSpec,
    DataError,
    EntrySpec,
    JobSpec,
    Population,
    Problem,
    Round,
    RoundRecord,
    SpecError,
    TrialResult,
    replace,
)

if TYPE_CHECKING:
    from s2e.train.told import PopulationEnd


@dataclass(frozen=True)
class Chosen:
    """The winner, trained once more."""

    entry: EntrySpec
    keep_rate: tuple[float, ...]
    report: Mapping[str, Any]
    model: Mapping[str, Any]
    """Its tensors, as a model file holds them."""
    margins: Sequence[Any]
    """The margins of each training of networks on the labels it learned."""


def choose(spec: JobSpec, names: Sequence[str] | None, n_rounds: int, root: str) -> Chosen:
    """The best of the portfolio, or of those of it that ``names`` has as labels or methods, on the data of ``spec``.

    Raises SpecError for names that are none of it, DataError where nothing could be trained.
    """
    spec = with_candidates(spec, names)
    history: list[RoundRecord] = []
    margins: list[Any] = []
    while len(history) < n_rounds and (round_ := halving_round(spec, history)) is not None:
        ends = [_trained(population, root) for population in populations(spec, round_)]
        results = sorted((result for end in ends for result in end.results), key=lambda result: result.k)
        history.append(RoundRecord(round_, tuple(results)))
        margins += [said for end in ends for said in end.margins if said is not None]
    if all(result.failed for record in history for result in record.results):
        raise DataError(f"every candidate failed: {history[0].results[0].reason}")
    best = winner(spec, history)
    keep_rate = keep_rate_of(best, spec)
    again = make_repeat(spec, len(history), 0, best.label, keep_rate, best.overrides, ("compare", 1))
    end = _trained(populations(spec, Round(len(history), "compare", (again,)))[0], root)
    if end.models[0] is None:
        raise DataError(f"the last training failed: {end.results[0].reason}")
    return Chosen(best, keep_rate, choice_report(spec, history), end.models[0], margins)


def with_candidates(spec: JobSpec, names: Sequence[str] | None) -> JobSpec:
    """The job of kind auto with its candidates."""
    spec = replace(spec, kind="auto")
    known = portfolio(spec)
    entries = tuple(entry for entry in known if names is None or {entry.label, entry.method} & set(names))
    every = {name for entry in known for name in (entry.label, entry.method)}
    if strange := [name for name in names or () if name not in every]:
        raise SpecError(Problem("candidates", strange[0], f"among {', '.join(entry.label for entry in known)}"))
    return chosen_among(spec, entries)


def chosen_among(spec: JobSpec, entries: Sequence[EntrySpec]) -> JobSpec:
    """The job of kind auto with these candidates. Raises SpecError as the door does."""
    compare = CompareSpec(entries=tuple(entries), default=steady(spec, entries))
    return KINDS["auto"].check(replace(spec, kind="auto", compare=compare))


def _trained(population: Population, root: str) -> PopulationEnd:
    from s2e.train.told import PopulationEnd
    from s2e.train.trial import train_population

    tell(stage_of([population]))
    *_, end = train_population(population, data_root=root)
    assert isinstance(end, PopulationEnd)
    return end


def choice_report(spec: JobSpec, history: Sequence[RoundRecord]) -> dict[str, Any]:
    """The candidates, the one chosen and then the best first, and what chose, as an estimator reports them."""
    best = winner(spec, history)
    labels = dict.fromkeys([best.label, *(entry.label for entry in ranked(spec, history))])
    seen: dict[str, list[TrialResult]] = {label: [] for label in labels}
    for record in history:
        for trial, result in zip(record.round.trials, record.results, strict=True):
            seen[trial.label].append(result)
    trainings = defaultdict(list, trainings_of(spec, history) or {})
    known = spec.data.estimate is not None
    is_told = known or spec.data.truth_is_known or bool(spec.data.trusted_rows.n_validation)
    # By labels whose noise nobody knows the figure would be agreement under another name
    rows = [
        {"candidate": label, **_row(results), "expected_accuracy": _expected(trainings[label]) if is_told else None}
        for label, results in seen.items()
    ]
    by = "the accuracy to expect from held-out given labels" if known else "agreement with held-out given labels"
    return {"candidates": rows, "chosen": best.label, "chosen_by": by}


def _expected(trainings: Sequence[Judged | None]) -> float | None:
    """Mean over the seeds that did not fail."""
    worths = [one.worth for one in trainings if one is not None]
    return fmean(worths) if worths else None


def _row(results: Sequence[TrialResult]) -> dict[str, Any]:
    """Means over the seeds that a candidate was trained on; None where all failed."""
    accuracy = [result.validation_accuracy for result in results if result.validation_accuracy is not None]
    finals = [result.final for result in results if result.final is not None]
    likelihood = [final.noisy_likelihood for final in finals if final.noisy_likelihood is not None]
    return {
        "n_seeds": len(results),
        "n_failed": sum(result.failed for result in results),
        "validation_accuracy": fmean(accuracy) if accuracy else None,
        "log_likelihood": fmean(likelihood) if likelihood else None,
        "members": members_of(results),
    }
