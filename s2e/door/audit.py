"""Labels that are likely wrong, taken from the audit of an earlier job, and the ways to revise them."""

from __future__ import annotations

from dataclasses import replace

from s2e.parts import Lookup
from s2e.words.data import DataSpec
from s2e.words.errors import Problem, SpecError
from s2e.words.job import JobSpec


def with_audit(spec: JobSpec, lookup: Lookup | None) -> JobSpec:
    """The job with the rows and likely labels of the audit it names. Raises SpecError where there is none, or where it
    is of other rows."""
    asked = spec.data.audit
    if asked is None or not asked.job or (lookup is None and asked.rows):
        return spec
    if lookup is None:
        allowed = "a job of a service, which looks its audit up; without one, give rows and labels"
        raise SpecError(Problem("data.audit.job", asked.job, allowed))
    if asked.rows or asked.labels:
        raise SpecError(Problem("data.audit.rows", "given", "nothing: they are taken from the job"))
    worst = lookup.labels_of(asked.job, asked.n)
    if worst is None:
        raise SpecError(Problem("data.audit.job", asked.job, "a job of given labels of which a training has ended"))
    if spec.data.sizes is not None and "n_validation" in spec.data.sizes.open:
        spec = _split_like(spec, worst.data)
    if _rows_of(worst.data) != _rows_of(spec.data):
        allowed = "a job on the same data, split alike: its rows would be others here"
        raise SpecError(Problem("data.audit.job", asked.job, allowed))
    if not worst.rows:
        allowed = (
            "how many of the worst are to be revised: the audit of that job calls no label of a training row an issue"
        )
        raise SpecError(Problem("data.audit.n", asked.n, allowed))
    return replace(spec, data=replace(spec.data, audit=replace(asked, rows=worst.rows, labels=worst.labels)))


def _split_like(spec: JobSpec, data: DataSpec) -> JobSpec:
    """The job with as many validation rows as ``data`` has, where it leaves their number open."""
    assert spec.data.sizes is not None
    left = tuple(name for name in spec.data.sizes.open if name != "n_validation")
    sizes = replace(spec.data.sizes, open=left)
    return replace(spec, data=replace(spec.data, n_validation=data.n_validation, sizes=sizes))


def audit_problems(spec: JobSpec) -> list[Problem]:
    """Labels to be revised that nobody names, rows without their likely label, a row that is named twice."""
    audit, problems = spec.data.audit, list[Problem]()
    revised = {"train.revise": spec.train.revise}
    for i, entry in enumerate(spec.compare.entries if spec.compare else ()):
        revised[f"compare.entries[{i}].train.revise"] = entry.train.get("revise", "none")
    if audit is None:
        allowed = "none without data.audit, which names the labels"
        return [Problem(field, value, allowed) for field, value in revised.items() if value != "none"]
    if len(audit.rows) != len(audit.labels):
        problems.append(
            Problem("data.audit.labels", f"{len(audit.labels)} labels", f"one for each of {len(audit.rows)}")
        )
    if len(set(audit.rows)) < len(audit.rows):
        problems.append(Problem("data.audit.rows", f"{len(audit.rows)} rows", "each of them once"))
    if not audit.rows and not audit.job:
        problems.append(Problem("data.audit", "neither job nor rows", "a job with an audit, or rows and labels"))
    return problems


def _rows_of(data: DataSpec) -> DataSpec:
    """All of the data that decides which rows train."""
    plain = DataSpec()
    return replace(
        data,
        noise=plain.noise,
        labels=plain.labels,
        normalise=plain.normalise,
        validation_labels=plain.validation_labels,
        estimate=None,
        audit=None,
        sizes=None,
        trusted=replace(data.trusted, counted=None),
    )
