"""Supervised processes: started again when they die, ended with their parent however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.dispatch import supervisor

ROOT = Path(__file__).parents[2]
PARENT = """
import pathlib, sys
from service.dispatch import supervisor
supervisor.BACK_OFF_S = (0.05,)
command = [sys.executable, "-c", open(sys.argv[1]).read()]
first = supervisor.Child("a", [*command, "a", sys.argv[2]])
if "rests" in sys.argv[3:]:
    first.unwanted = pathlib.Path(sys.argv[2]) / "note"
children = [first, supervisor.Child("b", [*command, "b", sys.argv[2]], needs=first if sys.argv[3:] else None)]
supervisor.supervise(children, say=lambda text: print(text, flush=True), poll_s=0.02)
print("over", flush=True)
"""
CHILD = """
import os, pathlib, sys, time
from service.dispatch.supervisor import end_with_parent
end_with_parent(poll_s=0.02)
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
with (folder / name).open("a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(600)
"""
STUBBORN = """
import signal
from service.dispatch import supervisor
signal.signal(signal.SIGTERM, signal.SIG_IGN)
supervisor.ORPHAN_S = 0.1
"""


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Family:
    """A parent with two children, each of which writes its process id when it starts."""

    def __init__(self, folder: Path, child: str, *more: str) -> None:
        self.folder = folder
        script = folder / "child.py"
        script.write_text(child)
        command = [sys.executable, "-c", PARENT, str(script), str(folder), *more]
        self.parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        until(lambda: self.pids("a") and self.pids("b"))

    def pids(self, name: str) -> list[int]:
        path = self.folder / name
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def all_pids(self) -> list[int]:
        return self.pids("a") + self.pids("b")


@pytest.fixture
def family(tmp_path: Path) -> Family:
    return Family(tmp_path, CHILD)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_dead_child_starts_again_and_a_signal_ends_all(family: Family, number: signal.Signals) -> None:
    first = family.pids("a")[0]
    os.kill(first, signal.SIGKILL)
    until(lambda: len(family.pids("a")) == 2)
    family.parent.send_signal(number)
    printed, _ = family.parent.communicate(timeout=30)
    assert family.parent.returncode == 0
    assert printed == "a ended with code -9; it starts again in 0.05 s\nover\n"
    assert len(family.pids("b")) == 1
    assert not any(map(alive, family.all_pids()))


@pytest.mark.parametrize("child", [CHILD, STUBBORN + CHILD], ids=["obedient", "stubborn"])
def test_no_child_outlives_a_killed_parent(tmp_path: Path, child: str) -> None:
    family = Family(tmp_path, child)
    family.parent.kill()
    family.parent.communicate(timeout=30)
    until(lambda: not any(map(alive, family.all_pids())))


def test_who_needs_a_dead_child_begins_anew_and_what_it_left_is_ended(tmp_path: Path) -> None:
    grandchild = CHILD.replace("time.sleep(600)", "import subprocess\n") + (
        "left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "(folder / f'left-{name}').write_text(str(left.pid))\n"
        "time.sleep(600)\n"
    )
    family = Family(tmp_path, grandchild, "needs")
    until(lambda: family.pids("left-a"))
    (left,) = family.pids("left-a")
    os.kill(family.pids("a")[0], signal.SIGKILL)
    until(lambda: len(family.pids("a")) == len(family.pids("b")) == 2)
    until(lambda: not alive(left))
    family.parent.terminate()
    printed, _ = family.parent.communicate(timeout=30)
    assert printed == "a ended with code -9; it starts again in 0.05 s\nover\n"
    until(lambda: not any(map(alive, family.all_pids() + family.pids("left-b"))))


def test_one_that_is_not_wanted_ends_and_begins_again_and_who_needs_it_goes_on(tmp_path: Path) -> None:
    family = Family(tmp_path, CHILD, "rests")
    (first,) = family.pids("a")
    (tmp_path / "note").touch()
    until(lambda: not alive(first))
    (tmp_path / "note").unlink()
    until(lambda: len(family.pids("a")) == 2)
    family.parent.terminate()
    printed, _ = family.parent.communicate(timeout=30)
    assert printed == "over\n"  # it was asked to end
    assert len(family.pids("b")) == 1
    assert not any(map(alive, family.all_pids()))


def starts(child: str, n: int, monkeypatch: pytest.MonkeyPatch, code: int = 1) -> list[str]:
    """A child that ends ``n`` times in a row; what its supervisor said of it."""
    monkeypatch.setattr(supervisor, "BACK_OFF_S", (0.01, 0.02, 0.03))
    line = [sys.executable, "-c", f"{child}\nraise SystemExit({code})"]
    supervised, said = supervisor.Child("it", line, {"PYTHONPATH": str(ROOT)}), list[str]()

    def ended() -> bool:
        supervised.check(said.append)
        return len(said) >= n

    supervised.start()
    until(ended)
    supervised.rest()
    return [text.rpartition("again in ")[2] for text in said]


def test_one_that_cannot_start_waits_longer_and_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert starts("", 4, monkeypatch) == ["0.02 s", "0.03 s", "0.03 s", "0.03 s"]


def test_one_that_worked_before_it_was_lost_starts_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    works = "from service.dispatch.supervisor import tell_ready; tell_ready()"
    assert starts(works, 3, monkeypatch) == ["0.01 s"] * 3
    killed = f"{works}; import os; os.kill(os.getpid(), 9)"
    assert starts(killed, 2, monkeypatch) == ["0.01 s"] * 2


def test_only_the_child_itself_can_say_that_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that it has started has the variables too, and perhaps a file of its own under that number."""
    grandchild = "import subprocess, sys; from service.dispatch import supervisor as s; " + (
        "subprocess.run([sys.executable, '-c', 'from service.dispatch import supervisor as s; s.tell_ready()'],"
        " check=True, close_fds=False)"
    )
    assert starts(grandchild, 2, monkeypatch) == ["0.02 s", "0.03 s"]
