"""Parts of another package: found by entry point, used like our own; what is broken is named and harms no other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from s2e.methods.declared.selection import CoTeaching

GOOD = '''
from s2e.parts import *

@method("quiet", rule="outside.rules:Quiet", scheduled=True)
class Quiet(MethodPart):
    """A method of another package."""
    volume: float = param(0.5, ge=0, le=1, doc="how loud")
    def check(self, job):
        from s2e.words import Problem
        if self.volume == 0:
            raise RuntimeError("deaf")
        too_loud = job.data.noise.kind == "pair" and self.volume == 1
        return [Problem("train.params.volume", 1.0, "less, for pair noise")] if too_loud else []

@network("tube", module="outside.rules:Tube", min_size=9)
class Tube(NetworkPart):
    """A network of another package."""
    width: int = param(3, ge=1, le=9, doc="of each layer")

@dataset("blobs", load="outside.data:load")
class Blobs(DatasetPart):
    """Points around centres, of a shape that only reading tells."""
    spread: float = param(1.0, gt=0, doc="standard deviation")

@searcher("walk", rule="outside.search:Walk", min_trials=2)
class Walk(SearcherPart):
    """A random walk."""
    length: float = param(0.1, gt=0, le=1, doc="of one step")

@space("line", at="outside.search:LINE")
class Line(SpacePart):
    """One number."""

@method("coteaching", rule="outside.rules:Mine")
class Mine(MethodPart):
    """A name that is taken."""

@method("no_default", rule="outside.rules:Mine")
class NoDefault(MethodPart):
    """A parameter without a default."""
    strength: float = param(ge=0, doc="of it")

@method("out_of_range", rule="outside.rules:Mine")
class OutOfRange(MethodPart):
    """A default that its own rule forbids."""
    strength: float = param(2.0, le=1, doc="of it")

@method("no_doc", rule="outside.rules:Mine")
class NoDoc(MethodPart):
    """A field that is not made with param."""
    strength: float = 2.0

@method("no_target", rule="outside")
class NoTarget(MethodPart):
    """No place of an implementation."""

@method("no_module", rule="outside.nowhere:Mine")
class NoModule(MethodPart):
    """An implementation in no module."""

@method("other_name", rule="outside.rules:Mine")
class Renamed(MethodPart):
    """Called otherwise by its entry point."""

@method("silent", rule="outside.rules:Mine")
class Silent(MethodPart):
    pass

@method("own_word", rule="outside.rules:Mine")
class OwnWord(MethodPart):
    """A parameter that hides a word of every method."""
    scheduled: bool = param(True, doc="hidden")

@method("quits_check", rule="outside.rules:Quiet")
class QuitsCheck(MethodPart):
    """A check that ends the process."""
    def check(self, job):
        raise SystemExit(4)

@method("picky", rule="outside.rules:Quiet")
class Picky(MethodPart):
    """Settings that refuse themselves."""
    side: int = param(2, doc="of a square")
    def __post_init__(self):
        if self.side % 2:
            raise ValueError("an odd side")

@method("unsuited", rule="outside.rules:Quiet")
class Unsuited(MethodPart):
    """A candidate that fails when it is asked if it suits the data."""
    candidate = True
    def suits(self, data):
        raise RuntimeError("no idea")

@dataset("shapeless", load="outside.data:load")
class Shapeless(DatasetPart):
    """A shape that cannot be told."""
    @classmethod
    def shape_of(cls, data):
        raise RuntimeError("round")

@dataset("wordy", load="outside.data:load")
class Wordy(DatasetPart):
    """A shape that is none."""
    @classmethod
    def shape_of(cls, data):
        return "28x28"

@method("bad_needs", rule="outside.rules:Mine", needs=5)
class BadNeeds(MethodPart):
    """Needs that are no names."""

@method("text_needs", rule="outside.rules:Mine", needs="clean")
class TextNeeds(MethodPart):
    """Needs that are letters."""

@method("bad_candidate", rule="outside.rules:Mine")
class BadCandidate(MethodPart):
    """A fact of its own class body, of another type."""
    candidate = "often"

@method("bad_notes", rule="outside.rules:Mine")
class BadNotes(MethodPart):
    """Notes that fail."""
    @classmethod
    def notes(cls):
        raise RuntimeError("no pencil")

@method("odd_notes", rule="outside.rules:Mine")
class OddNotes(MethodPart):
    """Notes that are none."""
    @classmethod
    def notes(cls):
        return 7

@network("bad_size", module="outside.rules:Tube", min_size="big")
class BadSize(NetworkPart):
    """A size that is no number."""

@searcher("bad_trials", rule="outside.search:Walk", min_trials="two")
class BadTrials(SearcherPart):
    """A number of trials that is no number."""

@dataset("bad_shape", load="outside.data:load", shape=("many",))
class BadShape(DatasetPart):
    """A shape that is no numbers."""

@dataset("bad_fact", load="outside.data:load", colour="red")
class BadFact(DatasetPart):
    """A fact that no data set has."""

class Odd(type):
    def __setattr__(cls, name, value):
        raise SystemExit(5)

@space("bad_class", at="outside.search:LINE")
class BadClass(SpacePart, metaclass=Odd):
    """A class that cannot be given its facts."""

class Plain:
    """Not declared at all."""

@network("a_method", module="outside.rules:Tube")
class NotANetwork(MethodPart):
    """Declared as the wrong kind."""
'''
SEARCH = """
from s2e.search.random_search import RandomSearch
from s2e.search.spaces import SINGLE1 as LINE

