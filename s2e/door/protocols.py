"""Published training protocols as named presets: data (``protocols.toml``), not code. Imports no torch.

A job that names a protocol gets its values for every field it does not set itself; see :func:`expand`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import reduce
from importlib.resources import files
from typing import Any

from s2e.parts import PROTOCOLS, ProtocolCase, ProtocolPart
from s2e.words import NoiseSpec, Problem, SpecError

_DEFAULT_DATASET = "digits"
_DEPENDENTS = {
    "method": ("params",),
    "network": ("network_params",),
    "optimizer": ("momentum", "beta1", "beta1_decay", "beta2"),
    "lr_schedule": ("decay_start", "lr_milestones", "lr_factor", "lr_values", "lr_period", "lr_minimum"),
}
"""Fields of ``train`` that mean nothing, or something else, once the field they belong to is another."""


def declare() -> None:
    """Enter all presets in :data:`s2e.parts.PROTOCOLS`, which asks for them when it is first looked at."""
    table = tomllib.loads(files("s2e.door").joinpath("protocols.toml").read_text(encoding="utf-8"))
    for name, entry in table.items():
        datasets = {dataset: merged(entry["common"], own) for dataset, own in entry["datasets"].items()}
        cases = tuple(map(_case, entry.get("cases", ())))
        PROTOCOLS.add(name, ProtocolPart(name, entry["summary"], datasets, cases), __name__)


def _case(entry: Mapping[str, Any]) -> ProtocolCase:
    values = {name: value for name, value in entry.items() if name not in ("dataset", "kinds", "from", "below")}
    return ProtocolCase(
        values, tuple(entry["kinds"]), entry.get("dataset", ""), entry.get("from", 0.0), entry.get("below", 1.0)
    )


def expand(job: Any) -> Any:
    """The plain JSON of a job over the values of the protocol it names; the job's own values win.

    Where a job sets another method, network, optimiser or schedule, the protocol's settings of the old one are left
    out. Malformed values are passed on, for the validator to name. Raises SpecError for a data set that the protocol
    was not published for.
    """
    if not isinstance(job, Mapping) or not isinstance(job.get("protocol"), str) or job["protocol"] not in PROTOCOLS:
        return job
    section = job.get("data", {})
    dataset = section.get("name", _DEFAULT_DATASET) if isinstance(section, Mapping) else None
    if not isinstance(dataset, str):
        return job
    protocol = PROTOCOLS[job["protocol"]]
    if dataset not in protocol.datasets:
        allowed = f"a protocol for data.name = {dataset!r}; this one is published for {', '.join(protocol.datasets)}"
        raise SpecError(Problem("protocol", job["protocol"], allowed))
    return merged(reduce(merged, protocol.values(dataset, *_noise_of(protocol.datasets[dataset], job))), job)


def _noise_of(protocol: Mapping[str, Any], job: Mapping[str, Any]) -> tuple[str, float]:
    """Kind and rate of the job's noise: its own, the protocol's, the fields' defaults; what is none fits no case."""
    data = merged(protocol, job).get("data", {})
    noise = data.get("noise", {}) if isinstance(data, Mapping) else {}
    noise = noise if isinstance(noise, Mapping) else {}
    kind, rate = noise.get("kind", NoiseSpec.kind), noise.get("noise_rate", NoiseSpec.noise_rate)
    known = isinstance(kind, str) and isinstance(rate, int | float)
    return (kind, float(rate)) if known else ("", 0.0)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` on top of ``base``, section by section."""
    changed = {name for name in _DEPENDENTS if name in over and name in base and over[name] != base[name]}
    stale = {dependent for name in changed for dependent in _DEPENDENTS[name]}
    result = {name: value for name, value in base.items() if name not in stale}
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
        result[name] = merged(result[name], value) if both else value
    return result
