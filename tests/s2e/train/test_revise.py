"""Labels that an audit takes to be wrong: dropped, relabelled, softened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from s2e.door import parse_job
from s2e.labels.rerun import ENTRIES, revised_job
from s2e.parts import Worst
from s2e.train.population import StackedTrials
from s2e.train.trial import PopulationEnd, train_population
from s2e.words import AuditSpec, DataError, DataSpec, Population, SpecError, replace, to_json

Tiny = Callable[..., Population]
AUDIT = AuditSpec(rows=(5, 2, 9), labels=(1, 0, 2))


def revising(population: Population, revise: str, audit: AuditSpec | None = AUDIT) -> Population:
    return replace(
        population, data=replace(population.data, audit=audit), train=replace(population.train, revise=revise)
    )


def stacked(population: Population) -> StackedTrials:
    return StackedTrials(population, torch.device("cpu"), torch.float64)


def test_dropped_rows_are_never_trained_on(tiny: Tiny) -> None:
    plain, trials = stacked(tiny((0, 1))), stacked(revising(tiny((0, 1)), "drop"))
    kept = [s for s in range(plain.label_KS.shape[1]) if s not in AUDIT.rows]
    torch.testing.assert_close(trials.label_KS, plain.label_KS[:, kept])
    torch.testing.assert_close(trials.data.train.images, plain.data.train.images[kept])


def test_relabelled_rows_have_the_likely_label_in_every_epoch(tiny: Tiny) -> None:
    trials, plain = stacked(revising(tiny((0, 1)), "relabel")), stacked(tiny((0, 1)))
    expected = plain.label_KS.clone()
    expected[:, list(AUDIT.rows)] = torch.tensor(AUDIT.labels)
    for t in range(2):
        trials.set_epoch(t)
        torch.testing.assert_close(trials.label_KS, expected)


def test_softened_rows_have_either_label_by_turns(tiny: Tiny) -> None:
    trials, plain = stacked(revising(tiny((0, 1)), "soften")), stacked(tiny((0, 1)))
    given, n_likely = plain.label_KS[0, 5], 0
    other = stacked(revising(tiny((0, 1)), "soften", replace(AUDIT, labels=(int(given + 1) % 3, 0, 2))))
    for t in range(200):
        other.set_epoch(t)
        n_likely += int(other.label_KS[0, 5] != given)
    assert 70 < n_likely < 130
    trials.set_epoch(3)
    once = trials.label_KS.clone()
    trials.set_epoch(4)
    trials.set_epoch(3)
    torch.testing.assert_close(trials.label_KS, once)
    untouched = [s for s in range(plain.label_KS.shape[1]) if s not in AUDIT.rows]
    torch.testing.assert_close(once[:, untouched], plain.label_KS[:, untouched])


@pytest.mark.parametrize("revise", ["drop", "relabel", "soften"])
def test_a_trial_is_the_same_alone_and_after_another_failed(tiny: Tiny, revise: str) -> None:
    def results(population: Population) -> Any:
        *_, end = train_population(population)
        assert isinstance(end, PopulationEnd)
        return end.results

    both = revising(tiny((0, 1)), revise)
    alone = replace(both, trials=both.trials[1:])
    (mine,), (_, other) = results(alone), results(both)
    assert mine.objective == pytest.approx(other.objective, abs=1e-12)
    trials = stacked(both)
    trials.set_epoch(0)
    labels = trials.label_KS[1].clone()
    trials.keep([1])
    trials.set_epoch(0)
    torch.testing.assert_close(trials.label_KS[0], labels)


def test_rows_and_labels_that_are_not_there_are_named(tiny: Tiny) -> None:
    with pytest.raises(DataError, match=r"data\.audit\.rows: 100000, of"):
        stacked(revising(tiny(), "drop", AuditSpec(rows=(100_000,), labels=(0,))))
    with pytest.raises(DataError, match=r"data\.audit\.labels: 77, of"):
        stacked(revising(tiny(), "relabel", AuditSpec(rows=(0,), labels=(77,))))
    with pytest.raises(DataError, match="names no labels"):
        stacked(revising(tiny(), "soften", None))


@pytest.mark.parametrize(
    ("data", "train", "field"),
    [
        ({}, {"revise": "drop"}, "train.revise"),
        ({"audit": {"rows": [1, 2], "labels": [0]}}, {}, "data.audit.labels"),
        ({"audit": {"rows": [1, 1], "labels": [0, 0]}}, {}, "data.audit.rows"),
        ({"audit": {}}, {}, "data.audit"),
        ({"audit": {"job": "elsewhere"}}, {}, "data.audit.job"),
    ],
)
def test_the_door_refuses_by_name(data: dict[str, Any], train: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_job({"data": data, "train": train})
    assert field in [problem.field for problem in refused.value.problems]


class Audited:
    """A service with one audited job."""

    data = DataSpec()

    def report_of(self, job_id: str) -> Any:
        return None

    def labels_of(self, job_id: str, n: int | None) -> Worst | None:
        if job_id == "without issues" and n is None:
            return Worst(self.data, (), ())
        return Worst(self.data, AUDIT.rows[:n], AUDIT.labels[:n]) if job_id == "audited" else None


def test_a_named_audit_is_looked_up_once_and_then_part_of_the_job() -> None:
    spec = parse_job({"data": {"audit": {"job": "audited", "n": 2}}}, Audited())  # type: ignore[arg-type]
    assert spec.data.audit == AuditSpec("audited", 2, (5, 2), (1, 0))
    assert parse_job(to_json(spec)) == spec
    with pytest.raises(SpecError, match="of which a training has ended"):
        parse_job({"data": {"audit": {"job": "none"}}}, Audited())  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"data\.audit\.n = .*calls no label of a training row an issue"):
        parse_job({"data": {"audit": {"job": "without issues"}}}, Audited())  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="split alike"):
        parse_job({"data": {"split_seed": 1, "audit": {"job": "audited"}}}, Audited())  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="taken from the job"):
        parse_job({"data": {"audit": {"job": "audited", "rows": [1]}}}, Audited())  # type: ignore[arg-type]


def test_rows_of_ones_own_are_split_as_the_audited_job_has_split_them() -> None:
    """Its own number of validation rows was proposed from the data; the new job names none."""
    data = {"name": "table", "params": {"path": "rows.csv"}}
    lookup = Audited()
    lookup.data = parse_job({"data": {**data, "n_validation": 15}, "report": {"tau": 0.1}}).data

    def asked(**more: Any) -> DataSpec:
        named = {**data, **more, "audit": {"job": "audited", "n": 2}}
        return parse_job({"data": named, "report": {"tau": 0.1}}, lookup).data  # type: ignore[arg-type]

    again = asked()
    assert again.n_validation == 15
    assert again.sizes is not None
    assert again.sizes.open == ("batch_size", "n_epochs", "network")
    with pytest.raises(SpecError, match="split alike"):
        asked(n_validation=16)


def test_a_search_puts_labels_to_the_test_under_the_schedule_it_recommends() -> None:
    spec = to_json(parse_job({"train": {"method": "coteaching"}}))
    entries = revised_job(spec, "searched")["compare"]["entries"]
    assert [entry["label"] for entry in entries] == list(ENTRIES)
    assert all(entry["method"] == "coteaching" for entry in entries)
    assert all(entry["schedule"] == {"kind": "job", "job": "searched"} for entry in entries)
    with pytest.raises(SpecError, match="tournament"):
        revised_job({**spec, "kind": "tournament"}, "searched")


def test_the_four_ways_are_compared_on_the_same_seeds() -> None:
    first = {"method": "elr", "train": {"learning_rate": 0.01}}
    spec = to_json(parse_job({"kind": "compare", "compare": {"entries": [first, {"method": "standard"}]}}))
    again = parse_job(revised_job(spec, "audited", n=2, n_seeds=3), Audited())  # type: ignore[arg-type]
    assert again.compare is not None
    assert {entry.label: entry.train.get("revise", "none") for entry in again.compare.entries} == ENTRIES
    assert all(entry.train["learning_rate"] == 0.01 for entry in again.compare.entries)
    assert again.compare.n_seeds == 3
