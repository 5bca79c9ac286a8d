"""The engine's training step as one CUDA graph: all its shapes are static, so a step is one launch.

Legend: K trials, N networks per trial, B batch.
"""

from __future__ import annotations

import torch

from s2e.train.epoch import train_step
from s2e.train.population import StackedTrials

_WARM_UP_STEPS = 3


class GraphedStep:
    """``train_step`` of a population, captured once and replayed. The step size is read from the device."""

    def __init__(self, trials: StackedTrials, index: torch.Tensor, keep_K: torch.Tensor) -> None:
        self.index, self.keep_K = index.clone(), keep_K.clone()
        for group in trials.optimizer.param_groups:
            group["capturable"] = True
            group["lr"] = torch.tensor(group["lr"], device=trials.device)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # a capture wants every lazy initialisation behind it
            for _ in range(_WARM_UP_STEPS):
                train_step(trials, self.index, self.keep_K)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss_KN, self.weight_KNB = train_step(trials, self.index, self.keep_K)

    def __call__(self, index: torch.Tensor) -> torch.Tensor:
        """One mini-batch, ``index`` of the captured shape -> loss_KN, overwritten by the next call."""
        self.index.copy_(index)
        self.graph.replay()
        return self.loss_KN
