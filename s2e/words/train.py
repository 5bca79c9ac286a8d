"""The training of one trial: method, network, optimiser, step-size schedule, augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s2e.words.fields import param

NETWORK_PATTERN = "torchvision:[a-z0-9_]{1,40}"


@dataclass(frozen=True)
class TrainSpec:
    """The training of one trial (S2E section 4: Adam, constant step size, then linear decay to 0)."""

    method: str = param("coteaching", names="methods", doc="training method under the schedule")
    params: dict[str, Any] = param(
        dict, doc="hyperparameters of the method, by name; what is missing gets the paper's value"
    )
    network: str = param(
        "mlp",
        names="networks",
        or_pattern=NETWORK_PATTERN,
        doc="network architecture, or torchvision:<name> for a classifier of torchvision",
    )
    network_params: dict[str, Any] = param(dict, doc="settings of the network, by name; what is missing gets defaults")
    n_epochs: int = param(40, ge=1, le=10_000, doc="epochs T of one trial; R(t) has one value for each")
    batch_size: int = param(128, ge=1, le=65_536, doc="samples in a mini-batch; the last incomplete batch is dropped")
    optimizer: str = param("adam", choices=("adam", "sgd"), doc="adam, or sgd with momentum")
    learning_rate: float = param(1e-3, gt=0, le=10, doc="step size at the first epoch")
    lr_schedule: str = param(
        "linear",
        choices=("linear", "constant", "multistep", "stages", "cosine_restarts"),
        doc="linear: constant, then falling to 0 from decay_start on; multistep: times lr_factor at each of "
        "lr_milestones; stages: that of lr_values from the lr_milestones of the same place on; cosine_restarts: from "
        "learning_rate to lr_minimum along a half cosine, every lr_period epochs",
    )
    decay_start: float = param(
        0.4, ge=0, le=1, doc="linear: fraction of the epochs before the decay; also when beta1_decay sets in"
    )
    lr_milestones: tuple[int, ...] = param(
        (), max_length=100, ge=1, le=10_000, doc="multistep and stages: the epochs at which the step size changes"
    )
    lr_factor: float = param(0.1, gt=0, le=1, doc="multistep: what the step size is multiplied by")
    lr_values: tuple[float, ...] = param(
        (), max_length=100, gt=0, le=10, doc="stages: the step size from each milestone on; it may rise"
    )
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
    revise: str = param(
        "none",
        choices=("none", "drop", "relabel", "soften"),
        doc="what becomes of the labels that data.audit names. drop: their rows do not train; relabel: they get the "
        "likely label; soften: in each epoch the one or the other, by even chances, which trains on both",
    )