class Walk(RandomSearch):
    def __init__(self, space, seed, n_epochs, length):
        super().__init__(space, seed, n_epochs)
        self.length = length

    def plan(self, n_rounds, n_trials):
        if self.length == 1:
            raise RuntimeError("walked off")
        return super().plan(n_rounds, n_trials)
"""
POINTS = {
    "s2e.methods": {
        "quiet": "outside.parts:Quiet",
        "coteaching": "outside.parts:Mine",
        "no_default": "outside.parts:NoDefault",
        "out_of_range": "outside.parts:OutOfRange",
        "no_doc": "outside.parts:NoDoc",
        "no_target": "outside.parts:NoTarget",
        "no_module": "outside.parts:NoModule",
        "renamed": "outside.parts:Renamed",
        "silent": "outside.parts:Silent",
        "own_word": "outside.parts:OwnWord",
        "plain": "outside.parts:Plain",
        "missing": "outside.parts:Missing",
        "no_import": "outside.broken:Quiet",
        "quits": "outside.quits:Quiet",
        "quits_check": "outside.parts:QuitsCheck",
        "picky": "outside.parts:Picky",
        "unsuited": "outside.parts:Unsuited",
        "bad_needs": "outside.parts:BadNeeds",
        "text_needs": "outside.parts:TextNeeds",
        "bad_candidate": "outside.parts:BadCandidate",
        "bad_notes": "outside.parts:BadNotes",
        "odd_notes": "outside.parts:OddNotes",
    },
    "s2e.networks": {
        "tube": "outside.parts:Tube",
        "a_method": "outside.parts:NotANetwork",
        "bad_size": "outside.parts:BadSize",
    },
    "s2e.datasets": {
        "blobs": "outside.parts:Blobs",
        "shapeless": "outside.parts:Shapeless",
        "wordy": "outside.parts:Wordy",
        "bad_shape": "outside.parts:BadShape",
        "bad_fact": "outside.parts:BadFact",
    },
    "s2e.searchers": {"walk": "outside.parts:Walk", "bad_trials": "outside.parts:BadTrials"},
    "s2e.spaces": {"line": "outside.parts:Line", "bad_class": "outside.parts:BadClass"},
}
ASK = """
import json, logging, sys
logging.basicConfig(stream=sys.stderr, format="%(name)s %(message)s")
from s2e.door import parse_job
from s2e.jobs.loop import next_round
from s2e.parts import *
from s2e.words import SpecError, to_json

def asked(job):
    try:
        return to_json(parse_job(job))
    except SpecError as error:
        return {problem.field: problem.allowed for problem in error.problems}

jobs = json.loads(sys.argv[1])
state = {
    "listing": {kind: [to_json(one) for one in names] for kind, names in listing().items()},
    "broken": {kind: registry.broken for kind, registry in REGISTRIES.items()},
    "jobs": {name: asked(job) for name, job in jobs.items()},
    "round": len(next_round(parse_job(jobs["searched"]), []).trials),
    "heavy": sorted({"torch", "ray"} & set(sys.modules)),
}
print(json.dumps(state))
"""
SERVE = """
import json, pathlib, sys
from fastapi.testclient import TestClient
from service.api.app import create_app
from service.settings import Settings
from service.store.models import Base

app = create_app(Settings(home=pathlib.Path(sys.argv[1])))
Base.metadata.create_all(app.state.database.engine)
http = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
answers = {path: http.get(f"/api/v1/{path}").status_code for path in ("methods", "networks", "datasets", "searchers")}
for name, job in json.loads(sys.argv[2]).items():
    answers[name] = http.post("/api/v1/jobs", json=job).status_code
