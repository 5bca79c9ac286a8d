"""The plan of the house: which package may import which, no circles, and one walk from a body to a stored job.

Imports are read from the source, so lazy ones and those for type checking count too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import pytest

from s2e import door
from s2e.door import parse_job
from s2e.parts import KINDS, Recommended
from s2e.words import EarlierTrials, JobSpec, to_json

ROOT = Path(__file__).resolve().parents[1]
Graph = Mapping[str, frozenset[str]]
FORBIDDEN = {
    "s2e/words": {"s2e.parts", "s2e.door", "s2e.jobs", "s2e.search", "s2e.data", "s2e.methods", "numpy", "torch"},
    "s2e/parts": {"s2e.door", "s2e.jobs", "s2e.search", "s2e.methods", "s2e.networks", "s2e.data", "numpy", "torch"},
    "s2e/door": {"s2e.jobs", "s2e.train", "torch", "workers", "service"},
    "s2e/jobs": {"s2e.train", "torch", "workers", "service"},
    "s2e/search": {"torch", "torchvision", "workers", "service", "ray", "sqlalchemy"},
    "s2e": {"workers", "service", "ray", "sqlalchemy", "fastapi", "httpx", "pydantic"},
    "workers": {"service", "sqlalchemy", "fastapi"},
    "service/store": {"fastapi", "ray", "torch", "workers.ray_backend"},
    "service/api/routes": {"sqlalchemy.orm.Query", "ray", "torch"},
}
OWN_LIBRARIES = {"s2e/client", "s2e/ecosystem"}
"""Adapters: each imports the library it adapts."""


def modules_of(*packages: str) -> dict[str, Path]:
    """Every module of some packages, by its dotted name."""
    paths = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    return {_dotted(path.relative_to(ROOT)): path for path in paths}


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path: Path) -> Iterator[str]:
    """Modules that a file imports, anywhere in it: ``import a.b`` gives a.b; ``from a import b`` gives a and a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_graph(*packages: str) -> Graph:
    """Module -> modules of these packages that it imports. An import runs the ``__init__`` of every package around
    the module, which counts where the importer is not in that package itself."""
    modules = modules_of(*packages)
    return {name: frozenset(_edges(name, path, modules)) for name, path in modules.items()}


