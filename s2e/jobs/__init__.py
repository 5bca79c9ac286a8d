"""Kinds of job: the next round, and the report at the end."""
