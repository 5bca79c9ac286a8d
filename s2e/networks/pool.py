"""Max-pooling by 2, with the ReLU behind it, in one compiled pass over channels-last images.

Bit-equal to torch's two operations, whose backward pass is a third of Model 1's step.
"""

from __future__ import annotations

from ctypes import byref
from typing import Any

import torch

from s2e.networks.library import PoolFields, instruction_set, kernels_of

_TYPES = (torch.float32, torch.bfloat16)


def reads(x_BCHW: torch.Tensor) -> bool:
    """True for images that the compiled pass can take; not inside torch.func: it has no forward derivative."""
    return (
        x_BCHW.device.type == "cpu"
        and x_BCHW.dtype in _TYPES
        and x_BCHW.is_contiguous(memory_format=torch.channels_last)
        and min(x_BCHW.shape[2:]) > 1
        and instruction_set() is not None
        and not torch._C._are_functorch_transforms_active()  # as torch.autograd.Function.apply asks
    )


def pool_2x2(x_BCHW: torch.Tensor, *, relu: bool) -> torch.Tensor:
    """[B, C, H, W] -> [B, C, H // 2, W // 2], for images that :func:`reads` takes."""
    result: torch.Tensor = _Pool.apply(x_BCHW, relu)  # type: ignore[no-untyped-call]
    return result


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BCHW: torch.Tensor, relu: bool) -> torch.Tensor:
        n_images, n_channels, height, width = x_BCHW.shape
        out_BHWC = x_BCHW.new_empty((n_images, height // 2, width // 2, n_channels))
        which_BHWC = torch.empty(out_BHWC.shape, dtype=torch.uint8)
        _run("pool", x_BCHW.shape, x_BCHW, out_BHWC, which_BHWC, relu)
        ctx.save_for_backward(which_BHWC)
        ctx.shape = x_BCHW.shape
        return out_BHWC.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient_BCHW: torch.Tensor) -> tuple[torch.Tensor, None]:
        (which_BHWC,) = ctx.saved_tensors
        n_images, n_channels, height, width = ctx.shape
        to_BHWC = gradient_BCHW.new_empty((n_images, height, width, n_channels))
        gradient_BCHW = gradient_BCHW.contiguous(memory_format=torch.channels_last)
        _run("pool_back", ctx.shape, gradient_BCHW, to_BHWC, which_BHWC, relu=False)
        return to_BHWC.permute(0, 3, 1, 2), None


def _run(
    name: str, shape_BCHW: torch.Size, source: torch.Tensor, to: torch.Tensor, which: torch.Tensor, relu: bool
) -> None:
    kernels = kernels_of(instruction_set() or "")
    assert kernels is not None
    n_images, n_channels, height, width = shape_BCHW
    fields = PoolFields(
        int(source.dtype == torch.bfloat16),
        int(relu),
        n_images,
        height,
        width,
        n_channels,
        source.data_ptr(),
        to.data_ptr(),
        which.data_ptr(),
    )
    getattr(kernels, name)(byref(fields))
