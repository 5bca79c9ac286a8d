"""Sizes that a job on data of one's own leaves open: validation rows, batch and epochs, proposed from its rows.

They are written into the spec before anything else is looked at, so whatever follows is a pure function of it.
"""

from __future__ import annotations

from typing import Any

from s2e.door import parse_job
from s2e.words import DataSpec, JobSpec, OpenSizes, Sizes, SpecError, replace, to_json


def needs_sizes(spec: JobSpec) -> bool:
    """True if the rows of the job's data are to be counted, and sizes proposed that it leaves to them."""
    return spec.data.sizes is not None and spec.data.sizes.n_test is None


def sized(spec: JobSpec, data_root: str | None) -> JobSpec:
    """The job with every size it leaves open. Raises DataError as loading its data does."""
    return with_sizes(spec, sizes_of(spec.data, data_root)) if needs_sizes(spec) else spec


def sizes_of(data: DataSpec, data_root: str | None) -> Sizes:
    """Sizes that suit the rows of ``data``. Raises DataError as loading them does."""
    from s2e.data.datasets import load_whole
    from s2e.data.own.propose import proposed_sizes

    whole = load_whole(data, data_root)
    n_trusted, n_test = 0 if whole.counted is None else whole.counted.n_validation, len(whole.test_labels)
    n_test = n_test - n_test // 2 if data.split == "s2e" else n_test
    n_rows = len(whole.train_labels) - data.n_clean
    if data.n_train is None:
        return proposed_sizes(n_rows, whole.n_classes, n_trusted, n_test)
    # rows that do not train are free to validate
    sizes = proposed_sizes(min(n_rows, data.n_train), whole.n_classes, n_trusted, n_test)
    return replace(sizes, n_validation=max(1, min(sizes.n_validation, n_rows - data.n_train)))


def with_sizes(spec: JobSpec, sizes: Sizes | None) -> JobSpec:
    """The job with ``sizes`` where it leaves them open; None, where nobody could look at the data: with the defaults.

    The epochs stay at their default where the job says something that would not go with others, such as a budget.
    """
    assert spec.data.sizes is not None
    names = spec.data.sizes.open
    filled = _with(spec, sizes, names)
    try:
        parse_job(to_json(filled))
    except SpecError:
        return _with(spec, sizes, tuple(name for name in names if name != "n_epochs"))
    return filled


def _with(spec: JobSpec, sizes: Sizes | None, names: tuple[str, ...]) -> JobSpec:
    if sizes is None:
        return replace(spec, data=replace(spec.data, sizes=OpenSizes(n_test=0)))
    value: dict[str, Any] = {name: getattr(sizes, name) for name in names}
    reasons = tuple(words for name in names if (words := sizes.reasons.get(name)))
    of_data = {name: value.pop(name) for name in ("n_validation",) if name in value}
    data = replace(spec.data, **of_data, sizes=OpenSizes((), reasons, sizes.n_test))
    return replace(spec, data=data, train=replace(spec.train, **value))
