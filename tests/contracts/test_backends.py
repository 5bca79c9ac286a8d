"""The simulated, the inline and the Ray backend keep the contract of workers/testing.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workers.backend import Event, PopulationKey, PopulationStarted, TrialBackend
from workers.simulated import SimulatedBackend, SimulatedTrial
from workers.testing import BackendContract, collect, key, population


def inline(root: Path, data_root: Path) -> TrialBackend:
    from workers.inline import InlineBackend

    return InlineBackend(root / "inline", data_root)


def on_ray(root: Path, data_root: Path) -> TrialBackend:
    from workers.ray_backend import RayBackend

    return RayBackend(root / "ray", data_root, linger=True)


class TestSimulated(BackendContract):
    trains = False

    @pytest.fixture
    def backend(self) -> TrialBackend:
        return SimulatedBackend(lambda trial: SimulatedTrial.constant(0.5, len(trial.keep_rate)))


class TestInline(BackendContract):
    outlives = False

    @pytest.fixture
    def backend(self, tmp_path: Path, data_root: Path) -> Iterator[TrialBackend]:
        made = inline(tmp_path, data_root)
        yield made
        made.close()


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
class TestRay(BackendContract):
    @pytest.fixture
    def backend(self, ray_cluster: Any, tmp_path: Path, data_root: Path) -> Iterator[TrialBackend]:
        made = on_ray(tmp_path, data_root)
        yield made
        made.close()


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
def test_inline_and_ray_measure_the_same_bit_for_bit(tmp_path: Path, ray_cluster: Any) -> None:
    """Two populations at once on Ray, one after the other here: where a population trains changes no number."""
    seen: dict[str, dict[PopulationKey, list[Event]]] = {}
    for name, make in (("inline", inline), ("ray", on_ray)):
        backend = make(tmp_path, tmp_path / "no-data")
        for group in range(2):
            backend.start(key(group), population(ks=(group, group + 2), n_epochs=4))
        events = [event for event in collect(backend, 2) if not isinstance(event, PopulationStarted)]
        seen[name] = {key(group): [event for event in events if event.key == key(group)] for group in range(2)}
        backend.close()
    assert seen["ray"] == seen["inline"]
    models = [path.relative_to(tmp_path / "inline") for path in (tmp_path / "inline").rglob("*.safetensors")]
    assert len(models) == 4
    for path in models:
        assert (tmp_path / "ray" / path).read_bytes() == (tmp_path / "inline" / path).read_bytes()
