"""Validation rows, batch, epochs and network that a job on data of one's own leaves open, proposed from its rows.

They are written into the spec before anything else is looked at, so whatever follows is a pure function of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from s2e.door import parse_job
from s2e.words import DataSpec, JobSpec, OpenSizes, Sizes, SpecError, replace, to_json

MOST_NOTES, MOST_LETTERS = 8, 200
"""Of the notes on how data were read, in a spec and its report."""


def needs_sizes(spec: JobSpec) -> bool:
    """True if the rows of the job's data are to be counted, and sizes proposed that it leaves to them."""
    return spec.data.sizes is not None and spec.data.sizes.n_test is None


def sized(spec: JobSpec, data_root: str | None) -> JobSpec:
    """The job with every size it leaves open. Raises DataError as loading its data does."""
    return with_sizes(spec, sizes_of(spec.data, data_root)) if needs_sizes(spec) else spec


def sizes_of(data: DataSpec, data_root: str | None) -> Sizes:
    """Sizes and network that suit the rows of ``data``. Raises DataError as loading them does."""
    from s2e.data.datasets import load_whole
    from s2e.data.own.propose import proposed_network, proposed_sizes

    whole = load_whole(data, data_root)
    network, why = proposed_network(tuple(whole.train_images.shape[1:]), len(whole.train_labels))
    n_trusted, n_test = 0 if whole.counted is None else whole.counted.n_validation, len(whole.test_labels)
    n_test = n_test - n_test // 2 if data.split == "s2e" else n_test
    n_rows = len(whole.train_labels) - data.n_clean
    # rows that do not train are free to validate
    most = n_rows if data.n_train is None else min(n_rows, data.n_train)
    sizes = proposed_sizes(most, whole.n_classes, n_trusted, n_test)
    if data.n_train is not None:
        sizes = replace(sizes, n_validation=max(1, min(sizes.n_validation, n_rows - data.n_train)))
    return replace(sizes, network=network, reasons={**sizes.reasons, "network": why}, notes=_some(whole.notes))


def _some(notes: Sequence[str]) -> tuple[str, ...]:
    """The first of them, and how many there are more."""
    more = len(notes) - MOST_NOTES
    return (
        *(note[:MOST_LETTERS] for note in notes[:MOST_NOTES]),
        *([f"{more} more notes: s2e data add shows them"] if more > 0 else ()),
    )


def with_sizes(spec: JobSpec, sizes: Sizes | None) -> JobSpec:
    """The job with ``sizes`` where it leaves them open; None, where nobody could look at the data: with the defaults.

    Epochs and network stay at their defaults where the job says something that would not go with others, such as a
    budget, or a setting that the network refuses.
    """
    assert spec.data.sizes is not None
    names = spec.data.sizes.open
    for kept in ((), ("n_epochs",), ("network",)):
        filled = _with(spec, sizes, tuple(name for name in names if name not in kept))
        try:
            complete = parse_job(to_json(filled)).train.network_params
        except SpecError:
            continue
        return replace(filled, train=replace(filled.train, network_params=complete))
    return _with(spec, sizes, tuple(name for name in names if name not in ("n_epochs", "network")))


def _with(spec: JobSpec, sizes: Sizes | None, names: tuple[str, ...]) -> JobSpec:
    if sizes is None:
        return replace(spec, data=replace(spec.data, sizes=OpenSizes(n_test=0)))
    value: dict[str, Any] = {name: getattr(sizes, name) for name in names if name != "network"}
    value |= sizes.network if "network" in names else {}
    reasons = tuple(words for name in names if (words := sizes.reasons.get(name)))
    of_data = {name: value.pop(name) for name in ("n_validation",) if name in value}
    data = replace(spec.data, **of_data, sizes=OpenSizes((), reasons, sizes.n_test, sizes.notes))
    return replace(spec, data=data, train=replace(spec.train, **value))
