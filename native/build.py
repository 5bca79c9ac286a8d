"""Compiles the native step: ``python native/build.py TARGET``. Needs g++ or clang++ and nothing of Python or torch.

The kernels are compiled once for each instruction set; the library chooses among them when it is loaded. What a
compiler does not know is left out. Nobody needs the library: without it the training engine takes the torch step.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
# No contraction: where a multiplication and an addition are one, the source says so, and all widths give the same bits.
FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
FLAGS += ["-fno-exceptions", "-fno-rtti", "-fvisibility=hidden"]
AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"]
X86 = {
    "amx": [*AVX512, "-mavx512bf16", "-mamx-tile", "-mamx-bf16"],
    "avx512bf16": [*AVX512, "-mavx512bf16"],
    "avx512": AVX512,
    "avx2": ["-mavx2", "-mfma"],
}
SETS = {"x86_64": X86, "amd64": X86, "aarch64": {"neon": []}, "arm64": {"neon": []}}


def compiler() -> str | None:
    """A C++ compiler, $CXX before others."""
    for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++"):
        if name and shutil.which(name):
            return name
    return None


def build(target: Path) -> list[str]:
    """Write the library to ``target``; the instruction sets in it, none where nothing could be compiled."""
    cxx, sets = compiler(), SETS.get(platform.machine().lower(), {})
    if cxx is None or not sets:
        return []
    with tempfile.TemporaryDirectory() as folder:
        objects = {name: Path(folder) / f"{name}.o" for name in sets}
        built = [
            name for name in sets if _compile(cxx, "stack.cpp", objects[name], [f"-DS2E_TABLE=s2e_{name}", *sets[name]])
        ]
        dispatch = Path(folder) / "dispatch.o"
        if not built or not _compile(cxx, "dispatch.cpp", dispatch, [f"-DS2E_{name.upper()}" for name in built]):
            return []
        parts = [str(objects[name]) for name in built]
        made = Path(folder) / "library"
        unneeded = ["-Wl,--as-needed", "-s"] if sys.platform == "linux" else []
        command = [cxx, "-shared", *unneeded, "-o", str(made), str(dispatch), *parts, "-lm"]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            return []
        aside = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copy(made, aside)
        aside.replace(target)  # a process that has loaded the old one keeps it
    return built


def _compile(cxx: str, source: str, made: Path, flags: list[str]) -> bool:
    command = [cxx, *FLAGS, *flags, "-c", str(SOURCE / source), "-o", str(made)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


if __name__ == "__main__":
    names = build(Path(sys.argv[1]))
    sys.stdout.write(f"{sys.argv[1]}: {', '.join(names) or 'not built: no C++ compiler for this processor'}\n")
