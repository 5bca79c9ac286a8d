"""The command that says which labels are likely wrong: audit."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2e.address import DEFAULT_URL
from s2e.extras import needs
from service.cli.options import AsJson, DataRoot, Key, Url, out, plain, print_json, service_at

if TYPE_CHECKING:
    from rich.console import Console

    from s2e.words.answers import JobLabels


class Score(StrEnum):
    """Kinds of audits, by the trainings that judge."""

    cross_fitted = "cross_fitted"
    free = "free"


class Split(StrEnum):
    """Parts of a job's rows."""

    train = "train"
    validation = "validation"
    test = "test"


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(rich_help_panel="Jobs")(audit)


def audit(
    job: Annotated[
        str,
        typer.Argument(
            metavar="JOB",
            help="A job's id, the folder that s2e search wrote, or a job file, which is cross-fitted here.",
        ),
    ],
    n: Annotated[int, typer.Option("-n", min=1, max=200, help="Labels that are printed, the worst first.")] = 20,
    score: Annotated[
        Score | None,
        typer.Option(help="Judged by networks that did not train on the row, or by the job's own trainings."),
    ] = None,
    given: Annotated[str | None, typer.Option(help="Only rows with this label.")] = None,
    likely: Annotated[str | None, typer.Option(help="Only rows that more likely have this label.")] = None,
    issues: Annotated[bool, typer.Option("--issues", help="Only labels that are taken to be wrong.")] = False,
    split: Annotated[Split | None, typer.Option(help="Only rows of this part of the data.")] = None,
    save: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write all of them to this file: .csv or .parquet.")
    ] = None,
    rerun: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=100,
            help="Submit a comparison of these labels as given, dropped, relabelled and softened, on so "
            "many seeds; prints its id.",
        ),
    ] = None,
    worst: Annotated[
        int | None, typer.Option(min=1, help="Labels that --rerun revises; all issues unless given.")
    ] = None,
    data_root: DataRoot = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Rank the given labels of a job from wrong to right. Each with its likely label, and a probability if it is one.

    Example: s2e audit ID --given cat --likely dog --save cats.csv. Whether the worst are better dropped, relabelled or
    softened: s2e audit ID --rerun 5.
    """
    chosen: dict[str, Any] = {"given": given, "likely": likely, "issues": issues, "split": split and split.value}
    if Path(job).is_dir():
        shown = _of_folder(Path(job), score and score.value, save, n, chosen)
    elif Path(job).is_file():
        if rerun is not None:
            raise typer.BadParameter("--rerun needs the id of a finished job")
        job_audit = _cross_fitted(Path(job), data_root)
        _save_here(job_audit, save, chosen)
        shown = _page_of(job_audit, n, chosen)
    else:
        asked: dict[str, Any] = {"score": score and score.value, **chosen}
        with service_at(url, key) as client:
            shown = client.worst_labels(job, n, **asked)
            if save is not None:
                client.save_labels(job, save, **asked)
            if rerun is not None:
                from s2e.labels.rerun import revised_job

                again = client.submit(revised_job(client.job(job).spec, job, n=worst, n_seeds=rerun))
                typer.echo(again.id)
                return
    if as_json:
        print_json(shown)
        return
    _print(shown, out())
    if save is not None:
        out().print(f"all {shown.n_chosen} of them: {save}", soft_wrap=True, markup=False)


def _cross_fitted(file: Path, data_root: Path | None) -> Any:
    """The audit of the labels a job file trains on, by five folds."""
    from s2e.local import spec_of
    from s2e.stages import SOON_S, shares_of, shown

    spec = spec_of(file)
    root = None if data_root is None else str(data_root)
    with needs("train"):
        from s2e.labels.cross_fit import cross_fitted_audit

    with shown(first_s=SOON_S):
        return cross_fitted_audit(spec, root, shares_of("training without a fold at a time"))


def _of_folder(folder: Path, score: str | None, save: Path | None, n: int, asked: Mapping[str, Any]) -> JobLabels:
    """The audit of a job that s2e search has run, from its folder."""
    from s2e.labels.job_audit import audit_of_folder

    job_audit = audit_of_folder(folder, score)
    _save_here(job_audit, save, asked)
    return _page_of(job_audit, n, asked)


def _save_here(job_audit: Any, save: Path | None, asked: Mapping[str, Any]) -> None:
    from s2e.labels.job_audit import COLUMNS, chosen_rows, table_rows
    from s2e.tables import csv_text, parquet_bytes

    if save is not None:
        rows = table_rows(job_audit, chosen_rows(job_audit, **asked).tolist())
        is_parquet = save.suffix == ".parquet"
        save.write_bytes(parquet_bytes(COLUMNS, rows) if is_parquet else csv_text(COLUMNS, rows).encode())


def _page_of(job_audit: Any, n: int, asked: Mapping[str, Any]) -> JobLabels:
    from s2e.labels.job_audit import chosen_rows, page_of

    return page_of(job_audit, chosen_rows(job_audit, **asked).tolist(), n)


def _print(shown: JobLabels, console: Console) -> None:
    from rich.table import Table

    judges = f"{shown.n_trainings} trainings of the job" if shown.n_trainings else "networks that did not train on them"
    console.print(
        f"{shown.n_rows} labels judged by {judges}; {shown.n_issues} are taken to be wrong. {shown.note[:1].upper()}"
        f"{shown.note[1:]}.",
        soft_wrap=True,
        markup=False,
    )
    table = Table("row", "part", "given", "likely", "quality", "P(wrong)", "issue")
    for label in shown.items:
        wrong = "" if label.probability_wrong is None else f"{label.probability_wrong:.3f}"
        marked = "yes" if label.is_label_issue else ""
        cells = plain(label.id, label.split, label.given_label, label.predicted_label)
        table.add_row(*cells, f"{label.label_quality:.4f}", wrong, marked)
    console.print(table)