def _edges(name: str, path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    names = set(imported_names(path)) & modules.keys()
    # "from a import b" asks for the module a.b where there is one, and not for what else a/__init__ gives out
    names -= {imported.rpartition(".")[0] for imported in names}
    for imported in names:
        yield from {imported, *_packages_of(imported)} - _packages_of(name) - {name}


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


def test_the_graph_sees_a_circle() -> None:
    graph = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"a"}), "d": frozenset({"a"})}
    assert circles(graph) == [["a", "b", "c"]]


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_no_arrow_points_back(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = {
        (str(path.relative_to(ROOT)), name)
        for path in files
        if not any(path.is_relative_to(ROOT / own) for own in OWN_LIBRARIES)
        for name in imported_names(path)
        for banned in FORBIDDEN[folder]
        if name == banned or name.startswith(banned + ".")
    }
    assert not wrong


@pytest.mark.parametrize("packages", [("s2e",), ("s2e", "workers"), ("s2e", "workers", "service")], ids="+".join)
def test_no_modules_import_each_other(packages: tuple[str, ...]) -> None:
    assert circles(import_graph(*packages)) == []


EVIDENCE = {"em", "choice", "evidence", "free", "given", "kept"}
"""The lower storey of ``s2e/labels``: what a training leaves about labels, its files, and the likelihood of labels
under a matrix, in numpy alone. Training writes it; the upper storey, which estimates noise, trains networks."""


FACES = {"s2e.labels.audit"}
"""Functions for users, kept in the room they are about: they import whatever they need when they are called."""


def room_of(name: str) -> str:
    """The room of a module of s2e: its package or, at the top, the module itself."""
    _, room, *rest = (*name.split("."), "")
    if room == "labels" and (not rest or rest[0] in {"", *EVIDENCE}):
        return "labels, evidence"
    return room


def room_graph(graph: Graph) -> Graph:
    """Room -> other rooms that its modules import."""
    rooms: dict[str, set[str]] = {room_of(name): set() for name in graph}
    for name, names in graph.items():
        if name in FACES:
            continue
        rooms[room_of(name)] |= {room_of(imported) for imported in names} - {room_of(name)}
    return {room: frozenset(others) for room, others in rooms.items()}


def test_no_rooms_import_each_other() -> None:
    """Upper labels train, train uses methods, and all of them write and read evidence; files lie below them."""
    rooms = room_graph(import_graph("s2e"))
    assert circles(rooms) == []
    assert {"train", "methods", "labels, evidence"} <= reachable(rooms, ["labels"])
    assert not {"labels", "train"} & reachable(rooms, ["methods", "artifacts", "labels, evidence"])


def test_the_evidence_of_labels_needs_no_torch() -> None:
    lower = [path for name, path in modules_of("s2e/labels").items() if room_of(name) == "labels, evidence"]
    assert len(lower) == len(EVIDENCE) + 1
    numpy_alone = [path for path in lower if path.stem != "given"]  # which reads the job's data
    libraries = {name.partition(".")[0] for path in numpy_alone for name in imported_names(path)}
    assert not libraries & {"torch", "torchvision", "sklearn"}


def test_the_vocabulary_imports_nothing_but_itself_and_the_standard_library() -> None:
    names = {name for path in modules_of("s2e/words").values() for name in imported_names(path)}
    foreign = {name for name in names if not name.startswith("s2e.words")}
    assert {name.partition(".")[0] for name in foreign} <= set(sys.stdlib_module_names)


def test_the_search_rules_need_the_vocabulary_and_the_schedule_only() -> None:
    """Their declarations alone look further, to be registered."""
    graph = {name: names for name, names in import_graph("s2e").items() if name.startswith("s2e.search")}
    outside = {
        (name, imported)
        for name, names in graph.items()
        for imported in names
        if not imported.startswith(("s2e.search", "s2e.words")) and imported not in ("s2e", "s2e.schedule")
    }
    declared = {"s2e.search.declared.searchers", "s2e.search.declared.spaces"}
    assert outside == {(name, "s2e.parts") for name in declared}


def test_the_search_rules_reach_no_torch() -> None:
    modules = modules_of("s2e")
    below = reachable(import_graph("s2e"), [name for name in modules if name.startswith("s2e.search")])
    libraries = {name.partition(".")[0] for module in below for name in imported_names(modules[module])}
    assert not libraries & {"torch", "torchvision", "ray", "sqlalchemy"}


@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("s2e", {"numpy", "httpx", "rich"}),
        ("s2e.client", {"numpy", "scipy", "pydantic", "service", "workers", "torch"}),
        (
            "service.api.app",
            {"torch", "ray", "torchvision", "sklearn", "optuna", "cmaes", "scipy.stats", "scipy.optimize"},
        ),
        (
            "service.cli.main",
            {"torch", "ray", "torchvision", "sklearn", "sqlalchemy", "fastapi", "pydantic", "uvicorn"},
        ),
        ("s2e.jobs.loop", {"torch", "ray", "sqlalchemy", "optuna", "cmaes"}),
    ],
)
def test_importing_stays_light(module: str, banned: set[str]) -> None:
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not banned & set(done.stdout.split())


HEAVY = {"torch", "ray", "torchvision", "sklearn", "sqlalchemy", "fastapi", "uvicorn", "scipy", "numpy"}
"""Of a command's own; newer releases of typer use pydantic to read arguments."""


