"""A trial stopped after any epoch, and resumed with the same result: alone, or with others that stopped there too.

A checkpoint is one trial's slice of the stack: weights, optimiser history and what the method remembers. Random numbers
need no place in it, because every epoch draws them anew from (seed, purpose, epoch).

Legend: K trials, N networks per trial, G = K * N stacked networks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from s2e.extras import needs
from s2e.networks.base import Tensors
from s2e.train.population import StackedTrials
from s2e.words import DataError, EpochMetrics, read, to_json


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One trial after ``n_epochs_done`` epochs. ``tensors``, on the CPU: ``network.<name>`` [N, ...],
    ``optimizer.<name>.<key>`` [N, ...] or without axes, ``state.<name>`` [...], ``margins.<name>`` [..., S]."""

    n_epochs_done: int
    tensors: Tensors
    history: tuple[EpochMetrics, ...]
    """Every epoch so far: the objective is a mean over the last of all of them."""

    def header(self) -> dict[str, str]:
        """All but the tensors, as the texts a safetensors file holds beside them."""
        return {"n_epochs_done": str(self.n_epochs_done), "history": json.dumps(to_json(self.history))}

    @classmethod
    def from_file(cls, tensors: Tensors, header: Mapping[str, str]) -> Checkpoint:
        """The checkpoint that :meth:`header` and the tensors were made from."""
        rows = json.loads(header["history"])
        return cls(int(header["n_epochs_done"]), tensors, tuple(read(EpochMetrics, row) for row in rows))


def read_tensors(content: bytes) -> tuple[Tensors, dict[str, str]]:
    """The tensors of a safetensors file, and the texts beside them."""
    with needs("train"):
        from safetensors.torch import load
    n = int.from_bytes(content[:8], "little")
    return load(content), json.loads(content[8 : 8 + n]).get("__metadata__", {})


def take(trials: StackedTrials, k: int, n_epochs_done: int, history: Sequence[EpochMetrics]) -> Checkpoint:
    """The stacked trial ``k`` as it is now, copied."""
    n_networks = trials.method.n_networks
    mine = slice(k * n_networks, (k + 1) * n_networks)
    tensors = {f"network.{name}": tensor[mine] for name, tensor in trials.tensors.items()}
    for name in trials.parameter_names:
        for key, value in trials.optimizer.state[trials.tensors[name]].items():
            if value is not None:  # SGD without momentum keeps an empty buffer
                tensors[f"optimizer.{name}.{key}"] = value[mine] if value.dim() else value
    tensors |= {f"state.{name}": tensor[k] for name, tensor in trials.method_state.items()}
    if trials.margins is not None:
        tensors |= trials.margins.tensors(k)
    return Checkpoint(n_epochs_done, {n: t.detach().cpu().clone() for n, t in tensors.items()}, tuple(history))


def restore(trials: StackedTrials, checkpoints: Sequence[Checkpoint]) -> None:
    """Put every stacked trial where its checkpoint was taken; trial k takes ``checkpoints[k]``.

    Raises DataError for checkpoints of other trainings: of another length, network, method or data set.
    """
    if len({checkpoint.n_epochs_done for checkpoint in checkpoints}) > 1:
        raise DataError(f"checkpoints of unequal length: {[c.n_epochs_done for c in checkpoints]} epochs")
    with torch.no_grad():
        for name, tensor in trials.tensors.items():
            tensor.copy_(_joined(checkpoints, f"network.{name}", torch.cat, tensor.shape))
    trials.optimizer.state.clear()
    for name in trials.parameter_names:
        parameter, prefix = trials.tensors[name], f"optimizer.{name}."
        keys = [key.removeprefix(prefix) for key in checkpoints[0].tensors if key.startswith(prefix)]
        trials.optimizer.state[parameter] = {key: _moment(checkpoints, prefix + key, parameter) for key in keys}
    trials.method_state = {
        name: _joined(checkpoints, f"state.{name}", torch.stack, tensor.shape).to(tensor)
        for name, tensor in trials.method_state.items()
    }
    if trials.margins is not None and not trials.margins.restore([checkpoint.tensors for checkpoint in checkpoints]):
        trials.margins = None  # of an earlier release, which kept none


def _moment(checkpoints: Sequence[Checkpoint], name: str, parameter: torch.Tensor) -> torch.Tensor:
    """A moment of the stack; Adam's step counter has no axes and is one for all trials that stopped together."""
    first = checkpoints[0].tensors[name]
    if not first.dim():
        return first.clone()
    return _joined(checkpoints, name, torch.cat, parameter.shape).to(parameter)


def _joined(
    checkpoints: Sequence[Checkpoint], name: str, join: Callable[[list[torch.Tensor]], torch.Tensor], shape: torch.Size
) -> torch.Tensor:
    try:
        joined = join([checkpoint.tensors[name] for checkpoint in checkpoints])
    except (KeyError, RuntimeError) as error:
        raise DataError(f"the checkpoint does not fit this training: {name}: {error}") from error
    if joined.shape != shape:
        raise DataError(
            f"the checkpoint does not fit this training: {name} is {tuple(joined.shape)}, not {tuple(shape)}"
        )
    return joined
