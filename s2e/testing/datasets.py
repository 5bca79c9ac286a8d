"""The contract of a data set.

S samples, H x W pixels, D channels, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from s2e.data.datasets import Dataset, load_split, load_whole, noisy_labels
from s2e.data.root import environment_root
from s2e.data.rows import blocks_of
from s2e.door import parse_job
from s2e.parts import DATASETS
from s2e.testing.suite import Contract
from s2e.train.trial import PopulationEnd, train_population
from s2e.words import DataError, DataSpec, NoiseSpec, PlanSpec, Population, SpecError, TrainSpec, TrialSpec

N_TRAIN = 64


class DatasetContract(Contract):
    """Set ``dataset``: a registered name, or a list. Files are read below the folder that S2E_DATA_ROOT names.

    ``settings`` are those of ``data.params``: {dataset: {setting: value}}.
    """

    kind: ClassVar[str] = "dataset"
    dataset: ClassVar[str | Sequence[str]] = ()
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def spec(self, dataset: str, **more: Any) -> DataSpec:
        """The data of a small job: symmetric noise, 64 samples to train and as many to validate."""
        noise = NoiseSpec("symmetric", 0.4)
        params = dict(self.settings.get(dataset, {}))
        return DataSpec(name=dataset, params=params, noise=noise, n_validation=N_TRAIN, n_train=N_TRAIN, **more)

    def whole(self, dataset: str) -> Dataset:
        """All of it, as the engine reads it."""
        return load_whole(self.spec(dataset), environment_root())

    def test_it_is_what_it_declares(self, dataset: str) -> None:
        """A fact that only reading tells is declared as None."""
        part, data = DATASETS[dataset], self.whole(dataset)
        for name, read in {
            "n_train": len(data.train_labels),
            "n_test": len(data.test_labels),
            "n_classes": data.n_classes,
        }.items():
            assert getattr(part, name) in (None, read), name
        shape = tuple(data.train_images.shape[1:])
        declared = part.shape or (None,) * len(shape)
        assert len(declared) == len(shape)
        assert all(ours in (None, read) for ours, read in zip(declared, shape, strict=True))

    def test_samples_are_images_or_features_with_a_label_each(self, dataset: str) -> None:
        data = self.whole(dataset)
        for samples, labels in (
            (data.train_images, data.train_labels),
            (data.test_images, data.test_labels),
        ):
            assert labels.dtype == torch.int64
            if samples.dim() == 4:
                assert samples.dtype == torch.uint8
                assert all(int(block.max()) <= data.max_value for block in blocks_of(samples))
            else:
                assert samples.dtype == torch.float32
                assert samples.dim() == 2
                assert all(block.isfinite().all() for block in blocks_of(samples))
                assert data.max_value == 1
        assert (torch.bincount(data.train_labels, minlength=data.n_classes) > 0).all()

    def test_reading_it_again_gives_the_same(self, dataset: str) -> None:
        data, part = self.whole(dataset), DATASETS[dataset].of(self.settings.get(dataset, {}))
        again = part.read(self.spec(dataset), environment_root())
        for name in ("train_images", "train_labels", "test_images", "test_labels"):
            assert torch.equal(getattr(again, name), getattr(data, name)), name

    def test_without_its_files_it_says_where_they_should_be(self, dataset: str, tmp_path: Path) -> None:
        """A data set that brings its samples along does without."""
        part, folder = DATASETS[dataset].of(self.settings.get(dataset, {})), str(tmp_path)
        try:
            labels = part.read(self.spec(dataset), folder).train_labels
        except DataError as error:
            said = str(error)
        else:
            assert torch.equal(labels, self.whole(dataset).train_labels)
            return
        assert folder in said

    def test_validation_samples_are_not_trained_on(self, dataset: str) -> None:
        split = load_split(self.spec(dataset))
        assert len(split.train.labels) == len(split.validation.labels) == N_TRAIN
        assert not set(split.train_rows.tolist()) & set(split.validation_rows.tolist())

    def test_more_samples_than_there_are_are_refused(self, dataset: str) -> None:
        """At the door where the declaration says how many there are, else when they are read."""
        params, too_many = dict(self.settings.get(dataset, {})), len(self.whole(dataset).train_labels) + 1
        if DATASETS[dataset].n_train is not None:
            with pytest.raises(SpecError, match=r"data\.n_train"):
                parse_job({"data": {"name": dataset, "params": params, "n_train": too_many}})
        with pytest.raises(DataError, match=r"data\.n_train"):
            load_split(DataSpec(name=dataset, params=params, n_train=too_many))

    def test_noise_replaces_training_labels_only(self, dataset: str) -> None:
        spec = self.spec(dataset)
        clean, noisy = load_split(spec).train.labels, noisy_labels(spec, 7)
        assert 0.1 < (clean != noisy).double().mean() < 0.7
        assert torch.equal(noisy_labels(spec, 7), noisy)
        assert int(noisy.max()) < self.whole(dataset).n_classes

    def test_a_network_trains_on_it(self, dataset: str) -> None:
        is_image = self.whole(dataset).train_images.dim() == 4
        train = TrainSpec(n_epochs=2, batch_size=16, network="mlp" if is_image else "mlp_tabular")
        trial = TrialSpec(0, 0, "search", 0, (1.0, 0.5), 1, 2, 3)
        *_, end = train_population(Population(self.spec(dataset), train, PlanSpec(), 1, (trial,)))
        assert isinstance(end, PopulationEnd)
        assert not end.results[0].failed
