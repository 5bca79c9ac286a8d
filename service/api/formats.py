"""Answers in another format than JSON: asked for by ``?format=`` or, where that is not given, by the Accept header."""

# No postponed annotations here: FastAPI could not look up what a nested function's refer to.
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from pydantic import AfterValidator

from s2e.tables import csv_text, parquet_bytes
from s2e.words import MissingExtraError, Problem
from service.errors import Invalid

JSON, CSV, NDJSON, PARQUET, SAFETENSORS, TEXT = "json", "csv", "ndjson", "parquet", "safetensors", "text"
MEDIA_TYPES = {
    JSON: "application/json",
    CSV: "text/csv",
    NDJSON: "application/x-ndjson",
    PARQUET: "application/vnd.apache.parquet",
    SAFETENSORS: "application/octet-stream",
    TEXT: "text/plain",
}


def one_of(names: Sequence[str], field: str) -> AfterValidator:
    """Refuses a parameter that is none of ``names``, by name."""

    def check(text: str | None) -> str | None:
        if text is not None and text not in names:
            raise Invalid(Problem(field, text[:80], "one of " + ", ".join(names)))
        return text

    return AfterValidator(check)


def format_of(*offered: str) -> Any:
    """Dependency: one of the formats ``offered``, the first of them unless another is asked for."""

    def chosen(
        request: Request,
        format: Annotated[  # noqa: A002  the name of the parameter in the address
            str | None,
            Query(json_schema_extra={"enum": list(offered)}, description=f"{' or '.join(offered)}; or by Accept"),
            one_of(offered, "format"),
        ] = None,
    ) -> str:
        accepted = request.headers.get("accept", "")
        by_header = next((name for name in offered if MEDIA_TYPES[name] in accepted), offered[0])
        return format or by_header

    return Depends(chosen)


def also(*formats: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of a 200 that may come in other formats beside JSON."""
    return {200: {"content": {MEDIA_TYPES[name]: {} for name in formats}}}


def csv_answer(head: Sequence[str], rows: Iterable[Sequence[Any]], name: str) -> Response:
    """A table as a CSV file: numbers as they are stored, nothing where one was not measured."""
    return Response(csv_text(head, rows), media_type=MEDIA_TYPES[CSV], headers=attachment(f"{name}.csv"))


def parquet_answer(head: Sequence[str], rows: Iterable[Sequence[Any]], name: str) -> Response:
    """A table as a Parquet file. Raises Invalid where pyarrow is not installed."""
    try:
        content = parquet_bytes(head, rows)
    except MissingExtraError as error:
        raise Invalid(Problem("format", PARQUET, f"{JSON} or {CSV} of this service; for Parquet {error}")) from error
    return Response(content, media_type=MEDIA_TYPES[PARQUET], headers=attachment(f"{name}.parquet"))


def table_answer(wanted: str, head: Sequence[str], rows: Iterable[Sequence[Any]], name: str) -> Response:
    """A table as the file that was asked for."""
    return (parquet_answer if wanted == PARQUET else csv_answer)(head, rows, name)


def attachment(name: str) -> dict[str, str]:
    """The header under which a browser saves an answer as ``name``, which is plain ASCII."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}
