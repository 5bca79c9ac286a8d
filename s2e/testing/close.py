"""Tensors that have to agree."""

from __future__ import annotations

import torch


def assert_close(name: str, actual: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """``actual`` differs from ``expected`` nowhere by more than ``tolerance``; ``name`` says which tensor does."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance, msg=lambda text: f"{name}: {text}")
