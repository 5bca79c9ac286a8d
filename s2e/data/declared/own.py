"""Data of your own: tables, images, texts and embeddings, read from files below the data root."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2e.parts import DatasetPart, dataset
from s2e.parts.data import settings
from s2e.words import DataSpec, JobSpec, Problem, UnreadableError, param


@settings
class OwnData(DatasetPart):
    """Settings that all kinds of one's own data share."""

    path: str = param("", max_length=400, doc="the file or folder, as a path below the data root")
    test_path: str | None = param(
        None, max_length=400, doc="a source of test samples of the same kind; null: test_share of path's rows"
    )
    test_share: float = param(
        0.2, gt=0, lt=1, doc="stratified share of the rows that tests where there is no test source"
    )
    label_case: str = param(
        "refuse",
        choices=("refuse", "keep", "merge"),
        doc="labels that differ by upper and lower case only: named and refused, classes of their own, or one class",
    )

    def read(self, data: DataSpec, data_root: str | None) -> Any:
        return self.load()(data_root, data.trusted, **self.settings())

    def check(self, job: JobSpec) -> list[Problem]:  # noqa: ARG002
        """No path, or one that leaves the data root."""
        from s2e.data.root import leaves_root

        if not self.path:
            allowed = f"required for data set {self.name}: a path below the data root"
            return [Problem("data.params.path", self.path, allowed)]
        paths = {"path": self.path, "test_path": self.test_path or ""}
        return [
            Problem(f"data.params.{field}", path, "a path below the data root, without '..'")
            for field, path in paths.items()
            if leaves_root(path)
        ]


@settings
class _Table(OwnData):
    header: bool = param(True, doc="of a table of text: the first row holds column names")
    delimiter: str = param(
        "auto", choices=("auto", "comma", "semicolon", "tab"), doc="of a table of text: what separates cells"
    )


@dataset("table", load="s2e.data.own.table:load_table", shape=(None,), labels="given")
class Table(_Table):
    """A table of your own: CSV, TSV, Parquet, Arrow, or a Hugging Face data set folder.

    Columns of numbers are standardised, columns of text one-hot; ``?`` and empty cells are missing.
    """

    label: str = param("", max_length=200, doc="the column that holds the class; empty: the last")
    id_column: str | None = param(None, max_length=200, doc="a column of distinct ids, which are not features")
    exclude: tuple[str, ...] = param((), max_length=1_000, doc="columns that are not features")
    decimal: str = param(
        "auto",
        choices=("auto", "comma", "point"),
        doc="what marks decimals; auto: as columns without doubt have it, else points where commas separate cells",
    )
    row_numbers: str = param(
        "leave_out",
        choices=("leave_out", "keep"),
        doc="a column that numbers the rows, such as the index that pandas writes: no feature, or kept as one",
    )


@dataset("embeddings", load="s2e.data.own.table:load_embeddings", shape=(None,), labels="given")
class Embeddings(_Table):
    """Embeddings of your own: a Parquet, Arrow or Hugging Face table with a column of vectors, which are standardised.

    Vectors in NumPy's files are data set arrays.
    """

    column: str = param("embedding", max_length=200, doc="the column that holds the vectors, all of one length")
    label: str = param("label", max_length=200, doc="the column that holds the class; empty: the last")


@dataset("text", load="s2e.data.own.text:load_text", shape=(None,), labels="given")
class Text(_Table):
    """Texts of your own: a table with a column of texts, or one file for each text in one folder for each class."""

    text: str = param("text", max_length=200, doc="the column that holds the texts")
    label: str = param("label", max_length=200, doc="the column that holds the class")
    features: str = param(
        "tfidf",
        choices=("tfidf", "hashed"),
        doc="tfidf: weighted terms, reduced by their singular vectors; hashed: hashed terms, with nothing fitted",
    )
    n_words: int = param(1, ge=1, le=3, doc="longest run of words that is a term")
    n_terms: int = param(
        5_000, ge=10, le=100_000, doc="the most frequent terms that count; of hashed ones the features"
    )
    n_vectors: int = param(
        256, ge=0, le=1_000, doc="singular vectors, which are the features of tfidf; 0: the terms themselves"
    )

    @classmethod
    def counts_words(cls, data: DataSpec) -> bool:
        settings = cls.stored(data.params)
        return settings.features == "tfidf" and settings.n_vectors == 0


@settings
class _Images(OwnData):
    size: int = param(
        32, ge=8, le=512, doc="pixels of a side: images are scaled to cover the square, cut at its centre"
    )
    mode: str = param("rgb", choices=("rgb", "grey"), doc="channels: three, or one")
    unreadable: str = param(
        "refuse", choices=("refuse", "skip"), doc="for files that are not images, which are named in either case"
    )
    backbone: str = param(
        "none",
        max_length=60,
        doc="a torchvision classifier, such as resnet18, or inception_resnet_v2: samples are the features that its "
        "last layer reads, computed once, and the job's network is a head on them; none: samples are pixels",
    )
    weights: str = param(
        "none",
        max_length=400,
        doc="the backbone's state dict (.pth or .safetensors), a path below the data root; nothing is ever downloaded",
    )

    def check(self, job: JobSpec) -> list[Problem]:
        """A backbone without weights, weights without a backbone."""
        problems = super().check(job)
        if (self.backbone == "none") != (self.weights == "none"):
            allowed = "both or neither: a classifier of torchvision, and the file of its weights below the data root"
            problems.append(Problem("data.params.backbone", self.backbone, allowed))
        return problems

    @property
    def sample_shape(self) -> tuple[int | None, ...]:
        if self.backbone != "none":
            return (None,)
        return (1 if self.mode == "grey" else 3, self.size, self.size)

    @classmethod
    def shape_of(cls, data: DataSpec) -> tuple[int | None, ...] | None:
        """As the job's settings say; before they are checked, as far as they can be read."""
        try:
            return cls.stored(data.params).sample_shape
        except UnreadableError:
            return cls.shape


@dataset("images", load="s2e.data.own.images:load_folders", shape=(None, None, None), labels="given")
class Images(_Images):
    """Images of your own: one folder for each class, of files of any size; or such folders below train and test."""


@dataset("image_table", load="s2e.data.own.images:load_image_table", shape=(None, None, None), labels="given")
class ImageTable(_Images):
    """Images of your own: a table of paths, or of image files, with labels; Clothing1M and WebVision as published."""

    image: str = param("image", max_length=200, doc="the column that holds paths, or image files")
    label: str = param("label", max_length=200, doc="the column that holds the class")
    folder: str = param("", max_length=400, doc="what paths are below, below the data root; empty: the table's folder")
    layout: str = param(
        "columns",
        choices=("columns", "clothing1m", "webvision"),
        doc="columns: a table with a header; clothing1m, webvision: path is the folder of the set as published, or one "
        "of its lists",
    )
    most_classes: int | None = param(
        None, ge=2, le=1_000, doc="of a published layout: only classes below this number (WebVision's first 50)"
    )
    header: bool = param(True, doc="of a table of text: the first row holds column names")
    delimiter: str = param(
        "auto", choices=("auto", "comma", "semicolon", "tab"), doc="of a table of text: what separates cells"
    )

    def paths(self, data: DataSpec, root: Path) -> list[str]:
        """The images too."""
        from s2e.data.own.images import paths_of

        return paths_of(root, data.trusted, **self.settings())


def kinds() -> Sequence[str]:
    """Names of the data sets of one's own that this module declares."""
    return [cls.name for cls in (Table, Embeddings, Text, Images, ImageTable)]
