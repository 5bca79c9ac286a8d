"""The container files, checked without an engine: lint, schema, and that each image installs what it should."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | environment, timeout=60
    )


@pytest.mark.parametrize("image", ["service", "worker"])
def test_dockerfile_has_no_findings(image: str) -> None:
    done = run([str(TOOLS / "hadolint"), f"docker/{image}.Dockerfile"])
    assert (done.returncode, done.stdout) == (0, "")


def test_compose_file_is_valid_and_publishes_on_loopback_only() -> None:
    command = [str(TOOLS / "docker-compose"), "-f", "docker/compose.yaml", "config"]
    done = run(command, S2E_POSTGRES_PASSWORD="x", S2E_API_KEY="y" * 32)
    assert done.returncode == 0, done.stderr
    assert "host_ip: 127.0.0.1" in done.stdout


def test_compose_refuses_to_start_without_secrets() -> None:
    done = subprocess.run(
        [str(TOOLS / "docker-compose"), "-f", "docker/compose.yaml", "config", "-q"],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=60,
        env={k: v for k, v in os.environ.items() if not k.startswith("S2E_")},
    )  # fmt: skip
    assert done.returncode != 0
    assert "set a password" in done.stderr


def test_every_copied_path_exists() -> None:
    for image in ("service", "worker"):
        for line in (ROOT / f"docker/{image}.Dockerfile").read_text().splitlines():
            if line.startswith("COPY "):
                assert all((ROOT / source).exists() for source in line.split()[1:-1]), line


def test_install_script_is_plain_shell() -> None:
    shell = shutil.which("dash") or shutil.which("sh")
    assert shell is not None
    assert run([shell, "-n", "docker/install.sh"]).returncode == 0
    assert run([shell, "docker/install.sh", "other"]).returncode == 2
