"""The door through which every job comes in: every rule is applied here, once, at submission.

    job         parse_job: from plain JSON to a job that is complete and sound
    stored      read_job: a stored spec, read as it is for ever after
    protocols   published training protocols, laid under the job's own settings
    train data  rules that join fields of two parts
    overrides   the training settings of one trial: the job's, with what that trial alone has different

Refusals of one part are in its declaration (:mod:`s2e.parts`), those of one kind of job in the kind
(:mod:`s2e.jobs.kinds`).
"""

from s2e.door.job import parse_job
from s2e.door.stored import read_job

__all__ = ["parse_job", "read_job"]
