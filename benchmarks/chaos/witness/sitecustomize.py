"""A witness in every training process: one line for each epoch as it was trained, whatever becomes of it afterwards.

Python imports a module of this name at its start, where it is on the path.
"""

import os
import sys


def _bear_witness() -> None:
    from workers import wire
    from workers.backend import EpochReported, Event

    encode = wire.encode
    log = open(os.path.join(os.environ["TMPDIR"], "trained"), "a", buffering=1)  # noqa: SIM115, PTH123, PTH118

    def seen(event: Event) -> dict[str, object]:
        if isinstance(event, EpochReported):
            key = event.key
            for row in event.epochs:
                log.write(f"{key.job_id} {key.round} {row.k} {key.attempt} {row.epoch}\n")
        return encode(event)

    wire.encode = seen


if "workers.trainer_process" in sys.orig_argv:
    _bear_witness()