@pytest.mark.parametrize(
    ("arguments", "banned"),
    [
        (
            "--help",
            {*HEAVY, "httpx", "rich.progress", "s2e.words", "s2e.client", "s2e.parts", "s2e.door", "service.api"},
        ),
        ("submit --help", {*HEAVY, "httpx", "s2e.words", "s2e.client", "s2e.parts"}),
        ("keys --help", {*HEAVY, "s2e.parts"}),
        ("jobs --url http://127.0.0.1:9", {*HEAVY, "s2e.parts", "s2e.door", "s2e.jobs"}),
        ("list methods", {*HEAVY, "httpx", "s2e.door", "s2e.train"}),
    ],
)
def test_a_command_imports_what_it_needs_only(arguments: str, banned: set[str]) -> None:
    """The parser knows every command and imports none of what they do."""
    code = f"""
import sys
from service.cli.main import main
try:
    main({arguments.split()!r})
except SystemExit:
    pass
print("--", *sys.modules, sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not banned & set(done.stdout.rpartition("--\n")[2].split())


def test_a_trainer_starts_without_what_it_does_not_use() -> None:
    """torch._dynamo (by any of torch's optimisers), sympy (by Module.to_empty) and scikit-learn with pandas (by its
    digits) took more than half of a training process's start."""
    code = """
import sys
from s2e.door import parse_job
from s2e.jobs import loop
from s2e.train.trial import train_population
spec = parse_job({"data": {"n_train": 128}, "train": {"n_epochs": 2}, "plan": {"step": "torch"}})
list(train_population(loop.populations(spec, loop.next_round(spec, ()))[0]))
print("--", *sys.modules, sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = {"torch._dynamo", "torch._inductor", "sympy", "sklearn", "pandas", "torchvision", "scipy.stats"}
    heavy |= {"ray", "sqlalchemy", "pydantic", "fastapi", "safetensors"}
    assert not heavy & set(done.stdout.rpartition("--\n")[2].split())


# --- the walk of a submitted job --------------------------------------------------------------------------------------


class Jobs:
    """Two other jobs, as a service would look them up."""

    def report_of(self, job_id: str) -> Recommended | None:
        return Recommended("coteaching", (1.0,) * 40, {}) if job_id == "search" else None

    def trials_of(self, job_id: str) -> EarlierTrials | None:
        return EarlierTrials(job_id, "single1", {}, ((0.5,) * 4,), (0.3,)) if job_id == "earlier" else None


BODIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "protocol": {"protocol": "elr", "data": {"name": "cifar10"}},
    "warm": {"search": {"space": "single1", "warm_start": ["earlier"]}},
    "compare": {
        "kind": "compare",
        "compare": {"entries": [{"method": "coteaching", "schedule": {"kind": "job", "job": "search"}}]},
    },
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_parsed_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it names: the schedule of a search, the trials of earlier jobs, a protocol."""
    parsed: list[type] = []
    parse = door.job.parse

    def counting(cls: type, *arguments: Any) -> Any:
        parsed.append(cls)
        return parse(cls, *arguments)

    monkeypatch.setattr(door.job, "parse", counting)
    monkeypatch.setattr("s2e.words.fields.parse", counting)
    spec = parse_job(BODIES[name], Jobs())
    assert parsed.count(JobSpec) == 1
    assert parse_job(to_json(spec)) == spec


def test_a_submission_walks_down_only() -> None:
    """From the use case to the door, to parts and words: nobody on the way knows who called."""
    graph = import_graph("s2e", "workers", "service")
    below = reachable(graph, ["s2e.door", "s2e.jobs.kinds.search", "s2e.jobs.kinds.compare"])
    assert not {name for name in below if name.startswith(("service", "workers", "s2e.train", "s2e.client"))}
    assert _function("service/api/jobs.py", "submit").count("parse_job(") == 1


def _function(path: str, name: str) -> str:
    text = (ROOT / path).read_text(encoding="utf-8")
    (node,) = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.name == name]
    return ast.get_source_segment(text, node) or ""


# --- a kind of job is one object --------------------------------------------------------------------------------------


def kinds_named(source: str) -> Iterator[int]:
    """Lines that compare the kind of a job with a name; rounds, events and noise have kinds of their own."""
    for node in ast.walk(ast.parse(source)):
        sides: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            sides = [node.subject, *(n.value for case in node.cases for n in ast.walk(case) if _is_pattern(n))]
        if any(map(_is_kind_of_job, sides)) and any(_texts(side) & set(KINDS) for side in sides):
            yield node.lineno


