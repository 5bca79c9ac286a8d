"""A trained network out of the artifact store, as a plain ``torch.nn.Module``:

from workers.modules import load_module

network = load_module("s2e-home/artifacts", "<job>/round-7/trial-0-attempt-1.safetensors")
classes = network(images).argmax(-1)     # images in [0, 1], as float32 of the shape the JSON file states
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from s2e.networks.build import build
from s2e.words import DataError, TrainSpec, parse
from workers.artifacts import load_model


def load_module(root: str | Path, relative: str, network: int = 0) -> nn.Module:
    """Network number ``network`` of a trial (Co-teaching has two), in evaluation mode.

    Images were divided by ``shape.max_value`` of the JSON file beside it and normalised as its ``data.normalise`` says.
    Raises DataError for a number that the trial does not have.
    """
    tensors, described = load_model(root, relative)
    prefix = f"network{network}."
    state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    if not state:
        numbers = sorted({name.split(".")[0].removeprefix("network") for name in tensors})
        raise DataError(f"network = {network}: the trial has networks {', '.join(numbers)}")
    shape = described["shape"]
    return build(parse(TrainSpec, described["train"]), shape["input_shape"], shape["n_classes"]).to_module(state)
