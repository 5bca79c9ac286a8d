"""A plain pair of networks on data that stays in memory: the honest rival of the engine's single trial.

No loader and no host-side sorting: batches by index, selection by ``topk``, one fused Adam over both networks. What
the engine gains over this comes from stacking and layout alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.workload import Workload

_EVAL_BATCH = 1000


class ResidentTrial:
    """One Co-teaching trial, epoch by epoch, on tensors in memory."""

    n_trials = 1

    def __init__(self, work: Workload, seed: int, dtype: str = "float32", device: str = "cpu") -> None:
        self.work = work
        self.autocast = torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16")
        data = work.data
        self.train_x, self.train_y = work.as_tensor(data.train, device), work.noisy_labels.to(device)
        self.clean_S = (work.noisy_labels == data.train.labels).float().to(device)
        self.evaluation = [
            (work.as_tensor(part, device), part.labels.to(device)) for part in (data.validation, data.test)
        ]
        self.nets = [net.to(device) for net in work.plain_networks(seed)]
        parameters = [parameter for net in self.nets for parameter in net.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=work.train_spec.learning_rate, fused=True)
        self.order = torch.Generator().manual_seed(seed)
        self.test_accuracy = [0.0]
        self.label_precision = 0.0

    def run_epoch(self, epoch: int) -> None:
        """Train both networks on one pass over the data, then evaluate both on validation and test images."""
        self.label_precision = float(torch.stack(self.train(epoch)).mean())
        self.evaluate()

    def evaluate(self) -> None:
        """Only the evaluation of an epoch."""
        accuracies = [self._accuracy(x, y) for x, y in self.evaluation]
        self.test_accuracy = [accuracies[1]]

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
