"""Files of one's own as an estimator reads them: every row trains but the one that a data set cannot do without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s2e.data.datasets import load_whole
from s2e.data.own.propose import proposal
from s2e.data.root import environment_root
from s2e.door import parse_job
from s2e.own_files import Files
from s2e.own_frames import SMALLEST_SHARE
from s2e.parts import DATASETS
from s2e.words import DataSpec, TrainSpec


def read_whole(files: Mapping[str, Any]) -> tuple[DataSpec, str | None]:
    """The data of a mapping as ``s2e.from_files`` makes it (or as section ``data`` of a job has it, below
    S2E_DATA_ROOT), with as many rows to train on as can be. Raises SpecError."""
    root = files.root if isinstance(files, Files) else environment_root()
    section = dict(files)
    part = DATASETS[section["name"]] if section.get("name") in DATASETS else None
    if part is not None and any(name == "test_share" for name, *_ in part.field_lines()):
        section["params"] = {"test_share": SMALLEST_SHARE, **section.get("params", {})}
    if section.get("trusted"):
        section["trusted"] = {"n_test": 0, **section["trusted"]}
    return parse_job({"data": section, "report": {"tau": 0.0}}).data, root


def train_of(data: DataSpec, data_root: str | None) -> TrainSpec:
    """The network and the batches proposed for the data, trained plainly. Raises DataError as loading does."""
    whole = load_whole(data, data_root)
    asked = proposal(tuple(whole.train_images.shape[1:]), len(whole.train_labels), whole.n_classes).train
    section = {"name": data.name, "params": dict(data.params)}
    train = {**asked, "method": "standard"}
    return parse_job({"data": section, "train": train, "report": {"tau": 0.0}}).train
