"""Everything a job may name, for people: what the command line, the API and the documentation list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s2e.parts.data import DATASETS, NOISE
from s2e.parts.jobs import KINDS, PROTOCOLS
from s2e.parts.part import Part
from s2e.parts.registry import Registry
from s2e.parts.searching import SEARCHERS, SPACES
from s2e.parts.training import METHODS, NETWORKS

REGISTRIES: dict[str, Registry[Any]] = {
    registry.kind: registry for registry in (METHODS, NETWORKS, DATASETS, NOISE, SEARCHERS, SPACES, PROTOCOLS, KINDS)
}


@dataclass(frozen=True)
class Setting:
    """One setting of a part."""

    name: str
    default: Any
    allowed: str
    doc: str


@dataclass(frozen=True)
class Listed:
    """A name a job may use, or one that is declared and cannot be used: then ``broken`` says why."""

    kind: str
    name: str
    summary: str = ""
    notes: tuple[str, ...] = ()
    """Facts that a user should know, in words."""
    section: str = ""
    """Field of a job that holds the settings, such as ``train.params``."""
    settings: tuple[Setting, ...] = ()
    package: str = ""
    version: str = ""
    broken: str = ""


def listing(kind: str | None = None) -> dict[str, tuple[Listed, ...]]:
    """All parts of all kinds, or of one; those of a kind that are broken come last."""
    return {name: _listed(name, registry) for name, registry in REGISTRIES.items() if kind in (None, name)}


def _listed(kind: str, registry: Registry[Any]) -> tuple[Listed, ...]:
    usable = []
    for name, part in registry.items():
        origin = registry.origin(name)
        lines, notes, section, called = [], [], "", name
        if isinstance(part, type) and issubclass(part, Part):
            lines, notes, section = part.field_lines(), part.notes(), part.section
            called = f"{name}:<name>" if getattr(part, "variants", False) else name
        settings = tuple(Setting(*line) for line in lines)
        usable.append(Listed(kind, called, part.summary, tuple(notes), section, settings, *origin))
    broken = (
        Listed(kind, fault.name, package=fault.origin.package, version=fault.origin.version, broken=fault.reason)
        for fault in registry.faults
    )
    return (*usable, *broken)
