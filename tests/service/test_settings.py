"""Settings: places, refusals, and secrets that are never shown; and the backend they choose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.dispatch.backends import make_backend
from service.settings import Settings

RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"


def test_everything_lies_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2E_HOME", str(tmp_path))
    settings = Settings()
    assert settings.database_url == f"sqlite:///{tmp_path / 's2e.db'}"
    assert settings.artifact_root == tmp_path / "artifacts"
    assert (settings.host, settings.port, settings.data_root) == ("127.0.0.1", 8642, None)


def test_each_place_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2E_DATABASE_URL", "postgresql://db/s2e")
    monkeypatch.setenv("S2E_ARTIFACT_ROOT", str(tmp_path / "files"))
    monkeypatch.setenv("S2E_DATA_ROOT", str(tmp_path / "data"))
    settings = Settings(home=tmp_path)
    assert settings.database_url == "postgresql://db/s2e"
    assert settings.artifact_root == tmp_path / "files"
    assert settings.data_root == tmp_path / "data"


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2E_DATABASE_URL", "postgresql://s2e:hunter2@db/s2e")
    monkeypatch.setenv("S2E_API_KEY", "swordfish")
    settings = Settings()
    assert "hunter2" not in f"{settings!r} {settings}"
    assert "swordfish" not in f"{settings!r} {settings}"


@pytest.mark.parametrize(("name", "value"), [("S2E_BACKEND", "cloud"), ("S2E_LEASE_S", "0"), ("S2E_PORT", "99999")])
def test_bad_settings_are_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("S2E_API_KEY", "swordfish")
    with pytest.raises(ValidationError, match=name.removeprefix("S2E_").lower()) as caught:
        Settings()
    assert "swordfish" not in str(caught.value)


def test_the_inline_backend_is_ready_to_train(tmp_path: Path) -> None:
    backend = make_backend(Settings(home=tmp_path, backend="inline"))
    assert backend.running() == frozenset()
    assert len(backend.workers()) == 1
    backend.close()


def test_the_runbook_lists_every_setting_with_its_default() -> None:
    table = RUNBOOK.read_text(encoding="utf-8").partition("## Settings")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `S2E_")]
    told = {
        name: default.strip("` ")
        for names, defaults in rows
        for name, default in zip(re.findall(r"`S2E_(\w+)`", names), defaults.split("`, `"), strict=True)
    }
    assert set(told) == {name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, bool | int | float) or name in ("host", "home", "backend"):
            assert told[name.upper()] == str(field.default), name
