"""Data sets as tensors in memory, their splits, and injected label noise."""
