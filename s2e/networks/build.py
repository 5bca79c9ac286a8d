"""From the words of a job to a network, with every refusal before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from s2e.data.root import environment_root
from s2e.networks.base import StackedNetwork
from s2e.parts import NETWORKS
from s2e.words import SpecError, TrainSpec


def build(train: TrainSpec, input_shape: Sequence[int], n_classes: int, data_root: str | None = None) -> StackedNetwork:
    """The network of a job for samples of ``input_shape`` (D, H, W) or (F,); files of weights lie below ``data_root``,
    or below the folder the environment names.

    Raises SpecError for settings that do not exist, images that are too small, or a classifier torchvision lacks.
    """
    part = NETWORKS.find(train.network, "train.network")
    if problems := part.misfits(input_shape, train.network):
        raise SpecError(*problems)
    variant = train.network.partition(":")[2]
    network: StackedNetwork = part.stored(train.network_params).make(
        input_shape, n_classes, variant=variant, data_root=data_root or environment_root()
    )
    return network
