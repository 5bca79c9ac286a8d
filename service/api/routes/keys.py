"""/keys, /me, /audit: keys, the caller's own, and the audit log."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from s2e.words import Problem, SpecError, parse
from s2e.words import people as words
from s2e.words.answers import Items, Page
from s2e.words.people import ADMIN, READ, SCOPES
from service.api.body import JsonBody, body_schema
from service.api.deps import ReadSession, SettingsDep, WriteSession
from service.api.paging import Paging
from service.api.scopes import CallerDep, needs
from service.store import audit, keys, quotas
from service.store.models import AuditRow, KeyRow

router = APIRouter(tags=["people"])
KeyId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,16}$", description="id of a key")]
Filter = Query(max_length=80, pattern=r"^[ -~]*$")


@router.post("/keys", operation_id="create_key", status_code=201, openapi_extra=body_schema("KeyIn"))
@needs(ADMIN)
def create_key(request: Request, session: WriteSession, caller: CallerDep, body: JsonBody) -> words.NewKey:
    """Make a key. Its secret is in this answer and nowhere else."""
    wanted = parse(words.KeyIn, body)
    problems = [
        Problem("scopes", scope, "one of " + ", ".join(SCOPES)) for scope in wanted.scopes if scope not in SCOPES
    ]
    problems += [Problem(name, "", "not empty") for name in ("name", "owner") if not getattr(wanted, name).strip()]
    if not wanted.scopes:
        problems.append(Problem("scopes", "", "at least one of " + ", ".join(SCOPES)))
    if problems:
        raise SpecError(*problems)
    row, secret = keys.create_key(session, wanted, caller.owner)
    request.state.target = row.id
    return words.NewKey(**vars(_key(row)), secret=secret)


@router.get("/keys", operation_id="list_keys")
@needs(ADMIN)
def list_keys(session: ReadSession) -> Items[words.Key]:
    """Every key that was ever made, oldest first; never a secret."""
    return Items(tuple(map(_key, keys.all_keys(session))))


@router.post("/keys/{key_id}/revoke", operation_id="revoke_key")
@needs(ADMIN)
def revoke_key(session: WriteSession, key_id: KeyId) -> words.Key:
    """End a key. Requests with it are refused within seconds, and streams opened with it end."""
    return _key(keys.revoke_key(session, key_id))


@router.get("/me", operation_id="get_me")
@needs(READ)
def get_me(session: ReadSession, settings: SettingsDep, caller: CallerDep) -> words.Caller:
    """The caller's owner and scopes, and how much of the quotas is used."""
    return words.Caller(
        owner=caller.owner,
        key_id=caller.key_id,
        scopes=tuple(scope for scope in SCOPES if caller.may(scope)),
        jobs_open=quotas.jobs_open(session, caller.owner),
        jobs_open_most=settings.owner_jobs,
        trials_under_way=quotas.trials_under_way(session, caller.owner),
        trials_under_way_most=settings.owner_trials,
    )


@router.get("/audit", operation_id="list_audit")
@needs(ADMIN)
def list_audit(
    session: ReadSession,
    paging: Paging,
    owner: Annotated[str | None, Filter] = None,
    target: Annotated[str | None, Filter] = None,
) -> Page[words.AuditEntry]:
    """The audit log, newest entry first: each change and who made it."""
    rows = audit.entries(session, paging.limit, paging.after(int), owner, target)
    return paging.page(rows, lambda row: (row.id,), lambda shown: list(map(_entry, shown)))


def _key(row: KeyRow) -> words.Key:
    plain = {f.name: getattr(row, f.name) for f in fields(words.Key) if f.name not in ("scopes", "state")}
    return words.Key(**plain, scopes=tuple(row.scopes.split()), state=keys.state_of(row))


def _entry(row: AuditRow) -> words.AuditEntry:
    return words.AuditEntry(**{f.name: getattr(row, f.name) for f in fields(words.AuditEntry)})
