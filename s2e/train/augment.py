"""Augmentation on the device: random crop of the padded image and horizontal flip, drawn per (trial, epoch, sample).

Legend: K trials, B batch, S samples, D channels, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from s2e.methods.engine import Sampler

PAD = 4
"""Black pixels added on every side before a crop of the original size."""


class CropFlip:
    """Crop and flip of the ELR protocols: every sample, epoch and view has its own draw."""

    def __init__(self, n_samples: int, draw: Callable[[str, Sampler], torch.Tensor]) -> None:
        self._n_samples, self._draw = n_samples, draw
        self._move_KS3: dict[int, torch.Tensor] = {}

    def begin_epoch(self) -> None:
        """Forget the last epoch's draws."""
        self._move_KS3.clear()

    def __call__(self, image_BDHW: torch.Tensor, index: torch.Tensor, view: int) -> torch.Tensor:
        """The images of ``index`` ([B], or [K, B] with the images trial by trial), each cropped and flipped."""
        if view not in self._move_KS3:
            self._move_KS3[view] = self._draw(f"augment {view}", self._sample)
        move_KS3 = self._move_KS3[view]
        trial = torch.arange(len(index), device=index.device)[:, None] if index.dim() == 2 else 0
        return crop_flip(image_BDHW, move_KS3[trial, index].view(-1, 3))

    def _sample(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Vertical and horizontal offset of the crop, 0..2 PAD, and whether it is flipped [S, 3]."""
        return rng.integers(0, [2 * PAD + 1, 2 * PAD + 1, 2], (self._n_samples, 3))


def crop_flip(image_BDHW: torch.Tensor, move_B3: torch.Tensor) -> torch.Tensor:
    """Each image padded, cut out at (move[0], move[1]) in its old size, and mirrored where move[2] is 1."""
    batch_size, _, height, width = image_BDHW.shape
    device = image_BDHW.device
    padded = F.pad(image_BDHW, (PAD, PAD, PAD, PAD))
    row_BH = move_B3[:, :1] + torch.arange(height, device=device)
    column_W = torch.arange(width, device=device)
    column_BW = move_B3[:, 1:2] + torch.where(move_B3[:, 2:] == 1, column_W.flip(0), column_W)
    b = torch.arange(batch_size, device=device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[b, row_BH[:, :, None], column_BW[:, None]].permute(0, 3, 1, 2)
