"""A job's training samples, labels and network, as the studies of labels read them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data.datasets import SplitData, load_split
from s2e.data.open_set import foreign_images
from s2e.networks.base import StackedNetwork
from s2e.networks.build import build
from s2e.parts import DATASETS
from s2e.train.crossfit import Samples
from s2e.train.resident import Resident, is_streamed, resident
from s2e.train.runtime import prepare_process
from s2e.train.seen import Seen, see
from s2e.words import JobSpec, derive_seed


@dataclass(frozen=True, eq=False)
class JobSamples:
    """Rows with the labels that the job's search trains on, its network, and the labels [S] before the noise."""

    samples: Samples
    network: StackedNetwork
    true_label_S: NDArray[np.int64]
    others: tuple[Samples, ...]
    """Rows that validate, and rows that test, with the labels they came with."""
    trusted: NDArray[np.int64]
    """Those of ``samples`` whose label is known to be right."""


def job_samples(spec: JobSpec, data_root: str | None = None) -> JobSamples:
    """The job's data on its device, in its arithmetic; images are not augmented.

    Raises DataError and SpecError as its training would.
    """
    device, dtype = prepare_process(spec.plan)
    data = load_split(spec.data, data_root)
    network = build(spec.train, data.train.images.shape[1:], data.n_classes, data_root)
    held = _resident(spec, data, network, device, data_root)
    every_row = torch.arange(len(data.train.labels))
    seen = see(spec.data, data, every_row, [derive_seed(spec.seed, "noise")], data_root, device)
    read, label_S = partial(held.scaled, dtype=dtype), seen.label_KS[0].cpu().numpy()
    samples = Samples(held.train.images, label_S, read, _row_of(seen), data.class_names)
    others = tuple(Samples(part.images, part.labels.cpu().numpy(), read) for part in (held.validation, held.test))
    trusted = np.empty(0, dtype=np.int64) if data.trusted is None else np.flatnonzero(data.trusted.numpy())
    return JobSamples(samples, network, seen.true_label_KS[0].cpu().numpy(), others, trusted)


def _resident(
    spec: JobSpec, data: SplitData, network: StackedNetwork, device: torch.device, data_root: str | None
) -> Resident:
    statistics = DATASETS[spec.data.name].mean_std if spec.data.normalise == "channels" else None
    return resident(
        data,
        type(network),
        device,
        statistics=statistics,
        foreign=foreign_images(spec.data, data_root),
        streamed=is_streamed(spec.plan, data),
    )


def _row_of(seen: Seen) -> torch.Tensor | None:
    """The image of each sample, where some are replaced."""
    return None if seen.image_row_KS is None else seen.image_row_KS[0]
