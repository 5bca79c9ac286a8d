"""R(t) in Hugging Face's Trainer, in two lines.

keep = KeepRate(report.keep_rate)
trainer = Trainer(model, args, train_dataset=data, callbacks=[keep], compute_loss_func=keep.loss)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import TrainerCallback

from s2e.ecosystem.torch import checked, keep_smallest
from s2e.extras import needs

with needs("train"):
    import torch
    import torch.nn.functional as F


class KeepRate(TrainerCallback):  # type: ignore[misc]
    """Knows the epoch from the Trainer, and keeps the share R(t) of each batch; past the last value that one stays."""

    def __init__(self, keep_rate: Sequence[float]) -> None:
        """Raises ValueError without a value, or for one outside [0, 1]."""
        self.schedule = checked(keep_rate)
        self.now = self.schedule[0]

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ARG002
        self.now = self.schedule[min(int(state.epoch or 0), len(self.schedule) - 1)]

    def loss(self, outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:  # noqa: ARG002
        """Cross entropy of the samples that are kept; for ``compute_loss_func``."""
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs.logits
        losses = F.cross_entropy(logits, labels, reduction="none")
        return keep_smallest(losses, self.now)
