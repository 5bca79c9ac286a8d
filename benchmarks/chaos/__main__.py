"""The real service under random, seeded faults, and what it costs: ``make chaos FAULTS=200 SEED=1``.

api, two dispatchers, two Ray nodes and PostgreSQL behind a proxy run as processes of this machine, in hostile
surroundings (a stale file of Ray's, foreign ``RAY_*`` variables). Jobs run one after the other while faults hit them.
Afterwards every job must be what it would have been: the asked number of trials, none twice, every acknowledged epoch
there, theta and report identical to the undisturbed run, no lease stuck, no process left. Exit status 1 otherwise.

Recovery is the time from the end of a fault to the next epoch or report in the database; epochs lost are those that the
database had of a training whose process was killed, beyond its checkpoint, plus at most the one under way.
A clock that jumps needs a C compiler, a full disk needs root; the answer says whether they were among the faults.

``--short`` is the drill of CI: a small job, faults that last a quarter of their time, each kind at most once.
``--kills``: nothing but kills, each role in turn, and the next one at most half a second after work goes on.
``--tally FILE``: the counts of several runs add up there. A job's faults enter it once the job has ended as it should;
those of the job that an interrupted run was at do not count. A violation ends a run, and stays in the file.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from pathlib import Path

from benchmarks.chaos import check
from benchmarks.chaos.faults import FAULTS, Fault
from benchmarks.chaos.place import Place
from benchmarks.chaos.tally import Tally
from benchmarks.measure import machine

PATIENCE_S = 240.0
"""Without an epoch for this long after a fault, work does not go on."""
SHORT_HOLD = 0.25


class Run:
    """Faults, one after the other, and what came of them."""

    def __init__(
        self, place: Place, seed: int, *, short: bool = False, kills: bool = False, tally: Path | None = None
    ) -> None:
        self.place, self.rng, self.short, self.kills = place, random.Random(seed), short, kills
        self.job = check.SHORT if short else check.JOB
        self.calm = check.undisturbed(self.job)
        self.kinds = [fault for fault in FAULTS if fault.kills or not kills]
        self.job_ids: list[str] = []
        self.violations: list[str] = []
        self.tally, self.path = Tally.of(tally), tally
        self.tally.seeds.append(seed)
        self.of_job = Tally()
        """The faults of the job that is under way."""
        self.acknowledged = check.Acknowledged.none()
        self.n_done = 0

    def run(self, n_faults: int, until_s: float) -> None:
        while self.kinds and self.n_done < n_faults and time.monotonic() < until_s and not self.violations:
            self.have_work()
            time.sleep(self.rng.uniform(0.0, 0.5 if self.short or self.kills else 3.0))
            self.hit(self.next_fault())
        if not self.violations:
            self.wait(self.job_ids[-1])
            self.settle()

    def settle(self) -> None:
        """A job has ended: see that it is what it would have been, and count its faults."""
        self.violations += check.violations(self.place.client, self.place.database, self.job_ids[-1], self.calm)
        if not self.violations:
            self.of_job.jobs = 1
            self.tally.add(self.of_job)
        self.of_job = Tally()
        self.tally.save(self.path)

    def next_fault(self) -> Fault:
        if self.kills:
            self.kinds.append(self.kinds.pop(0))
            return self.kinds[-1]
        fault = self.rng.choices(self.kinds, [fault.weight for fault in self.kinds])[0]
        if self.short:
            self.kinds.remove(fault)
        return fault

    def have_work(self) -> None:
        """A job, a trial of which trains."""
        until_s = time.monotonic() + PATIENCE_S
        while not check.running(self.place.database):
            if not self.job_ids or self.state() in ("completed", "failed", "cancelled"):
                if self.job_ids:
                    self.settle()
                if self.violations:
                    return
                self.job_ids.append(self.place.client.submit(self.job).id)
            if time.monotonic() > until_s:
                self.violations.append(f"nothing trains after {PATIENCE_S:g} s; the job is {self.state()}")
                return
            time.sleep(0.05)

    def state(self) -> str:
        return check.state(self.place.database, self.job_ids[-1])

    def hit(self, fault: Fault) -> None:
        before, epochs = check.running(self.place.database), check.epochs_of_attempts(self.place.database)
        done = fault.do(self.place, self.rng)
        if not done:
            return
        self.n_done += 1
        n_epochs = self.job["train"]["n_epochs"]
        for trained in before:
            self.of_job.thirds[min(2, 3 * epochs.get((trained.trial_id, trained.attempt), 0) // n_epochs)] += 1
        began_s, last = time.monotonic(), check.last_event(self.place.database)
        hit = next((trained for trained in before if trained.pid == done), None)
        kept = 0 if hit is None else check.kept_epochs(self.place.database, str(self.place.artifacts), hit)
        while check.last_event(self.place.database) == last and self.state() != "completed":
            if time.monotonic() - began_s > PATIENCE_S:
                self.violations.append(f"no epoch within {PATIENCE_S:g} s of: {fault.name} ({done})")
                return
            time.sleep(0.05)
        recovery_s = time.monotonic() - began_s
        self.of_job.recovery_s.setdefault(fault.name, []).append(round(recovery_s, 3))
        print(f"{self.n_done:4} {fault.name:32} {done:20} {recovery_s:6.2f} s", file=sys.stderr, flush=True)
        self.violations += self.acknowledged.look(self.place.database)
        if hit is not None:
            n = self.acknowledged.n.get((hit.trial_id, hit.attempt), 0)
            if n < n_epochs:  # else it had been trained
                self.of_job.lost.append(max(0, n - kept))

    def wait(self, job_id: str) -> None:
        told_s, last = time.monotonic(), 0
        while self.state() not in ("completed", "failed", "cancelled"):
            if (now := check.last_event(self.place.database)) > last:
                told_s, last = time.monotonic(), now
            if time.monotonic() - told_s > PATIENCE_S:
                self.violations.append(f"job {job_id} does not end")
                return
            time.sleep(0.5)
        self.violations += self.acknowledged.look(self.place.database)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no further fault after this")
    parser.add_argument("--short", action="store_true", help="the drill of CI: every kind at most once, a small job")
    parser.add_argument("--kills", action="store_true", help="nothing but kills, each role in turn")
    parser.add_argument("--tally", type=Path, help="a file in which the counts of several runs add up")
    args = parser.parse_args()
    until_s = time.monotonic() + 60 * args.minutes
    for number in (signal.SIGTERM, signal.SIGINT):  # whatever ends it, nothing is left behind
        signal.signal(number, lambda *_: sys.exit(2))
    place = Place(SHORT_HOLD if args.short else 1.0)
    violations = ["it did not come to its end"]
    try:
        while place.client.not_ready():
            time.sleep(0.5)
        run = Run(place, args.seed, short=args.short, kills=args.kills, tally=args.tally)
        run.run(args.faults, until_s)
        run.violations += [f"still running: {line}" for line in place.stop()]
        violations = run.violations
        run.tally.violations += [f"seed {args.seed}: {violation}" for violation in violations]
        run.tally.save(args.tally)
        told = {"benchmark": "chaos", "machine": machine(), "disk": place.has_disk, "clock": place.has_clock}
        print(json.dumps(told | run.tally.told(), indent=1))
    finally:
        place.leave(keep_log=bool(violations))
    sys.exit(bool(violations))


if __name__ == "__main__":
    main()
