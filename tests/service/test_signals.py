"""A signal ends a process whatever its main thread does."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import random, signal, threading
from service.signals import set_by_signals

stop = threading.Event()
set_by_signals(stop)
signal.signal(signal.SIGALRM, signal.getsignal(signal.SIGTERM))
for _ in range(3000):
    signal.setitimer(signal.ITIMER_REAL, 1e-5 + 2e-4 * random.random())
    while not stop.wait(1e-7):
        pass
    stop.clear()
print("over")
"""


def test_a_signal_in_the_middle_of_a_wait_does_not_wait_for_itself() -> None:
    """Thousands of times, by a timer: were the event set by the handler itself, its lock would soon be in the way."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60)
    assert done.stdout == "over\n", done.stderr
