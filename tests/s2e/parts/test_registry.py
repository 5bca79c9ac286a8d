"""Parts declared in this process, and what every declaration of our own keeps."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest

from s2e.door import parse_job
from s2e.parts import (
    DATASETS,
    KINDS,
    METHODS,
    NETWORKS,
    REGISTRIES,
    SEARCHERS,
    MethodPart,
    Part,
    listing,
    method,
    param,
)
from s2e.parts.part import missing_module
from s2e.words import SpecError, to_json

PARTS = [
    (kind, name)
    for kind, registry in REGISTRIES.items()
    for name, part in registry.items()
    if isinstance(part, type) and issubclass(part, Part)
]


@pytest.fixture
def cleared() -> Iterator[None]:
    yield
    METHODS.discard("mine")


def declare(default: float = 1.0) -> type[MethodPart]:
    @method("mine", rule="s2e.methods.plain:Standard", per_dataset={"mnist": {"strength": 0.25}})
    class Mine(MethodPart):
        """A method of this session.

        With more to say.
        """

        strength: float = param(default, ge=0, le=9, doc="of it")

    return Mine


@pytest.mark.usefixtures("cleared")
def test_a_part_declared_in_a_session_is_used_at_once() -> None:
    declare()
    assert METHODS["mine"].summary == "A method of this session."
    assert parse_job({"train": {"method": "mine"}}).train.params == {"strength": 1.0}
    mnist = {"data": {"name": "mnist"}, "train": {"method": "mine"}}
    assert parse_job(mnist).train.params == {"strength": 0.25}
    assert str(METHODS.origin("mine")) == __name__.partition(".")[0]


@pytest.mark.usefixtures("cleared")
def test_declaring_it_again_replaces_it() -> None:
    declare()
    again = declare(2.0)
    assert METHODS["mine"] is again
    assert "mine" not in METHODS.broken


@pytest.mark.usefixtures("cleared")
def test_a_declaration_never_raises_but_says_what_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "s2e.parts"):
        declare(10.0)
    assert "a default out of its range: mine.strength = 10.0" in caplog.text
    with pytest.raises(SpecError, match=r"train\.method = 'mine': one of .*; mine cannot be used: a default out of"):
        parse_job({"train": {"method": "mine"}})


@pytest.mark.parametrize(("kind", "name"), PARTS, ids=lambda value: str(value))
def test_every_part_of_ours_says_what_it_is_and_where(kind: str, name: str) -> None:
    part = REGISTRIES[kind][name]
    assert part.summary.endswith(".")
    assert len(part.summary) < 140
    assert missing_module(part.target) == ""
    assert part.of(to_json(part.of({}))) == part.of({})
    assert all(doc for _, _, _, doc in part.field_lines())


@pytest.mark.parametrize(("kind", "name"), PARTS, ids=lambda value: str(value))
def test_every_implementation_is_where_its_declaration_says(kind: str, name: str) -> None:
    module, _, attribute = REGISTRIES[kind][name].target.partition(":")
    assert hasattr(import_module(module), attribute)


def test_nothing_of_ours_is_broken() -> None:
    assert {kind: registry.broken for kind, registry in REGISTRIES.items() if registry.broken} == {}


def test_listing_covers_every_kind_and_every_setting() -> None:
    parts = listing()
    assert set(parts) == set(REGISTRIES)
    named = {kind: {one.name: one for one in names} for kind, names in parts.items()}
    assert set(named["networks"]) == {*NETWORKS.names(), "torchvision:<name>"}
    assert [s.name for s in named["methods"]["sce"].settings] == ["alpha", "beta", "log_zero"]
    assert named["datasets"]["csv"].section == "data.csv"
    assert "label_column" in {s.name for s in named["datasets"]["csv"].settings}
    assert {s.name for s in named["noise"]["matrix"].settings} == {"matrix", "exact_counts"}
    assert set(named["kinds"]) == set(KINDS) == {"auto", "compare", "search"}
    assert set(listing("spaces")) == {"spaces"}


def test_declarations_import_no_torch() -> None:
    code = "import sys; from s2e.parts import listing; listing(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_threads_that_look_together_all_see_everything() -> None:
    code = """
import sys, threading
from s2e.parts import METHODS, SEARCHERS
seen, start = [], threading.Barrier(8)
def look():
    start.wait()
    seen.append((len(METHODS), len(SEARCHERS)))
threads = [threading.Thread(target=look) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(set(seen)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([(len(METHODS), len(SEARCHERS))])


@pytest.mark.parametrize(
    "name", ["torchvision", "torchvision:", "mlp:wide", "nosuch:resnet18", "s2e.networks.mlp:StackedMLP"]
)
def test_a_network_is_found_by_its_name_only(name: str) -> None:
    with pytest.raises(SpecError, match=r"train\.network"):
        NETWORKS.find(name, "train.network")
    with pytest.raises(SpecError, match=r"train\.network"):
        parse_job({"train": {"network": name}})


def test_what_only_reading_tells_is_none() -> None:
    csv = DATASETS["csv"]
    assert (csv.n_train, csv.n_classes, csv.shape, csv.has_images()) == (None, None, (None,), False)
