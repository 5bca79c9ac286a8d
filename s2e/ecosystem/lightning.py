"""R(t) in Lightning, in two lines.

trainer = Trainer(max_epochs=30, callbacks=[KeepRate(report.keep_rate)])

# and in training_step(self, batch, i):
return keep_smallest(F.cross_entropy(self(x), y, reduction="none"), self.keep_rate)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from s2e.ecosystem.torch import checked, keep_smallest

try:
    from lightning.pytorch import Callback
except ModuleNotFoundError:
    from pytorch_lightning import Callback

__all__ = ["KeepRate", "keep_smallest"]


class KeepRate(Callback):  # type: ignore[misc]
    """Sets ``keep_rate`` of the module to R(t) when epoch t begins; past the last value that one stays."""

    def __init__(self, keep_rate: Sequence[float]) -> None:
        """Raises ValueError without a value, or for one outside [0, 1]."""
        super().__init__()
        self.schedule = checked(keep_rate)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        pl_module.keep_rate = self.schedule[min(trainer.current_epoch, len(self.schedule) - 1)]
