"""/datasets, /uploads: data sets of the package and registered ones, and files that are sent."""

from __future__ import annotations

import shutil
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool

from s2e.parts import listing
from s2e.words import parse
from s2e.words.answers import Items, NamedDataset
from s2e.words.datasets import REGISTERED_NAME, DatasetIn, RegisteredSet, Upload
from s2e.words.people import READ, SUBMIT
from service.api import registered
from service.api.body import JsonBody, body_schema
from service.api.deps import DatabaseDep, ReadSession, SettingsDep
from service.api.scopes import CallerDep, needs
from service.store import datasets

router = APIRouter(tags=["datasets"])
SetName = Annotated[str, Path(pattern=f"^{REGISTERED_NAME}$", description="name of a registered data set")]
FileName = Annotated[str, Query(min_length=1, max_length=120, description="name of the file, such as flowers.zip")]
SentPath = Annotated[str, Query(min_length=1, max_length=500, description="as the upload was answered")]
_FILE = {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


@router.get("/datasets", operation_id="list_datasets")
@needs(READ)
def list_datasets(session: ReadSession) -> Items[NamedDataset]:
    """Data sets of the package, and then those that were registered."""
    own = [NamedDataset(one.name, one.summary, False) for one in listing("datasets")["datasets"] if not one.broken]
    kept = [NamedDataset(row.name, registered.summary(row), True) for row in datasets.every(session)]
    return Items((*own, *kept))


@router.get("/datasets/{name}", operation_id="get_dataset")
@needs(READ)
def get_dataset(session: ReadSession, name: SetName) -> RegisteredSet:
    """A registered data set: fingerprint, preview, and the proposed training settings."""
    return registered.detailed(session, name)


@router.post("/datasets", operation_id="create_dataset", status_code=201, openapi_extra=body_schema("DatasetIn"))
@needs(SUBMIT)
def create_dataset(
    request: Request, database: DatabaseDep, settings: SettingsDep, caller: CallerDep, body: JsonBody
) -> RegisteredSet:
    """Read data below the data root, check them, and keep them by name; the same name again replaces them.

    Jobs that were submitted before keep their fingerprint, and are refused where the files have changed.
    """
    asked = parse(DatasetIn, body)
    section = registered.section_of(asked)
    seen = registered.look(section, settings)
    request.state.target = asked.name
    with database.write() as session:
        row = datasets.put(session, asked.name, asked.kind, section, seen, caller.owner, any_owner=caller.is_admin)
        return registered.answer(row)


@router.delete("/datasets/{name}", operation_id="delete_dataset", status_code=204)
@needs(SUBMIT)
def delete_dataset(
    request: Request, database: DatabaseDep, settings: SettingsDep, caller: CallerDep, name: SetName
) -> None:
    """Forget a registered data set, and delete the files that were sent for it; others stay where they are.

    409, with the jobs, while one that has not ended uses it. Jobs of the past say that their data are gone.
    """
    request.state.target = name
    with database.write() as session:
        sent = registered.remove(session, name, caller.owner, any_owner=caller.is_admin)
    registered.delete_uploads(settings, sent)


@router.post("/uploads", operation_id="upload", status_code=201, openapi_extra={"requestBody": _FILE})
@needs(SUBMIT)
async def upload(request: Request, settings: SettingsDep, name: FileName) -> Upload:
    """Send a file, or a zip or tar archive, which is unpacked. The answer has the path to register."""
    file = registered.new_upload(settings, name)
    try:
        with file.open("xb") as target:
            async for chunk in request.stream():
                target.write(chunk)
        return await run_in_threadpool(registered.finish_upload, settings, file)
    except BaseException:  # a client that hangs up leaves nothing behind either
        shutil.rmtree(file.parent, ignore_errors=True)
        raise


@router.delete("/uploads", operation_id="delete_upload", status_code=204)
@needs(SUBMIT)
def delete_upload(request: Request, database: DatabaseDep, settings: SettingsDep, path: SentPath) -> None:
    """Delete what was sent, by the path that sending it answered, before a set is made of it. 409 if one is already."""
    request.state.target = path
    with database.write() as session:
        sent = registered.unused(session, path)
    registered.delete_uploads(settings, [sent])
