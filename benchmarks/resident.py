"""A plain pair of networks on data that stays in memory: what a good user would write, and so the engine's rival.

No loader and no host-side sorting: samples as floats in memory, batches by index, selection by ``topk``, one optimiser
over both networks. :data:`VARIANTS` are the choices such a user would try; the fastest on the machine is the rival.
What the engine gains over it comes from stacking, layout and compiled steps alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from benchmarks.workload import Workload

_EVAL_BATCH = 1000


@dataclass(frozen=True)
class Variant:
    """One way of writing the loop."""

    dtype: str = "float32"
    channels_last: bool = False
    optimizer: str = "fused"
    """Adam's implementation: fused or foreach."""


VARIANTS = {
    "resident": Variant(),
    "resident-foreach": Variant(optimizer="foreach"),
    "resident-bfloat16": Variant(dtype="bfloat16"),
}
"""For every network."""
IMAGE_VARIANTS = {
    "resident-channels_last": Variant(channels_last=True),
    "resident-channels_last-bfloat16": Variant(dtype="bfloat16", channels_last=True),
}
"""Beside them, for a network of convolutions."""


class ResidentTrial:
    """One Co-teaching trial, epoch by epoch, on tensors in memory."""

    n_trials = 1

    def __init__(
        self, work: Workload, seed: int, variant: Variant | None = None, device: str = "cpu", rows: int | None = None
    ) -> None:
        """``rows``: how many of the validation and test samples are evaluated; None: all."""
        self.work, self.variant = work, variant or Variant()
        layout = torch.channels_last if self.variant.channels_last else torch.contiguous_format
        self.autocast = torch.autocast(device, torch.bfloat16, enabled=self.variant.dtype == "bfloat16")
        data = work.data
        self.train_x = work.as_tensor(data.train, device).contiguous(memory_format=layout)
        self.train_y = work.noisy_labels.to(device)
        self.clean_S = (work.noisy_labels == data.train.labels).float().to(device)
        self.evaluation = [
            (work.as_tensor(part, device)[:rows].contiguous(memory_format=layout), part.labels[:rows].to(device))
            for part in (data.validation, data.test)
        ]
        self.nets = [net.to(device).to(memory_format=layout) for net in work.plain_networks(seed)]
        parameters = [parameter for net in self.nets for parameter in net.parameters()]
        implementation = {self.variant.optimizer: True}
        self.optimizer = torch.optim.Adam(parameters, lr=work.train_spec.learning_rate, **implementation)
        self.order = torch.Generator().manual_seed(seed)
        self.validation_accuracy = 0.0
        self.test_accuracy = [0.0]
        self.label_precision = 0.0

    def run_epoch(self, epoch: int) -> None:
        """Train both networks on one pass over the data, then evaluate both on validation and test images."""
        self.label_precision = float(torch.stack(self.train(epoch)).mean())
        self.evaluate()

    def evaluate(self) -> None:
        """Only the evaluation of an epoch."""
        self.validate()
        self.test_accuracy = [self._accuracy(*self.evaluation[1])]

    def validate(self) -> None:
        """Only its validation."""
        self.validation_accuracy = self._accuracy(*self.evaluation[0])

    def train(self, epoch: int) -> list[torch.Tensor]:
        """One pass over the training data; the label precision of each step, still on the device."""
        work, n_keep, batch_size = self.work, self.work.n_keep(epoch), self.work.train_spec.batch_size
        for net in self.nets:
            net.train()
        for group in self.optimizer.param_groups:
            group["lr"] = work.learning_rate_at(epoch)
        order = torch.randperm(len(self.train_y), generator=self.order).to(self.train_y.device)
        batches = order[: work.n_steps * batch_size].view(work.n_steps, batch_size)
        return [self._step(index_B, n_keep) for index_B in batches]

    def _step(self, index_B: torch.Tensor, n_keep: int) -> torch.Tensor:
        x, y = self.train_x[index_B], self.train_y[index_B]
        with self.autocast:
            logits = [net(x) for net in self.nets]
        losses = [F.cross_entropy(logits_BC.float(), y, reduction="none") for logits_BC in logits]
        kept = [loss_B.detach().topk(n_keep, largest=False, sorted=False).indices for loss_B in losses]
        loss = losses[0][kept[1]].mean() + losses[1][kept[0]].mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return self.clean_S[index_B[torch.cat(kept)]].mean()

    @torch.no_grad()
    def _accuracy(self, x: torch.Tensor, y: torch.Tensor) -> float:
        for net in self.nets:
            net.eval()
        with self.autocast:
            right = [
                (net(part).argmax(1) == labels).sum()
                for net in self.nets
                for part, labels in zip(torch.split(x, _EVAL_BATCH), torch.split(y, _EVAL_BATCH), strict=True)
            ]
        return int(torch.stack(right).sum()) / (2 * len(y))
