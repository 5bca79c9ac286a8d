"""Kinds of job: what round comes next, and what report ends it."""
