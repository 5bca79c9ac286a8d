"""A training loop of your own under S2E's schedules.

    with S2EClient(url) as client:
        job = client.submit({"trials": "external", "train": {"n_epochs": 30}, "data": {"noise": {"noise_rate": 0.4}}})
        for trial in own_trials(client, job.id):
            with trial:
                model = make_model(seed=trial.init_seed)
                for epoch, keep_rate in trial.schedule:
                    train_one_epoch(model, keep_rate)
                    trial.report(validation_accuracy=accuracy(model))

Several programs may run this at once, on any machines. ``with trial`` tells the search of an exception in the training:
the trial has failed, for that reason. While a trial is trained a thread prolongs its lease, so the trial of a program
that dies is soon given to another one.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from s2e.client.errors import ClientError, LeaseExpired
from s2e.client.http import S2EClient
from s2e.words.answers import LeasedTrial
from s2e.words.asks import LEASE_S
from s2e.words.states import JOB_ENDED

ROUND_WAIT_S = 0.5
"""Between two asks while a round waits for the last results of others."""
ALIVE_S = 60.0
"""A program that is not heard of for this long is taken for dead; its trial goes to another."""
BEATS = 4
"""Signs of life in that time."""


class OwnTrial:
    """A leased trial. ``train`` holds the training settings the search wants for it beside R(t), if any.

    ``init_seed``, ``order_seed`` and ``noise_seed`` (of injected noise) are its seeds: trials that shall be compared
    share them, so use them where your loop can be seeded.
    """

    def __init__(self, client: S2EClient, leased: LeasedTrial, lease_s: float) -> None:
        self._client, self._epoch, self.ended = client, 0, False
        self._lease_s, self._silent_s = min(lease_s, ALIVE_S), lease_s
        self._reported_s = time.monotonic()
        self.id, self.lease, self.label = leased.id, leased.lease, leased.label
        self.keep_rate, self.train = tuple(leased.keep_rate), leased.train
        self.init_seed, self.order_seed, self.noise_seed = leased.init_seed, leased.order_seed, leased.noise_seed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """An exception is the trial's failure and goes on its way; a trial that was taken back is left in peace."""
        if isinstance(error, LeaseExpired):
            self.ended = True
            return True
        if error is not None and not self.ended:
            with suppress(ClientError):
                reason = f"{type(error).__name__}: {error}"
                if isinstance(error, Exception) and not isinstance(error, ClientError):
                    self.fail(reason)
                else:  # Ctrl-C, or a service that is away: nothing is wrong with the training
                    self.give_back(reason)
        return False

    @property
    def schedule(self) -> Iterator[tuple[int, float]]:
        """(t, R(t)) of every epoch. Behind the last one the trial ends, with the objective of what was reported."""
        for epoch, keep_rate in enumerate(self.keep_rate):
            self._epoch = epoch
            yield epoch, keep_rate
        if not self.ended:
            self.end()

    def report(
        self, *, validation_accuracy: float, test_accuracy: float | None = None, loss: float | None = None
    ) -> None:
        """Report the epoch of the schedule's loop. Raises LeaseExpired when the trial was taken back: stop training."""
        row = {
            "epoch": self._epoch,
            "validation_accuracy": validation_accuracy,
            "test_accuracy": test_accuracy,
            "loss": loss,
        }
        self._client.report_epochs(self.id, self.lease, row, lease_s=self._lease_s)
        self._reported_s = time.monotonic()

    def end(self, validation_accuracy: float | None = None) -> None:
        """End the trial; without a number the objective is that of the epochs reported."""
        self._client.report_result(self.id, self.lease, validation_accuracy=validation_accuracy)
        self.ended = True

    def fail(self, reason: str) -> None:
        """The training itself went wrong (a NaN loss, say): the search counts the worst objective."""
        self._client.report_result(self.id, self.lease, outcome="failed", reason=reason)
        self.ended = True

    def give_back(self, reason: str) -> None:
        """Let somebody else try."""
        self._client.report_result(self.id, self.lease, outcome="lost", reason=reason)
        self.ended = True

    @contextmanager
    def _heartbeat(self) -> Iterator[None]:
        """Prolong the lease from a thread, for as long as the program lives and is not silent for too long."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(self._lease_s / BEATS) and time.monotonic() - self._reported_s < self._silent_s:
                try:
                    self._client.report_epochs(self.id, self.lease, lease_s=self._lease_s)
                except LeaseExpired:
                    return  # the next report says so
                except (ClientError, RuntimeError):  # away for now; or the client was closed
                    continue

        threading.Thread(target=beat, name=f"lease of {self.id}", daemon=True).start()
        try:
            yield
        finally:
            stop.set()


def own_trials(client: S2EClient, job_id: str, worker: str = "", lease_s: float = LEASE_S) -> Iterator[OwnTrial]:
    """Trials one after the other, until the job has ended. One that is left behind unended is given back.

    ``lease_s``: most seconds between two reports of a live program; the trials of a dead one are free after ALIVE_S.
    """
    while True:
        answer = client.ask(job_id, 1, worker, min(lease_s, ALIVE_S), idempotency_key=str(uuid.uuid4()))
        for leased in answer.trials:
            trial = OwnTrial(client, leased, lease_s)
            try:
                with trial._heartbeat():
                    yield trial
            finally:
                if not trial.ended:
                    with suppress(
                        ClientError, RuntimeError
                    ):  # a closed client's; what cannot be given back comes back by itself
                        trial.give_back("left unended")
        if answer.job_state in JOB_ENDED:
            return
        if not answer.trials:
            time.sleep(ROUND_WAIT_S)
