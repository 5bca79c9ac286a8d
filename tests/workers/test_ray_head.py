"""A dispatcher's messages about a Ray that is a process of its own, and the end of a trainer without a dispatcher."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from workers.detached import Trainer, _Work
from workers.ray_head import HeadAwayError, address_in, share_token
from workers.ray_watch import watch_head


def test_an_address_counts_while_its_head_lives(tmp_path: Path) -> None:
    path = tmp_path / "ray.json"
    with pytest.raises(HeadAwayError, match=r"did not start within 0\.1 s"):
        address_in(path, 0.1)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path.write_text(json.dumps({"address": "host:1", "pid": ended.pid}))
    with pytest.raises(HeadAwayError):
        address_in(path, 0.1)
    path.write_text(json.dumps({"address": "host:1", "pid": os.getpid()}))
    assert address_in(path, 0.1) == "host:1"
    path.write_text(json.dumps({"error": "OSError: no shared memory"}))
    with pytest.raises(HeadAwayError, match="no shared memory"):
        address_in(path, 0.1)


def test_a_head_and_its_drivers_share_a_token_unless_the_user_chose_another_way() -> None:
    fresh: dict[str, str] = {}
    share_token(fresh)
    assert fresh["RAY_AUTH_MODE"] == "token"
    assert len(fresh["RAY_AUTH_TOKEN"]) == 64
    for chosen in ({"RAY_AUTH_TOKEN_PATH": "/run/secrets/ray"}, {"RAY_AUTH_MODE": "disabled"}):
        told = dict(chosen)
        share_token(told)
        assert told == chosen


def test_a_head_that_listens_no_more_is_noticed() -> None:
    gone, told = threading.Event(), []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        watch_head(address, lambda reason: (told.append(reason), gone.set()), every_s=0.01)  # type: ignore[func-returns-value]
        assert not gone.wait(0.2)
    assert gone.wait(10)
    assert told == [f"Ray's head at {address} is gone"]


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
def test_a_cluster_of_our_own_has_no_process_that_nobody_asks(ray_cluster: Any) -> None:
    processes = set(ray_cluster._private.worker._global_node.all_processes)
    assert {"gcs_server", "raylet"} <= processes
    assert not processes & {"monitor", "log_monitor", "dashboard"}


def test_events_are_kept_until_they_are_acknowledged() -> None:
    work = _Work({"job_id": "job"}, 1, events=[{"n": n} for n in range(5)])
    work.acknowledge(2)
    work.acknowledge(1)  # a call that was overtaken
    assert (work.first, [event["n"] for event in work.events]) == (2, [2, 3, 4])
    work.ended = True
    assert not work.over
    work.acknowledge(5)
    assert work.over


def test_epochs_are_told_together_and_all_else_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.detached.GATHER_S", 30.0)
    trainer, key = Trainer.__new__(Trainer), {"job_id": "job"}
    trainer._changed, trainer._works = threading.Condition(), [_Work(key, 1, events=[{"kind": "started"}])]
    assert trainer.events(key, 0, 30.0) == {"first": 0, "events": [{"kind": "started"}]}

    def train() -> None:
        for kind in ("epochs", "epochs", "held"):
            trainer._take(None, 1, {"kind": kind, "key": key})  # type: ignore[arg-type]

    thread = threading.Thread(target=train)
    thread.start()
    told = trainer.events(key, 1, 30.0)
    thread.join()
    assert told is not None
    assert (told["first"], [event["kind"] for event in told["events"]]) == (1, ["epochs", "epochs", "held"])


def test_epochs_wait_no_longer_for_company_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.detached.GATHER_S", 0.0)
    trainer, key = Trainer.__new__(Trainer), {"job_id": "job"}
    trainer._changed, trainer._works = threading.Condition(), [_Work(key, 1, events=[{"kind": "epochs"}])]
    assert trainer.events(key, 0, 30.0) == {"first": 0, "events": [{"kind": "epochs"}]}


def test_a_trainer_that_nobody_asks_ends_itself() -> None:
    """One that trains, and one that has nothing to do."""
    code = """
import sys, time
from workers.detached import Trainer
trainer = Trainer({"CPU": 1.0}, orphan_s=0.2, idle_s=float(sys.argv[1]), grace_s=1.0)
if len(sys.argv) > 2:
    key = {"job_id": "job", "round": 0, "group": 0, "attempt": 1}
    trainer.begin([(key, {})], ("/nowhere", None), False, [])
    trainer.end_if_idle()
    print("it trains")
time.sleep(60)
sys.exit("it is still there")
"""
    for arguments in (["0.2"], ["100", "trains"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_a_trainer_is_imported_without_torch_and_ray() -> None:
    assert Trainer.__module__ == "workers.detached"
    code = "import sys, workers.detached; print(sorted({'torch', 'ray'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
