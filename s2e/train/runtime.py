"""Process-wide settings of a trainer: memory, denormals, threads, and whether the planned arithmetic exists here."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch

from s2e.networks.library import UP_TO
from s2e.words import PlanSpec, Problem, SpecError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MMAP_THRESHOLDS = (1 << 30, 1 << 25)
"""1 GiB; where glibc refuses that, its own maximum of 32 MiB."""


def prepare_process(plan: PlanSpec) -> tuple[torch.device, torch.dtype]:
    """Set this process up for a population and return where and in what arithmetic it trains. Repeating it is free.

    Raises SpecError where the plan asks for a device or arithmetic that this machine does not have.
    """
    if plan.device == "cuda":
        _prepare_cuda()
    elif plan.dtype == "bfloat16" and not has_fast_bfloat16():
        allowed = "float32 or float64 here: this processor has no bfloat16 arithmetic (AMX or AVX512-BF16)"
        raise SpecError(Problem("plan.dtype", plan.dtype, allowed))
    _keep_freed_pages()
    if torch.get_num_threads() != plan.threads:
        torch.set_num_threads(plan.threads)
    return torch.device(plan.device), DTYPES[plan.dtype]


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Denormal numbers count as zero inside: late in training a fifth of Adam's first moments is denormal, which made a
    step three times slower. Restored afterwards, because a search in the same process must not compute differently."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def threads_given_back() -> Iterator[None]:
    """A plan sets the number of torch's threads for the whole process; what comes after it is none of its business."""
    n_threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def has_fast_bfloat16() -> bool:
    """True if this processor multiplies bfloat16 matrices in hardware, and does not stand in for an older one."""
    if os.environ.get("ATEN_CPU_CAPABILITY") in UP_TO:
        return False
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def _prepare_cuda() -> None:
    if not torch.cuda.is_available():
        raise SpecError(Problem("plan.device", "cuda", "cpu here: torch sees no CUDA device"))
    # A replay must give the same numbers, and autotuning picks other kernels from run to run.
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


@lru_cache(maxsize=1)
def _keep_freed_pages() -> None:
    """Let glibc keep the memory that a step frees for the next: else the kernel zeroes the same pages every step."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_TOP_PAD, 64 << 20)
    for threshold in _MMAP_THRESHOLDS:
        if mallopt(_M_MMAP_THRESHOLD, threshold):
            return
