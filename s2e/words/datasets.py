"""Data sets that a service keeps by name: the request that registers one, and its description."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from s2e.words.data import CsvSpec, TrustedSpec
from s2e.words.fields import param

REGISTERED_NAME = r"[a-z0-9][a-z0-9_.-]{0,59}"


@dataclass(frozen=True, kw_only=True)
class DatasetIn:
    """Data of one's own, to be read, checked and kept by name. The same name again replaces it."""

    name: str = param(max_length=60, doc="its name: a-z, 0-9, _, . and -")
    kind: str = param("table", names="datasets", doc="data set of one's own that reads it, such as table or images")
    params: dict[str, Any] = param(dict, doc="settings of that data set; path is below the data root of the service")
    csv: CsvSpec = param(CsvSpec, doc="the table, for kind csv")
    trusted: TrustedSpec = param(TrustedSpec, doc="rows whose labels are known to be right")


@dataclass(frozen=True, kw_only=True)
class RegisteredSet:
    """A registered data set. A job names it in data.registered, and keeps its fingerprint."""

    name: str
    kind: str
    owner: str = param(doc="empty where the service has no keys")
    created_at: datetime
    fingerprint: str = param(doc="SHA-256 of names and contents of its files")
    n_bytes: int
    data: dict[str, Any] = param(doc="the section data of a job that names it")
    preview: dict[str, Any] = param(
        doc="rows, classes with their counts, shape, duplicates, missing cells, skipped files"
    )
    proposed: dict[str, Any] = param(
        doc="sections data and train that a job gets which does not say otherwise, and the reasons"
    )
    jobs: tuple[str, ...] = param((), doc="ids of the newest jobs that name it")


@dataclass(frozen=True, kw_only=True)
class Upload:
    """Files that were sent to the service."""

    path: str = param(doc="below the data root: what params.path names")
    n_files: int
    n_bytes: int
