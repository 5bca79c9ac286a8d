"""The calls of :class:`s2e.client.S2EClient` about data sets."""

from __future__ import annotations

import zipfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from s2e.data.own.cache import files_below
from s2e.words.answers import Items, NamedDataset
from s2e.words.datasets import RegisteredSet, Upload

Shape = TypeVar("Shape")
LOOK_S = 1_000.0
"""A service reads all of the data before it answers."""
CHUNK = 2**20


class DatasetCalls:
    """Register data sets and look at them."""

    @abstractmethod
    def _request(self, method: str, path: str, **more: Any) -> Any: ...

    @abstractmethod
    def _ask(self, shape: type[Shape], method: str, path: str, **more: Any) -> Shape: ...

    def datasets(self) -> tuple[NamedDataset, ...]:
        """Those of the package, and those that were registered."""
        return self._ask(Items[NamedDataset], "GET", "/datasets").items

    def dataset(self, name: str) -> RegisteredSet:
        """A registered data set: fingerprint, preview, proposal."""
        return self._ask(RegisteredSet, "GET", f"/datasets/{name}")

    def remove_dataset(self, name: str) -> None:
        """Forget a registered data set, and delete the files that were sent for it. Raises NotFound; Conflict while a
        job that has not ended uses it."""
        self._request("DELETE", f"/datasets/{name}")

    def register(
        self,
        name: str,
        kind: str,
        params: Mapping[str, Any] | None = None,
        *,
        csv: Mapping[str, Any] | None = None,
        trusted: Mapping[str, Any] | None = None,
    ) -> RegisteredSet:
        """Have data below the service's data root read, checked and kept by name; see :meth:`upload` for others."""
        sections = {"params": params, "csv": csv, "trusted": trusted}
        body = {"name": name, "kind": kind, **{field: dict(value) for field, value in sections.items() if value}}
        return self._ask(RegisteredSet, "POST", "/datasets", json=body, timeout=LOOK_S)

    def upload(self, path: str | Path) -> Upload:
        """Send a file, or a folder as an archive; the answer's ``path`` is what ``params`` name."""
        path = Path(path)
        with TemporaryDirectory(prefix="s2e-") as folder:
            file = path if path.is_file() else _packed(path, Path(folder))
            return self._ask(
                Upload, "POST", "/uploads", params={"name": file.name}, content=_chunks(file), timeout=LOOK_S
            )

    def remove_upload(self, path: str) -> None:
        """Delete what was sent, by its path, before a set is made of it. Raises Conflict if one is already."""
        self._request("DELETE", "/uploads", params={"path": path})


def _packed(folder: Path, below: Path) -> Path:
    """A folder as a zip file: images are compressed already. Raises DataError as :func:`files_below`."""
    archive = below / f"{folder.resolve().name}.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in files_below(folder):
            packed.write(file, file.relative_to(folder))
    return archive


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            yield chunk
