"""Rows of published tables, trained with this engine: ``python -m benchmarks.reproduce --help``."""
