"""A step that is left out for some trials of a stack: one fused Adam step moves all of them, so it is undone.

Legend: K trials, G stacked networks.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch


def step_except(optimizer: torch.optim.Optimizer, skip_G: torch.Tensor) -> None:
    """One step of all networks but ``skip_G``.

    Remembering weights and moments costs half a small network's step, so it is done only where a network is skipped. A
    GPU is not asked: the answer would have to wait for the step before it.
    """
    if not skip_G.is_cuda and not skip_G.any():
        optimizer.step()
        return
    guard = StepGuard(optimizer)
    optimizer.step()
    guard.undo(skip_G)


class StepGuard:
    """Weights and moments as they were before a step.

    The optimiser's step counter is one for the whole stack and counts on; it is also one for a trial alone, so both
    agree.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._before = [(tensor, tensor.detach().clone()) for tensor in self._stacked()]

    def _stacked(self) -> Iterable[torch.Tensor]:
        for group in self._optimizer.param_groups:
            for parameter in group["params"]:
                yield parameter
                yield from (
                    value for value in self._optimizer.state[parameter].values() if value is not None and value.dim()
                )

    @torch.no_grad()
    def undo(self, skip_G: torch.Tensor) -> None:
        """Undo the step for the networks ``skip_G``; moments that the step created become zero again."""
        before = {id(tensor): value for tensor, value in self._before}
        for tensor in self._stacked():
            skip = skip_G.view(-1, *[1] * (tensor.dim() - 1))
            tensor.copy_(torch.where(skip, before.get(id(tensor), torch.zeros_like(tensor)), tensor))
