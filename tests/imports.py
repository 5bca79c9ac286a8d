"""The import graph of this repository's packages, read from the source: lazy imports and those for types count too."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
Graph = Mapping[str, frozenset[str]]


def modules_of(*packages: str) -> dict[str, Path]:
    """Every module of some packages, by its dotted name."""
    return {
        _name(path.relative_to(ROOT)): path for package in packages for path in sorted((ROOT / package).rglob("*.py"))
    }


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path: Path) -> Iterator[str]:
    """What a file imports, anywhere in it: ``import a.b`` gives a.b; ``from a import b`` gives a and a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_graph(*packages: str) -> Graph:
    """Module -> modules of the same packages that it imports.

    Importing a module of another package runs the ``__init__`` of every package around it, which counts as well.
    """
    modules = modules_of(*packages)
    return {name: frozenset(_edges(name, path, modules)) for name, path in modules.items()}


def _edges(name: str, path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    names = set(imported_names(path))
    # "from a import b" asks for the module a.b where there is one, and not for what else a/__init__ imports
    submodules = {found.rpartition(".")[0] for found in names & modules.keys() if found.rpartition(".")[0] in names}
    own = _packages_of(name)
    for found in names & modules.keys() - submodules:
        yield from {found, *_packages_of(found)} - own - {name}


def _packages_of(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:i]) for i in range(1, len(parts))}


def circles(graph: Graph) -> list[list[str]]:
    """Groups of modules that import each other, directly or not."""
    reached = {name: reachable(graph, graph[name]) for name in graph}
    groups = {frozenset(other for other in reached[name] if name in reached[other]) for name in graph}
    return sorted(sorted(group) for group in groups if group)


def reachable(graph: Graph, names: Iterable[str]) -> set[str]:
    """Everything that is imported when ``names`` are, they among it."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph.get(name, ())
    return seen
