"""The real service under random, seeded faults; see :mod:`benchmarks.chaos.__main__`."""
