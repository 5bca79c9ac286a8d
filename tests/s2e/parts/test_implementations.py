"""Implementations of other packages: given their settings, and held to the type that their kind of part makes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from s2e.data.datasets import load_split, noisy_labels
from s2e.data.transition import noise_rate, pair, true_transition
from s2e.door import parse_job
from s2e.jobs.trials import make_space
from s2e.parts import (
    METHODS,
    NETWORKS,
    REGISTRIES,
    SEARCHERS,
    SPACES,
    DatasetPart,
    MethodPart,
    NetworkPart,
    NoisePart,
    SearcherPart,
    SpacePart,
    dataset,
    listing,
    method,
    network,
    noise,
    param,
    searcher,
    space,
)  # fmt: skip
from s2e.schedule import R_MIN
from s2e.search.distributions import Beta
from s2e.search.space import Space
from s2e.words import EarlierTrials, S2EError, SpecError, to_json


def steep(width: float) -> Space:
    return Space((Beta("tau"),), lambda x, t, n: np.clip(1 - width * x * t / n, R_MIN, 1))


def leaning(n_classes: int, noise_rate: float, lean: float) -> Any:
    return (1 - lean) * np.eye(n_classes) + lean * pair(n_classes, noise_rate)


def nothing(*_: Any, **__: Any) -> None:
    return None


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Parts whose implementations are in a module ``outside``."""
    module = ModuleType("outside")
    module.__dict__.update(steep=steep, leaning=leaning, nothing=nothing, NUMBER=5)
    monkeypatch.setitem(sys.modules, "outside", module)
    before = {kind: set(registry) for kind, registry in REGISTRIES.items()}
    _declare()
    yield
    for kind, registry in REGISTRIES.items():
        for name in set(registry) - before[kind]:
            registry.discard(name)


def _declare() -> None:
    @space("steep", at="outside:steep")
    class Steep(SpacePart):
        """A straight line, as steep as asked for."""

        width: float = param(0.5, gt=0, le=1, doc="most that is left out")

    @noise("leaning", made_by="outside:leaning", uses=("noise_rate",))
    class Leaning(NoisePart):
        """Pair noise of a part of the samples."""

        lean: float = param(0.5, ge=0, le=1, doc="that part")

    for target in ("nothing", "NUMBER"):
        _declare_wrong(target)


def _declare_wrong(target: str) -> None:
    name, at = f"bad_{target.lower()}", f"outside:{target}"
    method(name, rule=at)(type("M", (MethodPart,), {"__doc__": "A method.", "__module__": "outside"}))
    network(name, module=at)(type("N", (NetworkPart,), {"__doc__": "A network.", "__module__": "outside"}))
    dataset(name, load=at)(type("D", (DatasetPart,), {"__doc__": "A data set.", "__module__": "outside"}))
    searcher(name, rule=at)(type("S", (SearcherPart,), {"__doc__": "A searcher.", "__module__": "outside"}))
    space(name, at=at)(type("X", (SpacePart,), {"__doc__": "A space.", "__module__": "outside"}))


def test_a_job_sets_a_space() -> None:
    body = {"search": {"space": "steep", "space_params": {"width": 0.2}}}
    spec = parse_job(body)
    made = make_space(spec)
    assert made.curves(np.full((1, 1), 0.5), 10)[0, -1] == pytest.approx(1 - 0.2 * 0.5 * 9 / 10)
    assert parse_job(to_json(spec)) == spec
    assert parse_job({"search": {"space": "steep"}}).search.space_params == {"width": 0.5}
    (listed,) = [one for one in listing("spaces")["spaces"] if one.name == "steep"]
    assert (listed.section, listed.settings[0].name) == ("search.space_params", "width")


def test_a_job_sets_a_kind_of_noise() -> None:
    spec = parse_job({"data": {"noise": {"kind": "leaning", "noise_rate": 0.4, "params": {"lean": 0.25}}}})
    T = true_transition(spec.data, 10)
    assert T is not None
    assert T[3, 4] == pytest.approx(0.1)
    assert noise_rate(spec.data) == pytest.approx(0.1)
    wrong = noisy_labels(spec.data, 1) != load_split(spec.data).train.labels
    assert 0.07 < wrong.double().mean() < 0.13  # of 1,000 and more labels: 3 standard errors are 0.03
    (listed,) = [one for one in listing("noise")["noise"] if one.name == "leaning"]
    assert [one.name for one in listed.settings] == ["noise_rate", "params.lean"]


@pytest.mark.parametrize(
    ("body", "field", "allowed"),
    [
        ({"search": {"space": "steep", "space_params": {"width": 2}}}, "search.space_params.width", "<= 1"),
        ({"search": {"space_params": {"width": 1}}}, "search.space_params.width", "unknown field; known: none"),
        ({"data": {"noise": {"kind": "leaning", "params": {"lean": 2}}}}, "data.noise.params.lean", "<= 1"),
        ({"data": {"noise": {"params": {"lean": 1}}}}, "data.noise.params.lean", "unknown field; known: none"),
    ],
)
def test_settings_are_checked(body: dict[str, Any], field: str, allowed: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_job(body)
    (problem,) = refused.value.problems
    assert (problem.field, allowed in problem.allowed) == (field, True)


def test_a_search_starts_warm_in_the_same_space_only() -> None:
    earlier = to_json(EarlierTrials("job", "steep", {}, ((0.5,),), (0.3,), space_params={"width": 0.2}))
    search = {"searcher": "model_newton", "space": "steep", "earlier": [earlier]}
    assert parse_job({"search": {**search, "space_params": {"width": 0.2}}}).search.earlier
    with pytest.raises(SpecError, match=r"with the same search\.space_params"):
        parse_job({"search": search})


@pytest.mark.parametrize(
    ("target", "reason"),
    [("nothing", "outside:nothing gives None, not a {}"), ("number", "outside:NUMBER is 5, which cannot be called")],
)
@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("methods", "s2e.methods.base.Method"),
        ("networks", "s2e.networks.base.StackedNetwork"),
        ("datasets", "s2e.data.datasets.Dataset"),
        ("searchers", "s2e.search.base.Searcher"),
    ],
)
def test_an_implementation_of_another_type_is_named(kind: str, wanted: str, target: str, reason: str) -> None:
    name = f"bad_{target}"
    make = {
        "methods": lambda: METHODS[name]().make(),
        "networks": lambda: NETWORKS[name]().make((1, 8, 8), 10),
        "datasets": lambda: load_split(parse_job({"data": {"name": name}, "report": {"tau": 0.1}}).data),
        "searchers": lambda: SEARCHERS[name]().make(SPACES["s2e"]().make(), 0, 5),
    }[kind]
    with pytest.raises(S2EError) as raised:
        make()
    assert f"{name} of outside: {reason.format(wanted)}" in str(raised.value)


def test_a_space_that_is_none_is_named() -> None:
    for name, seen in (("bad_number", "gives 5"), ("bad_nothing", "gives <function nothing")):
        with pytest.raises(
            S2EError, match=rf"search\.space {name} of outside: .*{seen}.* not a s2e.search.space.Space"
        ):
            SPACES[name]().make()


@pytest.mark.parametrize("name", METHODS)
def test_our_own_methods_are_of_their_type(name: str) -> None:
    METHODS[name]().make()
