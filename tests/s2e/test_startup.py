"""A process that is soon over does not spend its time on objects that stay."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count() > 100_000))
from s2e.startup import start_quickly
start_quickly()
before = sum(generation["collections"] for generation in gc.get_stats())
made = [[] for _ in range(100_000)]
print(sum(generation["collections"] for generation in gc.get_stats()) - before)
"""


def test_garbage_is_looked_for_seldom_and_not_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    n_collections, frozen = done.stdout.split()
    assert int(n_collections) <= 20  # Python's own setting: 140
    assert frozen == "True"
