"""Settings of Ray before it is imported."""

from __future__ import annotations

import os
import sys

import pytest

from workers.ray_start import set_environment

NAMES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_USAGE_STATS_ENABLED")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray not yet imported, none of its settings made; everything put back afterwards."""
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.setattr(os, "environ", {k: v for k, v in os.environ.items() if k not in NAMES})


def test_a_cluster_of_our_own_gets_a_fresh_secret_token_and_reports_to_nobody() -> None:
    set_environment(None)
    first = os.environ.pop("RAY_AUTH_TOKEN")
    set_environment(None)
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert len(first) == 64
    assert os.environ["RAY_AUTH_TOKEN"] != first


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ({}, "disabled"),
        ({"RAY_AUTH_TOKEN_PATH": "/run/secrets/ray"}, "token"),
        ({"RAY_AUTH_TOKEN": "x"}, "token"),
        ({"RAY_AUTH_TOKEN": "x", "RAY_AUTH_MODE": "disabled"}, "disabled"),
    ],
)
def test_joining_a_cluster_uses_its_token_and_invents_none(given: dict[str, str], mode: str) -> None:
    os.environ.update(given)
    set_environment("head:6399")
    assert os.environ["RAY_AUTH_MODE"] == mode
    assert os.environ.get("RAY_AUTH_TOKEN") == given.get("RAY_AUTH_TOKEN")


def test_once_ray_is_imported_its_mode_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", sys)
    set_environment(None)
    assert "RAY_AUTH_MODE" not in os.environ
