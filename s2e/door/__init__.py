"""Where a job comes in: every rule is applied by ``parse_job``, once; ``read_job`` takes what was stored then."""

from s2e.door.job import parse_job
from s2e.door.stored import read_job

__all__ = ["parse_job", "read_job"]
