"""The real service under one fault of nearly every kind: `make chaos` in short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.chaos.faults import FAULTS

pytestmark = [
    pytest.mark.ray,
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.xdist_group("ray"),
    pytest.mark.timeout(600),
]
N_FAULTS = 8


def test_faults_of_many_kinds_change_nothing() -> None:
    root = Path(__file__).parents[2]
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("S2E_", "RAY_"))}
    command = [sys.executable, "-m", "benchmarks.chaos", "--short", "--faults", str(N_FAULTS), "--seed", "1"]
    ran = subprocess.run(command, cwd=root, env=ours, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    told = json.loads(ran.stdout)
    assert told["violations"] == []
    assert told["faults"] == N_FAULTS
    kinds = [kind for kind in told["recovery_s"] if kind != "all"]
    assert len(kinds) == N_FAULTS
    assert set(kinds) <= {fault.name for fault in FAULTS}
