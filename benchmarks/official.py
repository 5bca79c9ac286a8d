"""The structure of the original program, written anew: what a trial costs when nothing is stacked or resident.

Two separate networks; a DataLoader that turns every sample from a PIL image into a tensor each time it is read;
one trial at a time; the losses of both networks sorted on the host by numpy in each step; two Adam optimisers;
evaluation through DataLoaders too, one pass for each network. Hyper-parameters are those of the trial it is
compared with. ``num_workers=0``, so the CPU time of this process is all the time there is.

Kept out of this port because they only slow it: training accuracy of every batch, printing, the second division of
the loss by the number kept (Adam is scale-free). Evaluation runs without gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.workload import Array, Workload
from s2e.data import torchvision_guard


class ImageData(Dataset[tuple[torch.Tensor, int, int]]):
    """Images in memory, each made a PIL image and then a tensor whenever it is read, with label and index."""

    def __init__(self, pixels: Array, labels: Array) -> None:
        self.pixels = pixels
        self.labels = labels
        self.transform = _to_tensor()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        return self.transform(Image.fromarray(self.pixels[index])), int(self.labels[index]), index


class OfficialTrial:
    """One Co-teaching trial, epoch by epoch."""

    n_trials = 1

    def __init__(self, work: Workload, seed: int) -> None:
        self.work = work
        data, batch_size = work.data, work.train_spec.batch_size
        self.clean_S = (work.noisy_labels == data.train.labels).numpy()
        train = ImageData(work.as_pixels(data.train), work.noisy_labels.numpy())
        order = torch.Generator().manual_seed(seed)
        self.train_loader = DataLoader(train, batch_size, shuffle=True, drop_last=True, generator=order)
        self.eval_loaders = [
            DataLoader(ImageData(work.as_pixels(part), part.labels.numpy()), batch_size)
            for part in (data.validation, data.test)
        ]
        self.nets = work.plain_networks(seed)
        self.optimizers = [torch.optim.Adam(net.parameters(), lr=work.train_spec.learning_rate) for net in self.nets]
        self.validation_accuracy = 0.0
        self.test_accuracy = [0.0]
        self.label_precision = 0.0

    def run_epoch(self, epoch: int) -> None:
        """Train both networks on one pass over the data, then evaluate both on validation and test images."""
        n_keep = self.work.n_keep(epoch)
        self._set_learning_rate(self.work.learning_rate_at(epoch))
        for net in self.nets:
            net.train()
        precisions = [self._step(images, labels, index, n_keep) for images, labels, index in self.train_loader]
        self.label_precision = float(np.mean(precisions))
        accuracies = [[accuracy(net, loader) for net in self.nets] for loader in self.eval_loaders]
        self.validation_accuracy = float(np.mean(accuracies[0]))
        self.test_accuracy = [float(np.mean(accuracies[1]))]

    def _step(self, images: torch.Tensor, labels: torch.Tensor, indices: torch.Tensor, n_keep: int) -> float:
        logits = [net(images) for net in self.nets]
        kept = []
        for logits_BC in logits:
            loss_B = F.cross_entropy(logits_BC, labels, reduction="none")
            kept.append(np.argsort(loss_B.detach().numpy())[:n_keep])
        for n in range(2):
            chosen = torch.from_numpy(kept[1 - n])
            loss = F.cross_entropy(logits[n][chosen], labels[chosen])
            self.optimizers[n].zero_grad()
            loss.backward()
            self.optimizers[n].step()
        return float(np.mean([self.clean_S[indices.numpy()[chosen]].mean() for chosen in kept]))

    def _set_learning_rate(self, value: float) -> None:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = value


def _to_tensor() -> Callable[[Image.Image], torch.Tensor]:
    torchvision_guard.datasets()  # makes the import below possible beside a CPU build of torch
    from torchvision.transforms import ToTensor

    transform: Callable[[Image.Image], torch.Tensor] = ToTensor()
    return transform


@torch.no_grad()
def accuracy(net: nn.Module, loader: DataLoader[Any]) -> float:
    """Fraction of the loader's samples that ``net`` classifies rightly."""
    net.eval()
    n_right = n_seen = 0
    for images, labels, _ in loader:
        n_right += int((net(images).argmax(1) == labels).sum())
        n_seen += len(labels)
    return n_right / n_seen