print(json.dumps(answers))
"""
SEARCHED = {"search": {"searcher": "walk", "space": "line", "n_trials": 3}}
JOBS: dict[str, Any] = {
    "all": {
        "data": {"name": "blobs", "params": {"spread": 2}},
        "train": {"method": "quiet", "network": "tube", "network_params": {"width": 4}},
        "search": {**SEARCHED["search"], "params": {"length": 0.5}},
    },
    "searched": SEARCHED,
    "out_of_range": {"train": {"method": "quiet", "params": {"volume": 2}}},
    "own_rule": {
        "data": {"noise": {"kind": "pair", "noise_rate": 0.4}},
        "train": {"method": "quiet", "params": {"volume": 1}},
    },
    "check_fails": {"train": {"method": "quiet", "params": {"volume": 0}}},
    "too_small": {"train": {"network": "tube"}},
    "unknown_setting": {**SEARCHED, "data": {"params": {"spread": 1}}},
    "broken": {"train": {"method": "no_import"}},
    "taken": {"train": {"method": "coteaching"}},
    "by_path": {"train": {"method": "outside.rules:Quiet"}},
    "cannot_plan": {"search": {**SEARCHED["search"], "params": {"length": 1}}},
    "quits_check": {"train": {"method": "quits_check"}},
    "picky": {"train": {"method": "picky", "params": {"side": 3}}},
    "shapeless": {"data": {"name": "shapeless"}},
    "shapeless_augmented": {"data": {"name": "shapeless"}, "train": {"augment": "crop_flip"}},
    "wordy": {"data": {"name": "wordy"}},
    "neighbour": {"train": {"network": "model1"}},
    "one_trial": {"search": {**SEARCHED["search"], "n_trials": 1}},
}


def install(folder: Path, name: str, version: str, points: dict[str, dict[str, str]]) -> None:
    """Write what an installer leaves of a package: its metadata and its entry points."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    sections = ("\n".join([f"[{group}]", *(f"{n} = {o}" for n, o in names.items())]) for group, names in points.items())
    (info / "entry_points.txt").write_text("\n".join(sections))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A folder of installed packages that stand beside ours."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "outside").mkdir()
    files = {"__init__": "", "parts": GOOD, "search": SEARCH, "rules": "import torch", "data": "import torch"}
    files |= {"broken": "import a_package_that_is_not_there", "quits": "raise SystemExit(3)"}
    for name, text in files.items():
        (folder / "outside" / f"{name}.py").write_text(text)
    install(folder, "outside-parts", "1.2", POINTS)
    install(folder, "z-late", "3", {"s2e.methods": {"quiet": "zlate:Quiet"}})
    (folder / "zlate.py").write_text(GOOD.partition("@network")[0])
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH"), str(Path.cwd())])])
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture(scope="module")
def seen(environment: dict[str, str]) -> dict[str, Any]:
    """Every part and the fate of some jobs, as a process beside these packages sees them."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(JOBS)], capture_output=True, text=True, check=True, env=environment
    )
    return {**json.loads(done.stdout), "log": done.stderr}


def listed(seen: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    (part,) = [one for one in seen["listing"][kind] if one["name"] == name and not one["broken"]]
    return dict(part)


def test_parts_of_another_package_are_listed_with_their_origin(seen: dict[str, Any]) -> None:
    kinds = {"methods": "quiet", "networks": "tube", "datasets": "blobs", "searchers": "walk", "spaces": "line"}
    for kind, name in kinds.items():
        part = listed(seen, kind, name)
        assert (part["package"], part["version"]) == ("outside-parts", "1.2")
    quiet = listed(seen, "methods", "quiet")
    assert quiet["summary"] == "A method of another package."
    assert quiet["settings"] == [
        {"name": "volume", "default": 0.5, "allowed": "a finite number, >= 0 and <= 1", "doc": "how loud"}
    ]
    assert listed(seen, "methods", "coteaching")["package"] == "s2e"


def test_declaring_a_part_imports_no_implementation(seen: dict[str, Any]) -> None:
    assert seen["heavy"] == []


def test_a_job_uses_them_like_our_own(seen: dict[str, Any]) -> None:
    job = seen["jobs"]["all"]
    assert job["data"]["params"] == {"spread": 2.0}
    assert (job["train"]["params"], job["train"]["network_params"]) == ({"volume": 0.5}, {"width": 4})
    assert job["search"]["params"] == {"length": 0.5}
    assert seen["round"] == 3


@pytest.mark.parametrize(
    ("job", "field", "allowed"),
    [
        ("out_of_range", "train.params.volume", "<= 1"),
        ("own_rule", "train.params.volume", "less, for pair noise"),
        ("check_fails", "train.method", "one whose check works: RuntimeError: deaf"),
        ("quits_check", "train.method", "one whose check works: SystemExit: 4"),
        ("picky", "train.params", "one that takes these settings: ValueError: an odd side"),
        ("shapeless", "data.name", "one whose shape_of works: RuntimeError: round"),
        ("shapeless_augmented", "data.name", "one whose shape_of works: RuntimeError: round"),
        ("wordy", "data.name", "one whose shape_of works: TypeError: '28x28' is not a shape"),
        ("neighbour", "train.network", "for images of 8x8 pixels: model1 needs images of"),
        ("too_small", "train.network", "tube needs images of 9x9"),
        ("unknown_setting", "data.params.spread", "unknown field; known: none"),
        ("one_trial", "search.n_trials", ">= 2 for searcher walk"),
        ("cannot_plan", "search.searcher", "one that can plan this search: RuntimeError: walked off"),
        ("by_path", "train.method", "one of "),
        (
            "broken",
            "train.method",
            "; no_import cannot be used: ModuleNotFoundError: No module named 'a_package_that_is_not_there' "
            "(outside-parts 1.2)",
        ),
    ],
)
def test_a_refusal_names_the_field_and_the_reason(seen: dict[str, Any], job: str, field: str, allowed: str) -> None:
    assert allowed in seen["jobs"][job][field]


def test_a_taken_name_stays_whose_it_was(seen: dict[str, Any]) -> None:
    assert seen["jobs"]["taken"]["train"]["params"] == CoTeaching().settings()
    assert seen["broken"]["methods"]["coteaching"].startswith("the name is taken by s2e ")
    assert seen["broken"]["methods"]["quiet"] == "the name is taken by outside-parts 1.2 (z-late 3)"


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("methods", "no_default", "parameter strength has no default"),
        ("methods", "out_of_range", "a default out of its range: out_of_range.strength = 2.0"),
        ("methods", "no_doc", "parameter strength is not made with param"),
        ("methods", "no_target", "no target: 'outside' is not 'package.module:attribute'"),
        ("methods", "no_module", "its target outside.nowhere:Mine is in no module outside.nowhere"),
        ("methods", "renamed", "declares 'other_name', but its entry point is called 'renamed'"),
        ("methods", "silent", "no docstring"),
        ("methods", "own_word", "parameter scheduled has a name that every MethodPart uses itself"),
        ("methods", "plain", "outside.parts:Plain is not a declared MethodPart"),
        ("methods", "missing", "AttributeError"),
        ("methods", "quits", "SystemExit: 3"),
        ("networks", "a_method", "not a NetworkPart"),
        ("methods", "bad_needs", "needs = 5 is not frozenset[str]"),
        ("methods", "text_needs", "needs = 'clean' is not frozenset[str]"),
        ("methods", "bad_candidate", "candidate = 'often' is not bool"),
        ("methods", "bad_notes", "its notes() fails: RuntimeError: no pencil"),
        ("methods", "odd_notes", "its notes() gives 7, not a list of texts"),
        ("networks", "bad_size", "min_size = 'big' is not int"),
        ("searchers", "bad_trials", "min_trials = 'two' is not int"),
        ("datasets", "bad_shape", "shape = ('many',) is not tuple[int | None, ...] | None"),
        ("datasets", "bad_fact", "colour is not a fact of a DatasetPart"),
        ("spaces", "bad_class", "SystemExit: 5"),
    ],
)
def test_a_broken_declaration_is_named_with_the_reason(seen: dict[str, Any], kind: str, name: str, reason: str) -> None:
    assert reason in seen["broken"][kind][name]
    assert seen["broken"][kind][name].endswith("(outside-parts 1.2)")
    assert not [one for one in seen["listing"][kind] if one["name"] == name and not one["broken"]]
    assert f"s2e.parts {name} of " in seen["log"]


@pytest.mark.slow
def test_a_service_beside_broken_parts_answers_everybody(environment: dict[str, str], tmp_path: Path) -> None:
    """Nobody's lists and nobody's jobs: those that name no broken part, and those that do."""
    jobs = {name: JOBS[name] for name in ("neighbour", "quits_check", "shapeless", "wordy", "cannot_plan")}
    auto = {"auto": {"kind": "auto"}}
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path), json.dumps({**jobs, **auto})],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    lists = dict.fromkeys(("methods", "networks", "datasets", "searchers"), 200)
    assert json.loads(done.stdout.splitlines()[-1]) == {**lists, **dict.fromkeys(jobs, 422), "auto": 201}


def test_the_command_line_lists_settings_and_what_is_broken(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "service.cli.main", "list", "methods"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert re.search(r"  quiet +A method of another package\. \(outside-parts 1\.2\)", done.stdout)
    assert re.search(r"  standard +Cross entropy on every sample\. \[ignores the schedule\]", done.stdout)
    assert "volume = 0.5 (a finite number, >= 0 and <= 1): how loud" in done.stdout
    assert re.search(r"  quits +BROKEN \(outside-parts 1\.2\): SystemExit: 3", done.stdout)
