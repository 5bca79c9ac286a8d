"""Where a job comes in: every rule is applied here, once, and nowhere else."""

from s2e.door.job import parse_job

__all__ = ["parse_job"]
