"""The state of a population while it trains, in a file: a trainer that replaces a lost one goes on from there.

Every trial's checkpoint in one file, named for all that the training depends on, so nothing else can be taken for it.
The epochs that are done are in it too: they are told again, as if they had been trained again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from s2e.artifacts import unfinished_path
from s2e.extras import needs
from s2e.files import files_below
from s2e.train.checkpoint import Checkpoint, read_tensors
from s2e.train.trial import PopulationEpoch
from s2e.words import Population, replace, to_json

log = logging.getLogger(__name__)

SHARE = 0.05
"""Most of the time that writing may take of the training."""


class Unfinished:
    """The file of one population below an artifact root, written every ``every_s`` seconds or less often."""

    def __init__(self, root: str | Path, job_id: str, population: Population, every_s: float) -> None:
        text = json.dumps(to_json(population), sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:24]
        self._files, self._path = files_below(root), unfinished_path(job_id, population.trials[0].round, name)
        self._population, self._every_s = population, every_s
        self._next_s = time.monotonic() + every_s
        self.first = 0
        """The first epoch this population trains itself; those before were trained by the trials it continues."""

    def load(self) -> list[Checkpoint] | None:
        """The checkpoints at which it stopped; None if there is no file, or none that can be read."""
        try:
            return None if self._files.look(self._path) is None else self._read()
        except Exception:  # a file that cannot be read costs the epochs in it and nothing else
            log.exception("cannot go on from %s", self._path)
            return None

    def keep_if_due(self, step: PopulationEpoch) -> None:
        """Write where the population is after ``step``. A disk that is full costs no training."""
        if time.monotonic() < self._next_s:
            return
        began_s = time.monotonic()
        try:
            self.keep(step)
        except OSError as error:
            log.warning("no checkpoint: %s", error)
        now_s = time.monotonic()
        self._next_s = now_s + max(self._every_s, (now_s - began_s) / SHARE)

    def keep(self, step: PopulationEpoch) -> bool:
        """Write where the population is after ``step``; False where it cannot go on from there: at its end, and with a
        trial that failed, which makes it begin anew. Raises OSError."""
        if step.epochs[0].epoch + 1 >= self._population.n_epochs_run:
            return False
        checkpoints = [checkpoint for checkpoint in step.checkpoints() if checkpoint is not None]
        if len(checkpoints) < len(self._population.trials):
            return False
        self._write(checkpoints)
        return True

    def told_again(self, checkpoints: Sequence[Checkpoint]) -> Iterator[PopulationEpoch]:
        """The epochs that are done."""
        for epoch in range(self.first, checkpoints[0].n_epochs_done):
            rows = zip(self._population.trials, checkpoints, strict=True)
            yield PopulationEpoch(tuple(replace(kept.history[epoch], k=trial.k) for trial, kept in rows), tuple)

    def remove(self) -> None:
        """The population is trained."""
        self._files.delete(self._path)

    def _read(self) -> list[Checkpoint]:
        stored, header = read_tensors(self._files.read(self._path))
        tensors: list[dict[str, Tensor]] = [{} for _ in self._population.trials]
        for name, tensor in stored.items():
            i, _, rest = name.partition("/")
            tensors[int(i)][rest] = tensor
        self.first = int(header["first"])
        return [Checkpoint.from_file(of_trial, json.loads(header[str(i)])) for i, of_trial in enumerate(tensors)]

    def _write(self, checkpoints: Sequence[Checkpoint]) -> None:
        with needs("train"):
            from safetensors.torch import save
        tensors = {
            f"{i}/{name}": tensor.contiguous()
            for i, checkpoint in enumerate(checkpoints)
            for name, tensor in checkpoint.tensors.items()
        }
        header = {str(i): json.dumps(checkpoint.header()) for i, checkpoint in enumerate(checkpoints)}
        self._files.write(self._path, save(tensors, header | {"first": str(self.first)}))