def _is_pattern(node: ast.AST) -> TypeGuard[ast.MatchValue]:
    return isinstance(node, ast.MatchValue)


def _texts(node: ast.AST) -> set[str]:
    """The text that a literal is, or the texts in a literal collection."""
    elements = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    return {element.value for element in elements if isinstance(element, ast.Constant) and type(element.value) is str}


KIND_OF_JOB = re.compile(r"(?<!round_)(?<!round)(?<!record)(?:^kind|\.kind|\['kind'\]|\.get\('kind'.*\))$")


def _is_kind_of_job(node: ast.AST) -> bool:
    return KIND_OF_JOB.search(ast.unparse(node)) is not None


def test_a_branch_on_the_kind_of_a_job_is_seen() -> None:
    lines = [
        'spec.kind == "search"',
        'spec["kind"] != "auto"',
        'self.job.spec.get("kind", "search") in ("compare", "auto")',
        '"compare" == kind',
        "match spec.kind:\n    case 'auto': pass",
    ]
    others = ['round_.kind == "compare"', 'record.round.kind == "search"', 'noise.kind == "none"', "spec.kind != kind"]
    assert all(len(list(kinds_named(line))) == 1 for line in lines)
    assert not [line for line in others if list(kinds_named(line))]


def test_only_the_kinds_themselves_know_their_names() -> None:
    """A difference between kinds is a method or a fact of :class:`s2e.parts.JobKind`, and what a face shows of it is
    part of the job that the API answers."""
    paths = [path for path in modules_of("s2e", "workers", "service").values() if path.parent.name != "kinds"]
    branches = [f"{path.relative_to(ROOT)}:{n}" for path in paths for n in kinds_named(path.read_text("utf-8"))]
    scripts = sorted((ROOT / "service" / "dashboard").glob("*.js"))
    named = "|".join(KINDS)
    in_scripts = re.compile(rf'\.kind\s*[!=]==?\s*"(?:{named})"|"(?:{named})"\s*[!=]==?[\w.\s]*\.kind\b')
    branches += [path.name for path in scripts if in_scripts.search(path.read_text("utf-8"))]
    assert scripts
    assert branches == []


def test_nothing_names_a_machine() -> None:
    """No path of one machine, and no unfinished marker, in what is committed."""
    words = ["/" + "work/", "/" + "root/", "TO" + "DO", "FIX" + "ME"]
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=False, cwd=ROOT).stdout.split()
    texts = [p for p in listed if p.endswith((".py", ".md", ".toml", ".yaml", ".js", ".html", ".sh", "Makefile"))]
    assert not [(p, w) for p in texts if "vendor/" not in p for w in words if w in (ROOT / p).read_text()]


SUSPECT = re.compile(r"\bfound\b|\"\"\"\s*(What|Which|Whether|How)\s")
"""Files without a match need no parsing."""


def bad_words(source: str) -> Iterator[str]:
    """Docstrings that open with a question word, and variables named ``found``: the style section of CONTRIBUTING."""
    for node in ast.walk(ast.parse(source)) if SUSPECT.search(source) else ():
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))) if SUSPECT.match(f'"""{text}'):
                yield f"{node.lineno}: {text.strip()[:60]}"
            case ast.Name(id="found") | ast.arg(arg="found"):
                yield f"{node.lineno}: found"


def test_bad_words_are_seen() -> None:
    source = 'def f(found):\n    """Whether it is."""\nx = 1\n"""Which one."""\ny = [found for found in z]\n'
    assert sorted(line.partition(":")[0] for line in bad_words(source)) == ["1", "2", "4", "5", "5"]
    assert not list(bad_words('def f(rows):\n    """True if it was found, which it should be."""\n'))


@pytest.mark.parametrize("folder", ["s2e", "service", "workers", "tests", "benchmarks", "examples", "migrations"])
def test_docstrings_open_with_a_noun_or_a_verb_and_names_say_what_they_hold(folder: str) -> None:
    texts = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in (ROOT / folder).rglob("*.py")}
    assert not [f"{path}:{line}" for path, text in texts.items() for line in bad_words(text)]
