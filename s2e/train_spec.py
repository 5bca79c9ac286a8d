"""How one trial is trained: method, network, optimiser, step-size schedule, augmentation. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from s2e import catalog
from s2e.errors import Problem
from s2e.validation import param, to_json


@dataclass(frozen=True)
class TrainSpec:
    """How one trial is trained (S2E section 4: Adam, constant step size, then linear decay to 0)."""

    method: str = param("coteaching", choices=lambda: catalog.METHODS, doc="training method under the schedule")
    params: dict[str, Any] = param(
        dict, doc="hyperparameters of the method, by name; what is missing gets the paper's value"
    )
    network: str = param(
        "mlp",
        choices=lambda: catalog.NETWORKS,
        or_pattern=catalog.NETWORK_PATTERN,
        doc="network architecture, or torchvision:<name> for a classifier of torchvision",
    )
    network_params: dict[str, Any] = param(dict, doc="settings of the network, by name; what is missing gets defaults")
    n_epochs: int = param(40, ge=1, le=10_000, doc="epochs T of one trial; R(t) has one value for each")
    batch_size: int = param(128, ge=1, le=65_536, doc="samples in a mini-batch; the last incomplete batch is dropped")
    optimizer: str = param("adam", choices=("adam", "sgd"), doc="adam, or sgd with momentum")
    learning_rate: float = param(1e-3, gt=0, le=10, doc="step size at the first epoch")
    lr_schedule: str = param(
        "linear",
        choices=("linear", "constant", "multistep", "cosine_restarts"),
        doc="linear: constant, then falling to 0 from decay_start on; multistep: times lr_factor at each of "
        "lr_milestones; cosine_restarts: from learning_rate to lr_minimum along a half cosine, every lr_period epochs",
    )
    decay_start: float = param(
        0.4, ge=0, le=1, doc="linear: fraction of the epochs before the decay; also when beta1_decay sets in"
    )
    lr_milestones: tuple[int, ...] = param((), max_length=100, ge=1, le=10_000, doc="multistep: the epochs of a step")
    lr_factor: float = param(0.1, gt=0, le=1, doc="multistep: what the step size is multiplied by")
    lr_period: int = param(10, ge=1, le=10_000, doc="cosine_restarts: epochs from one restart to the next")
    lr_minimum: float = param(0.0, ge=0, le=10, doc="cosine_restarts: the step size at the end of a period")
    beta1: float = param(0.9, ge=0, lt=1, doc="Adam's beta1 before the decay")
    beta1_decay: float | None = param(
        None, ge=0, lt=1, doc="Adam's beta1 from decay_start on (Co-teaching 0.1); null: unchanged"
    )
    beta2: float = param(0.999, ge=0, lt=1, doc="Adam's beta2")
    momentum: float = param(0.9, ge=0, lt=1, doc="momentum of sgd")
    weight_decay: float = param(0.0, ge=0, le=1, doc="L2 penalty: this times the weight is added to every gradient")
    augment: str = param(
        "none",
        choices=("none", "crop_flip"),
        doc="crop_flip: each training image is padded by 4, cropped at random and mirrored half of the time",
    )


def train_problems(train: TrainSpec, path: str = "train") -> list[Problem]:
    """Values that contradict each other: a setting that the chosen optimiser or schedule does not use, a milestone
    that never comes."""
    default = {f.name: f.default for f in fields(TrainSpec)}
    problems = [
        Problem(f"{path}.{name}", to_json(value), f"{to_json(default[name])}, its default: {reason}")
        for name, reason in _unused(train).items()
        if (value := getattr(train, name)) != default[name]
    ]
    return problems + _schedule_problems(train, path)


def _unused(train: TrainSpec) -> dict[str, str]:
    """The settings without effect, and what would use each."""
    adam, schedule = train.optimizer == "adam", train.lr_schedule
    users = {
        "beta1": (adam, "only optimizer adam has it"),
        "beta1_decay": (adam, "only optimizer adam has it"),
        "beta2": (adam, "only optimizer adam has it"),
        "momentum": (train.optimizer == "sgd", "only optimizer sgd has it"),
        "decay_start": (
            schedule == "linear" or train.beta1_decay is not None,
            "only lr_schedule linear and beta1_decay use it",
        ),
        "lr_milestones": (schedule == "multistep", "only lr_schedule multistep uses it"),
        "lr_factor": (schedule == "multistep", "only lr_schedule multistep uses it"),
        "lr_period": (schedule == "cosine_restarts", "only lr_schedule cosine_restarts uses it"),
        "lr_minimum": (schedule == "cosine_restarts", "only lr_schedule cosine_restarts uses it"),
    }
    return {name: reason for name, (is_used, reason) in users.items() if not is_used}


def _schedule_problems(train: TrainSpec, path: str) -> list[Problem]:
    steps = train.lr_milestones
    if train.lr_schedule == "multistep":
        if not steps or list(steps) != sorted(set(steps)):
            return [Problem(f"{path}.lr_milestones", list(steps), "rising epochs, at least one, for multistep")]
        if steps[-1] >= train.n_epochs:
            allowed = f"epochs < {train.n_epochs}, the length of the training: later ones would never come"
            return [Problem(f"{path}.lr_milestones", list(steps), allowed)]
    if train.lr_schedule == "cosine_restarts" and train.lr_minimum > train.learning_rate:
        return [Problem(f"{path}.lr_minimum", train.lr_minimum, f"<= {train.learning_rate}, the learning_rate")]
    return []
