"""A trained network for use elsewhere: one file with the network and all that new rows need.

    safetensors   as it is kept: the tensors, and a .json beside them; ``s2e.load_model``
    torchscript   one file that torch alone runs: ``torch.jit.load(path)(x)``; ``s2e.load_model`` too, for rows
    onnx          one file for any ONNX runtime

The last two take samples as the data have them, float32 [S, ...] (pixels not divided by anything; features of a table
encoded), and give logits [S, C]. The description, with encoder and names of the classes, goes with the file: inside a
TorchScript file, and as metadata of an ONNX model.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from s2e.artifacts import SCRIPT_DESCRIPTION, load_model, read_model, write_json
from s2e.extras import needs
from s2e.files import write_atomic
from s2e.words import Problem, S2EError, SpecError

with needs("train"):
    import torch
    from torch import nn

    from s2e.fitted_model import FittedNetwork
    from s2e.model import Model

SUFFIXES = {"safetensors": ".safetensors", "torchscript": ".pt", "onnx": ".onnx"}
OPSET = 18


class Scaled(nn.Module):
    """The network with the scaling of its samples in front."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network = model.network
        max_value, mean, deviation = model.scaling
        per_channel = (1, -1, 1, 1) if mean else (1,)
        self.max_value = float(max_value)
        self.register_buffer("mean", torch.tensor(mean or (0.0,)).view(per_channel))
        self.register_buffer("deviation", torch.tensor(deviation or (1.0,)).view(per_channel))

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Logits [S, C]."""
        logits: torch.Tensor = self.network((samples / self.max_value - self.mean) / self.deviation)
        return logits


def export_model(path: str | Path, target: str | Path, format: str = "safetensors", network: int | None = None) -> Path:  # noqa: A002
    """Write a network of a model file, which :func:`s2e.load_model` chooses by ``network``, as ``target``; the path
    written, with the format's suffix.

    Raises SpecError for an unknown format, DataError for a file or network that is not there, S2EError for ONNX
    without its packages.
    """
    if format not in SUFFIXES:
        raise SpecError(Problem("format", format, "one of " + ", ".join(SUFFIXES)))
    target = Path(target).with_suffix(SUFFIXES[format])
    target.parent.mkdir(parents=True, exist_ok=True)
    if format == "safetensors":
        return _as_kept(Path(path), target)
    model = load_model(path, network)
    if isinstance(model.network, FittedNetwork):
        raise SpecError(Problem("format", format, f"safetensors: {model.described['train']['method']} is no network"))
    described = {**model.described, "shape": _unscaled(model.described["shape"])}
    writers: Mapping[str, Callable[[Scaled, Path, torch.Tensor, dict[str, Any]], None]] = {
        "torchscript": _torchscript,
        "onnx": _onnx,
    }
    example = torch.zeros(2, *model.described["shape"]["input_shape"])
    writers[format](Scaled(model).eval(), target, example, described)
    return target


def _unscaled(shape: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a file that scales by itself: a reader must not do it again."""
    inputs = {**shape.get("inputs", {}), "mean": [], "deviation": []}
    return {**shape, "max_value": 1, "inputs": inputs}


def _as_kept(path: Path, target: Path) -> Path:
    _, described = read_model(path)
    write_json(target.with_suffix(".json"), described)
    write_atomic(target, path.read_bytes())
    return target


def _torchscript(module: Scaled, target: Path, example: torch.Tensor, described: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch prefers torch.export, which writes no file that libtorch runs alone
        traced = torch.jit.trace(module, example)
        torch.jit.save(traced, str(target), _extra_files={SCRIPT_DESCRIPTION: json.dumps(described)})


def _onnx(module: Scaled, target: Path, example: torch.Tensor, described: dict[str, Any]) -> None:
    try:
        import onnx
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ModuleNotFoundError as error:
        raise S2EError("exporting ONNX needs two packages more: pip install onnx onnxscript") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (example,),
            dynamic_shapes=({0: torch.export.Dim("rows")},),
            input_names=["samples"],
            output_names=["logits"],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(proto, {"s2e": json.dumps(described)})
    write_atomic(target, proto.SerializeToString())
