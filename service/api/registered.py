"""Use cases of registered data sets: look at them, keep them, put them into a job, and take files that are sent."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from s2e.data.own.unpack import is_archive, require_no_pickle, unpack
from s2e.door import parse_job
from s2e.door.stored import data_as_before
from s2e.extras import require
from s2e.parts import DATASETS
from s2e.words import DataError, MissingExtraError, Problem, SpecError, replace, to_json
from s2e.words.datasets import REGISTERED_NAME, DatasetIn, RegisteredSet, Upload
from service import uploads
from service.errors import Conflict
from service.settings import Settings
from service.store import datasets
from service.store.models import DatasetRow
from workers.ray_start import environment_without_secrets

UNPACKED = 8
"""Bytes unpacked for each byte that may be sent."""
MOST_JOBS = 20
"""Newest jobs that an answer names."""
_FILE_NAME = re.compile(r"[\w][\w .()+-]{0,119}", re.ASCII)


def section_of(asked: DatasetIn) -> dict[str, Any]:
    """The section ``data`` of a job that names the set, complete. Raises SpecError for a set that no job could use."""
    problems = []
    if not re.fullmatch(REGISTERED_NAME, asked.name) or asked.name in DATASETS:
        taken = f"the package has a data set {asked.name}" if asked.name in DATASETS else REGISTERED_NAME
        problems.append(Problem("name", asked.name, f"a name of your own: {taken}"))
    if asked.kind in DATASETS and DATASETS[asked.kind].labels != "given":
        own = ", ".join(name for name, part in DATASETS.items() if part.labels == "given")
        problems.append(Problem("kind", asked.kind, f"data of your own: {own}"))
    if problems:
        raise SpecError(*problems)
    trusted = to_json(replace(asked.trusted, counted=None))
    section = {"name": asked.kind, "params": asked.params, "csv": to_json(asked.csv), "trusted": trusted}
    if asked.kind in DATASETS and DATASETS[asked.kind].own_section() != "csv":
        section["csv"] = {}
    data = to_json(parse_job({"data": section, "report": {"tau": 0.0}}).data)
    return {field: data[field] for field in ("name", "params", "csv", "trusted")}


def look(section: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Facts about the data, read by a process of its own. Raises SpecError for data that cannot train, Conflict where
    this service cannot look."""
    question = json.dumps({"data": section, "data_root": str(data_root(settings))})
    uploads.touch(data_root(settings), uploads.named_in(question))  # a rule may delete what is old
    # -P: nothing in the folder the service was started in stands in for this package
    command = [sys.executable, "-P", "-m", "s2e.data.own.look"]
    env = environment_without_secrets(settings.worker_env.split(","))
    try:
        require("train")
        done = subprocess.run(  # noqa: S603 - our own module
            command, input=question, capture_output=True, text=True, timeout=settings.look_s, env=env, check=False
        )
    except MissingExtraError as error:
        raise Conflict(f"this service cannot look at data: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise Conflict(f"the look at the data took longer than {settings.look_s:.0f} s (S2E_LOOK_S)") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise Conflict(f"the data cannot be looked at: {said[0][:300]}")
    seen: dict[str, Any] = json.loads(done.stdout)
    if "refused" in seen:
        raise SpecError(Problem("data", section["name"], seen["refused"][:1_000]))
    return seen


def data_root(settings: Settings) -> Path:
    """Raises Conflict for a service without one."""
    if settings.data_root is None or not settings.data_root.is_dir():
        raise Conflict("this service has no data root: start it with S2E_DATA_ROOT")
    return settings.data_root


def answer(row: DatasetRow) -> RegisteredSet:
    """A registered set, for people and programs."""
    return RegisteredSet(
        name=row.name,
        kind=row.kind,
        owner=row.owner,
        created_at=row.created_at,
        fingerprint=row.fingerprint,
        n_bytes=row.n_bytes,
        data=row.data,
        preview=row.preview,
        proposed=row.proposed,
    )


def detailed(session: Session, name: str) -> RegisteredSet:
    """A set with the newest jobs that name it. Raises NotFound."""
    return replace(answer(datasets.get(session, name)), jobs=tuple(datasets.using(session, name, MOST_JOBS)))


def remove(session: Session, name: str, owner: str, *, any_owner: bool) -> list[str]:
    """Forget a set; the folders below the data root that were sent for it, and that nobody else uses.

    Raises NotFound, Forbidden, Conflict.
    """
    row = datasets.remove(session, name, owner, any_owner=any_owner)
    sent = uploads.named_in(json.dumps(row.data))
    for used in datasets.paths_in_use(session) if sent else ():
        sent -= uploads.named_in(used)
    return sorted(sent)


def unused(session: Session, path: str) -> str:
    """The folder of a file that was sent. Raises SpecError for any other path, Conflict where a set or a job has it."""
    sent = uploads.folder_of(path)
    if sent is None:
        raise SpecError(Problem("path", path[:80], f"a path that an upload answered, {uploads.UPLOADS}/..."))
    if any(sent in used for used in datasets.paths_in_use(session)):
        raise Conflict(f"{sent} is used by a registered data set or a job: remove that")
    return sent


def delete_uploads(settings: Settings, folders: Sequence[str]) -> None:
    """Delete files that were sent."""
    if folders:
        uploads.delete(data_root(settings), folders)


def gone(session: Session, specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of each job's spec why its registered data are not what they were; empty where they are, or it names none."""
    asked = [(data.get("registered"), data.get("fingerprint")) for data in (spec.get("data") or {} for spec in specs)]
    names = {name for name, _ in asked if name is not None}
    now = {row.name: row.fingerprint for row in datasets.every(session)} if names else {}
    return [_gone(name, fingerprint, now) for name, fingerprint in asked]


def _gone(name: str | None, fingerprint: str | None, now: Mapping[str, str]) -> str:
    if name is None or now.get(name) == fingerprint:
        return ""
    if name not in now:
        return f"its data are gone: the data set {name} was removed"
    return f"its data have changed: the data set {name} was registered anew"


def summary(row: DatasetRow) -> str:
    """One sentence."""
    seen = row.preview
    return f"{seen['n_rows']:,} rows of {seen['n_classes']} classes, {row.kind}; registered {row.created_at:%Y-%m-%d}."


# --- in a job ---------------------------------------------------------------------------------------------------------


def with_registered(session: Session, body: Any) -> Any:
    """A job's JSON with the data set it names in data.registered, and with the proposed settings where the job has none
    of its own. Raises SpecError for a name that is not registered, and for settings that come with the set."""
    data = body.get("data") if isinstance(body, Mapping) else None
    name = data.get("registered") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(name, str) or "fingerprint" in data:
        return body
    row = datasets.find(session, name[:60])
    if row is None:
        known = ", ".join(one.name for one in datasets.every(session)) or "none is registered; see s2e data add"
        raise SpecError(Problem("data.registered", name[:80], f"one of {known}"))
    if clash := [field for field in row.data if field in data]:
        allowed = f"left out: it comes with the registered data set {name}"
        raise SpecError(*(Problem(f"data.{field}", str(data[field])[:80], allowed) for field in clash))
    asked, proposed = body.get("train", {}), row.proposed["train"]
    if not isinstance(asked, Mapping) or body.get("protocol") is not None:
        proposed = {}
    elif "network" in asked:
        proposed = {field: value for field, value in proposed.items() if not field.startswith("network")}
    train = {**proposed, **asked} if isinstance(asked, Mapping) else asked
    section = {**row.proposed["data"], **data_as_before(row.data), **data, "fingerprint": row.fingerprint}
    return {**body, "data": section, "train": train}


# --- files that are sent ----------------------------------------------------------------------------------------------


def new_upload(settings: Settings, name: str) -> Path:
    """A path for a file that is being sent, in a folder of its own. Raises SpecError for a name that is not plain,
    Conflict where nothing can be written."""
    if not _FILE_NAME.fullmatch(name) or ".." in name:
        raise SpecError(Problem("name", name[:80], "a plain file name, such as flowers.zip"))
    try:
        return uploads.new_folder(data_root(settings)) / name
    except OSError as error:
        raise Conflict(f"the data root cannot be written: {error.strerror}; register a path below it") from error


def finish_upload(settings: Settings, file: Path) -> Upload:
    """Unpack an archive. Raises SpecError for a file that is refused, and leaves nothing of it behind."""
    root = data_root(settings)
    try:
        if not file.stat().st_size:  # a request without a body makes one, too
            raise DataError(f"{file.name} is empty")
        require_no_pickle(file)
        if not is_archive(file):
            return Upload(path=file.relative_to(root).as_posix(), n_files=1, n_bytes=file.stat().st_size)
        target = file.parent / re.sub(r"(\.tar)?\.\w+$", "", file.name)
        target = target if target != file else file.parent / "data"
        n_files, n_bytes = unpack(file, target, UNPACKED * settings.max_upload_bytes), file.stat().st_size
        file.unlink()
    except DataError as error:
        shutil.rmtree(file.parent, ignore_errors=True)
        raise SpecError(Problem("name", file.name, str(error)[:1_000])) from error
    return Upload(path=_only_folder(target).relative_to(root).as_posix(), n_files=n_files, n_bytes=n_bytes)


def _only_folder(folder: Path) -> Path:
    """An archive of one folder is that folder, unless that would be a class of images."""
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and (inside[0].is_dir() or inside[0].is_file()) else folder
