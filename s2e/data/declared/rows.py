"""Data sets of feature vectors: word counts, and a table of the user's own."""

from __future__ import annotations

from typing import Any

from s2e.parts import DatasetPart, dataset
from s2e.parts.part import FieldLine
from s2e.words import CsvSpec, DataSpec, JobSpec, Problem, field_lines, param

N_TERMS, N_GROUPS = 5_000, 20
"""Of 20 Newsgroups. Twice the terms cost twice the time of a step; half of them cost 6 points of test accuracy (0.70
for 0.76)."""


@dataset(
    "newsgroups20",
    load="s2e.data.text:load_newsgroups20",
    n_train=11_314,
    n_test=7_532,
    n_classes=N_GROUPS,
    shape=(N_TERMS,),
)
class Newsgroups20(DatasetPart):
    """20 Newsgroups: 11,314 + 7,532 posts as log counts of 5,000 terms, from the data root."""

    @classmethod
    def counts_words(cls, data: DataSpec) -> bool:  # noqa: ARG003
        return True


@dataset("csv", load="s2e.data.tabular:load_csv", shape=(None,), labels="given")
class Csv(DatasetPart):
    """A table of your own: the CSV file data.csv.path below the data root.

    Its settings are the job's section ``data.csv``. Its labels are taken as given: nothing is injected into them unless
    a job asks for it.
    """

    section = "data.csv"

    @classmethod
    def field_lines(cls) -> list[FieldLine]:
        return field_lines(CsvSpec)

    def read(self, data: DataSpec, data_root: str | None) -> Any:
        return self.load()(data_root, data.csv, data.trusted)

    @classmethod
    def shape_of(cls, data: DataSpec) -> tuple[int | None, ...] | None:
        return data.csv.image or cls.shape

    def check(self, job: JobSpec) -> list[Problem]:
        """A table without a file, one whose path leaves the data root, images that are not D x H x W."""
        from s2e.data.root import leaves_root

        table = job.data.csv
        if len(table.image) not in (0, 3):
            return [Problem("data.csv.image", list(table.image), "depth, height and width, or nothing")]
        if not table.path:
            return [Problem("data.csv.path", table.path, "required for data set csv: a path below the data root")]
        return [
            Problem(f"data.csv.{field}", path, "a path below the data root, without '..'")
            for field, path in (("path", table.path), ("test_path", table.test_path or ""))
            if leaves_root(path)
        ]


@dataset("arrays", load="s2e.data.arrays:load_arrays", labels="given")
class Arrays(DatasetPart):
    """Arrays of your own: an .npz file or a folder of .npy, with X and y, and X_test and y_test where there are some.

    X holds features [S, F], such as embeddings, or uint8 images [S, H, W] or [S, D, H, W].
    """

    path: str = param("", max_length=400, doc="the file or folder, as a path below the data root")
    test_share: float = param(0.2, gt=0, lt=1, doc="stratified share of the rows that tests where there is no X_test")
    scale: str = param(
        "none", choices=("none", "standardise"), doc="none: features as they are, with a deviation near 1 already"
    )
    rare: str = param("refuse", choices=("refuse", "keep"), doc="classes of one row: named and refused, or trained on")

    def read(self, data: DataSpec, data_root: str | None) -> Any:
        return self.load()(data_root, **self.settings(), trusted=data.trusted)

    def check(self, job: JobSpec) -> list[Problem]:  # noqa: ARG002
        """No file, or one whose path leaves the data root."""
        from s2e.data.root import leaves_root

        if self.path and not leaves_root(self.path):
            return []
        return [Problem("data.params.path", self.path, "required for data set arrays: a path below the data root")]
