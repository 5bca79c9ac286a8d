"""From the words of a job to a network, with every refusal before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from s2e import catalog
from s2e.networks.base import StackedNetwork
from s2e.networks.limits import image_problems
from s2e.networks.params import parse_network_params
from s2e.words import SpecError, TrainSpec


def network_class(name: str) -> type[StackedNetwork]:
    """The class behind a network's name. Raises SpecError for an unknown one."""
    found: type[StackedNetwork] = catalog.load_entry(catalog.network_entry(name))
    return found


def build(train: TrainSpec, input_shape: Sequence[int], n_classes: int) -> StackedNetwork:
    """The network of a job for samples of ``input_shape`` (D, H, W).

    Raises SpecError for settings that do not exist, images that are too small, or a classifier torchvision lacks.
    """
    problems = image_problems(train.network, input_shape)
    if problems:
        raise SpecError(*problems)
    params = parse_network_params(train.network, train.network_params)
    variant = train.network.partition(":")[2]
    return network_class(train.network)(input_shape, n_classes, params, variant)
