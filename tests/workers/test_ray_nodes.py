"""Two Ray nodes on this machine, of which one is killed: the job ends as if it had never been there.

A comparison, whose four trainings are enough to be killed under; that a lost node moves no theta either is shown on
simulated places (tests/service/test_places.py).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import s2e
from s2e.words import to_json

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.xdist_group("ray"), pytest.mark.timeout(400)]
JOB = {
    "seed": 5,
    "data": {"n_train": 320},
    "train": {"n_epochs": 240, "batch_size": 64},  # long enough to be killed under
    "kind": "compare",
    "compare": {"n_seeds": 2, "entries": [{"method": "standard"}, {"method": "coteaching"}]},
    "plan": {"population": 1},
}
PROGRAM = """
import json, sys, time
from pathlib import Path
from ray.cluster_utils import Cluster
from sqlalchemy import select
from s2e.door import parse_job
from service.dispatch.dispatcher import Dispatcher
from service.store import repository
from service.store.engine import Database, migrate
from service.store.models import Attempt, Job, JobReport, Trial
from workers.backend import PopulationChecked, PopulationKey, PopulationStarted
from workers.ray_backend import RayBackend
from workers.testing import collect, population

folder, job = Path(sys.argv[1]), json.loads(sys.argv[2])
node = {"num_cpus": 1, "temp_dir": str(folder / "ray"), "object_store_memory": 100 * 2**20, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=node)
second = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
backend = RayBackend(folder / "artifacts", address=cluster.address)
names = sorted(worker.name for worker in backend.workers())
assert len(names) == 2, names

# nothing is placed where it is to be avoided
for group, name in enumerate(names * 2):
    backend.start(PopulationKey("avoiding", 0, group, 1), population(), avoid=frozenset({name}), check=True)
events = collect(backend, 4)
avoided = {event.key.group: event.place for event in events if isinstance(event, PopulationStarted)}
assert all(avoided[group] == names[1 - group % 2] for group in range(4)), (names, avoided)
assert sum(isinstance(event, PopulationChecked) for event in events) == 4

migrate(f"sqlite:///{folder / 's2e.db'}")
database = Database(f"sqlite:///{folder / 's2e.db'}")
with database.write() as session:
    job_id, _ = repository.create_job(session, parse_job(job))
dispatcher = Dispatcher(database, backend, lease_s=60)
gone = f"{second.node_id[:8]}"

def trains_on_second():
    return any(worker.busy and worker.name.endswith(gone) for worker in backend.workers())

killed = False
deadline_s = time.monotonic() + 240
while time.monotonic() < deadline_s:
    dispatcher.step()
    with database.read() as session:
        state = session.get_one(Job, job_id).state
        n_epochs = len(session.scalars(select(Attempt.id).where(Attempt.worker != "")).all())
    if not killed and n_epochs and trains_on_second():
        cluster.remove_node(second, allow_graceful=False)
        killed = True
    if state in ("completed", "failed"):
        break
with database.read() as session:
    told = {
        "killed": killed,
        "state": session.get_one(Job, job_id).state,
        "reason": session.get_one(Job, job_id).reason,
        "trials": sorted(session.scalars(select(Trial.state).distinct())),
        "lost": sorted(set(session.scalars(select(Attempt.reason).where(Attempt.outcome == "lost")))),
        "report": getattr(session.get(JobReport, job_id), "report", None),
    }
dispatcher.close()
cluster.shutdown()
print(json.dumps(told))
"""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Ray's sockets leave no room for a test's long folder."""
    folder = Path(tempfile.mkdtemp(prefix="s2e-n-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_a_killed_node_changes_no_number_and_fails_no_trial(short_folder: Path) -> None:
    pytest.importorskip("ray")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "S2E_"))}
    settings = {"PYTHONPATH": str(Path(__file__).parents[2]), "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    # Ray's Cluster leaves its address in the default folder, which a fresh machine has not got.
    ray = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": str(short_folder)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(short_folder), json.dumps(JOB)],
        env=ours | settings | ray,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told["killed"]
    assert (told["state"], told["reason"], told["trials"]) == ("completed", "", ["succeeded"])
    assert told["lost"], "no population was under way on the node that was killed"
    calm = json.loads(json.dumps(to_json(s2e.compare(JOB, progress=False))))
    for row in (*told["report"]["rows"], *calm["rows"]):
        row.pop("model")  # a file of the service
    assert told["report"] == calm
