"""Files of your own, named in one call: ``s2e.from_files("images", "~/flowers", size=64)``."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2e.data.own.slips import IMAGES
from s2e.door import parse_job
from s2e.parts import DATASETS
from s2e.words import Problem, SpecError

if TYPE_CHECKING:
    from typing_extensions import TypeIs


N_LOOKED_AT = 50
"""Files of a folder."""


class Files(dict[str, Any]):
    """The section ``data`` of a job, with the folder ``root`` that its paths are below."""

    def __init__(self, section: Mapping[str, Any], root: str) -> None:
        super().__init__(section)
        self.root = root


def from_files(
    kind: str,
    path: str | Path,
    *,
    root: str | Path | None = None,
    trusted: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Files:
    """Data of your own, for :class:`s2e.sklearn.NoisyLabelClassifier`, :func:`s2e.find_label_issues` and jobs.

        flowers = s2e.from_files("images", "~/flowers", size=64)
        clf = NoisyLabelClassifier().fit(flowers)
        report = s2e.search({"data": flowers})

    ``kind`` is a data set of one's own that ``s2e list datasets`` shows (``table``, ``text``, ``images``), ``settings``
    are its settings, ``trusted`` is the section ``data.trusted``. ``root`` is the folder that further paths
    (``test_path``, ``weights``) are below; None: the folder that ``path`` lies in. Raises SpecError for settings that
    cannot be; files are looked at when they are used.
    """
    path = Path(path).expanduser().absolute()
    below = path.parent if root is None else Path(root).expanduser().absolute()
    if not path.is_relative_to(below):
        raise SpecError(Problem("path", str(path), f"a path below root = {below}"))
    own = [name for name, part in DATASETS.items() if part.labels == "given" and not part.section.endswith("csv")]
    if kind not in own:
        raise SpecError(Problem("kind", kind, f"data of one's own: {', '.join(own)}"))
    section: dict[str, Any] = {"name": kind, "params": {**settings, "path": path.relative_to(below).as_posix()}}
    if trusted is not None:
        section["trusted"] = dict(trusted)
    parse_job({"data": section, "report": {"tau": 0.0}})
    return Files(section, str(below))


ARROW = (".arrow", ".parquet")


def kind_of(path: str | Path) -> str:
    """The ``kind`` of :func:`from_files` that files look like: images, text, arrays, or table.

    Raises SpecError for a path that is not there.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise SpecError(Problem("path", str(path), "a file or folder that is there"))
    if path.is_file():
        return "arrays" if path.suffix == ".npz" else "table"
    files = (file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    suffixes = {file.suffix.lower() for file in islice(files, N_LOOKED_AT)}
    if (path / "X.npy").is_file():
        return "arrays"
    if suffixes & set(ARROW):
        return "table"
    return "images" if suffixes & IMAGES else "text"


def is_files(X: Any) -> TypeIs[Mapping[str, Any]]:
    """True for the section ``data`` of a job, and not for a sparse matrix that is a mapping too."""
    return isinstance(X, Mapping) and not hasattr(X, "shape")


def root_of(job: Any, data_root: str | Path | None) -> str | Path | None:
    """The data root of a job: the one given, else that of its files, where it was made by :func:`from_files`."""
    data = job.get("data") if isinstance(job, Mapping) else None
    return data.root if data_root is None and isinstance(data, Files) else data_root
