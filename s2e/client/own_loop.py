"""A training loop of your own under S2E's schedules.

    with S2EClient(url) as client:
        job = client.submit({"trials": "external", "train": {"n_epochs": 30}, "data": {"noise": {"noise_rate": 0.4}}})
        for trial in own_trials(client, job.id):
            model = make_model(seed=trial.init_seed)
            for epoch, keep_rate in trial.schedule:
                train_one_epoch(model, keep_rate)
                trial.report(validation_accuracy=accuracy(model))

Several programs may run this at once, on any machines. A trial whose program dies is given to another one when its
lease runs out; each report prolongs the lease.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import suppress

from s2e.client.errors import ClientError
from s2e.client.http import S2EClient
from s2e.words.answers import LeasedTrial
from s2e.words.asks import LEASE_S
from s2e.words.states import JOB_ENDED

ROUND_WAIT_S = 0.5
"""Between two asks while a round waits for the last results of others."""


class OwnTrial:
    """A leased trial. ``train`` holds the training settings the search wants for it beside R(t), if any.

    ``init_seed``, ``order_seed`` and ``noise_seed`` (of injected noise) are its seeds: trials that shall be compared
    share them, so use them where your loop can be seeded.
    """

    def __init__(self, client: S2EClient, leased: LeasedTrial, lease_s: float) -> None:
        self._client, self._lease_s, self._epoch, self.ended = client, lease_s, 0, False
        self.id, self.lease, self.label = leased.id, leased.lease, leased.label
        self.keep_rate, self.train = tuple(leased.keep_rate), leased.train
        self.init_seed, self.order_seed, self.noise_seed = leased.init_seed, leased.order_seed, leased.noise_seed

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


def own_trials(client: S2EClient, job_id: str, worker: str = "", lease_s: float = LEASE_S) -> Iterator[OwnTrial]:
    """Trials one after the other, until the job has ended. One that is left behind unended is given back."""
    while True:
        answer = client.ask(job_id, 1, worker, lease_s, idempotency_key=str(uuid.uuid4()))
        for leased in answer.trials:
            trial = OwnTrial(client, leased, lease_s)
            try:
                yield trial
            finally:
                if not trial.ended:
                    with suppress(ClientError):  # what cannot be given back comes back by itself
                        trial.give_back("left unended")
        if answer.job_state in JOB_ENDED:
            return
        if not answer.trials:
            time.sleep(ROUND_WAIT_S)
