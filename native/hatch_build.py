"""Compiles the native step into the wheel where a compiler is at hand; without one, or with S2E_NATIVE=0, the wheel is
pure Python."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = "s2e/networks/_native.so"


class NativeStep(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  hatchling's signature
        """Before a wheel is made, an editable one too: then the library lies beside the source."""
        if os.environ.get("S2E_NATIVE") == "0":
            return
        spec = importlib.util.spec_from_file_location("native_build", Path(self.root) / "native" / "build.py")
        assert spec is not None
        assert spec.loader is not None
        native = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(native)
        names = native.build(Path(self.root) / LIBRARY)
        if not names:
            self.app.display_warning("no C++ compiler for this processor: training takes the torch step")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["artifacts"].append(f"/{LIBRARY}")
