"""The compiled library of the native step: found, loaded, and asked what this processor can run. Imports no torch.

``native/`` holds its source, ``native/build.py`` compiles it; the structures mirror ``native/stack.h``. The library is
optional: without it everything trains by the torch step.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, Structure, c_char_p, c_double, c_int32, c_int64, c_void_p
from functools import lru_cache
from pathlib import Path

LIBRARY = Path(__file__).with_name("_native.so")
INTERFACE = 2
"""The answer expected of :data:`LIBRARY`: it was compiled from the source beside this file."""
INSTRUCTION_SETS = ("avx512", "avx2", "neon")
"""Best first. All of them compute the same bits."""
HALF_SETS = ("amx", "avx512bf16")
"""Those with bfloat16 products, best first; each rounds sums in its own way."""
UP_TO = {"default": (), "avx2": ("avx2",)}
"""The instruction sets that torch's ATEN_CPU_CAPABILITY leaves, to stand in for an older processor everywhere."""


class SpecFields(Structure):
    _fields_ = (
        ("is_double", c_int32),
        ("n_trials", c_int32),
        ("n_networks", c_int32),
        ("n_layers", c_int32),
        ("batch", c_int32),
        ("sizes", POINTER(c_int64)),
        ("weight", POINTER(c_void_p)),
        ("bias", POINTER(c_void_p)),
        ("weight_first", POINTER(c_void_p)),
        ("weight_second", POINTER(c_void_p)),
        ("bias_first", POINTER(c_void_p)),
        ("bias_second", POINTER(c_void_p)),
        ("images", c_void_p),
        ("image_type", c_int32),
        ("max_value", c_double),
        ("mean", c_void_p),
        ("deviation", c_void_p),
        ("n_orders", c_int32),
        ("is_half", c_int32),
        ("looks_first", c_int32),
    )


class OptimizerFields(Structure):
    _fields_ = (
        ("is_adam", c_int32),
        ("step_size", c_double),
        ("beta1", c_double),
        ("beta2", c_double),
        ("epsilon", c_double),
        ("weight_decay", c_double),
        ("momentum", c_double),
        ("steps_done", c_int64),
    )


class EpochFields(Structure):
    _fields_ = (
        ("n_steps", c_int64),
        ("row", c_void_p),
        ("label", c_void_p),
        ("by_rank", c_void_p),
        ("is_uniform", c_int32),
        ("exchanges", c_int32),
        ("loss", c_void_p),
        ("weight", c_void_p),
        ("predicted", c_void_p),
        ("margin", c_void_p),
    )


class PredictionFields(Structure):
    _fields_ = (("n_samples", c_int64), ("predicted", c_void_p), ("finite", c_void_p))


class PoolFields(Structure):
    _fields_ = (
        ("is_half", c_int32),
        ("relu", c_int32),
        ("n_images", c_int64),
        ("height", c_int64),
        ("width", c_int64),
        ("n_channels", c_int64),
        ("from_", c_void_p),
        ("to", c_void_p),
        ("which", c_void_p),
    )


class Kernels(Structure):
    _fields_ = (
        ("make", ctypes.CFUNCTYPE(c_void_p, POINTER(SpecFields))),
        ("epoch", ctypes.CFUNCTYPE(None, c_void_p, POINTER(OptimizerFields), POINTER(EpochFields))),
        ("forward", ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_void_p)),
        ("backward", ctypes.CFUNCTYPE(None, c_void_p, POINTER(OptimizerFields), c_void_p, c_void_p)),
        ("predict", ctypes.CFUNCTYPE(None, c_void_p, POINTER(PredictionFields))),
        ("drop", ctypes.CFUNCTYPE(None, c_void_p)),
        ("pool", ctypes.CFUNCTYPE(None, POINTER(PoolFields))),
        ("pool_back", ctypes.CFUNCTYPE(None, POINTER(PoolFields))),
    )


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(str(LIBRARY))
        if library.s2e_interface() != INTERFACE:
            return None
    except (OSError, AttributeError):
        return None
    library.s2e_kernels_of.restype = POINTER(Kernels)
    library.s2e_kernels_of.argtypes = [c_char_p]
    return library


def instruction_set(*, half: bool = False) -> str | None:
    """The instruction set the compiled step would use on this processor, ``half``: in bfloat16; None where there is
    none."""
    sets = HALF_SETS if half else INSTRUCTION_SETS
    allowed = UP_TO.get(os.environ.get("ATEN_CPU_CAPABILITY", ""), sets)
    return next((name for name in sets if name in allowed and kernels_of(name) is not None), None)


@lru_cache(maxsize=4)
def kernels_of(name: str) -> Kernels | None:
    library = _library()
    table = library.s2e_kernels_of(name.encode()) if library else None
    kernels: Kernels | None = table.contents if table else None
    return kernels
