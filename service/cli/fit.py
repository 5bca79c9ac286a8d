"""The commands for labels of one's own, without a service: fit, predict."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2e.extras import needs
from service.cli.options import BAD_INPUT, note, out, plain
from service.cli.settings import IdColumn, Label, Settings, in_options, settings_of

if TYPE_CHECKING:
    from rich.console import Console

    from s2e.labels.issues import LabelIssues
    from s2e.sklearn import NoisyLabelClassifier

_PANEL = "Your own labels"
N_WORST = 10
"""Labels that are printed; the file has all."""


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(rich_help_panel=_PANEL)(fit)
    app.command(rich_help_panel=_PANEL)(predict)


def fit(
    path: Annotated[
        Path,
        typer.Argument(help="A table, a folder with one folder of images or texts for each class, or arrays (.npz)."),
    ],
    label: Label = None,
    kind: Annotated[
        str | None,
        typer.Option(help="What reads it: table, images, image_table, text, embeddings, arrays. Else as it looks."),
    ] = None,
    setting: Settings = None,
    id_column: IdColumn = None,
    trusted_column: Annotated[str | None, typer.Option(help="Column that says which labels are right.")] = None,
    noise_rate: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Share of wrong labels, where it is known; else estimated.")
    ] = None,
    budget: Annotated[str, typer.Option(help='When it ends, such as 90 or "5 min".')] = "1 min",
    plan: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="The plan.json of an earlier fit of these rows: the same numbers."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes everything but what there is time for.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that train; all cores unless given.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", file_okay=False, help="Folder for the files.")] = Path(
        "s2e-fit"
    ),
) -> None:
    """Learn from labels some of which are wrong: a model for new rows, and the labels that look wrong.

    Nobody has to know how many are wrong: that is estimated, and the method is chosen by it, on all cores.

    Example: s2e fit patients.csv --label diagnosis --budget "5 min"
    """
    with needs("train"):
        from s2e.sklearn import NoisyLabelClassifier
    from s2e.deadline import seconds_of
    from s2e.own_files import from_files, kind_of
    from s2e.stages import shown
    from s2e.words import Problem, SpecError
    from service.cli.terminal import print_places

    if plan is not None and noise_rate is not None:
        raise SpecError(Problem("--noise-rate", noise_rate, "not beside --plan, which has its own"))
    kind = kind or kind_of(path)
    settings = settings_of(setting, kind, label=label, id_column=id_column)
    trusted = None if trusted_column is None else {"column": trusted_column}
    files = from_files(kind, path, trusted=trusted, **settings)
    job = None if plan is None else _plan_of(plan)
    seconds = None if job else seconds_of(budget, "--budget")
    clf = NoisyLabelClassifier(noise_rate=noise_rate, budget=seconds, n_jobs=workers or -1, random_state=seed)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        with _bad_data(), shown(seconds):
            clf.fit(files, job=job)
    console, places = out(), _saved(clf, output)  # first, lest a reader who has seen enough close the pipe
    _print(clf, console)
    for words in clf.report_["notes"]:
        note(words, console)
    for warning in said:
        if issubclass(warning.category, UserWarning):
            note(warning.message, console)
    print_places(console, places)


def _plan_of(file: Path) -> dict[str, Any]:
    """Raises SpecError for a file that is no JSON object."""
    from s2e.words import Problem, SpecError

    try:
        plan = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        plan = None
    if not isinstance(plan, dict):
        raise SpecError(Problem("--plan", str(file), "the plan.json of an earlier fit"))
    return plan


@contextmanager
def _bad_data() -> Iterator[None]:
    """Data that cannot be used are bad input; settings in the error are written as this command takes them."""
    from s2e.words import DataError

    try:
        yield
    except DataError as error:
        typer.echo(in_options(str(error)), err=True)
        raise typer.Exit(BAD_INPUT) from None


def _print(clf: NoisyLabelClassifier, console: Console) -> None:
    issues, noise = clf.label_issues_, clf.report_["noise"]
    console.print(f"{len(issues)} rows, {len(clf.classes_)} classes")
    if noise is not None:
        low, high = 100 * noise.low, 100 * noise.high
        console.print(
            f"{100 * noise.noise_rate:.1f} % of the labels are estimated to be wrong (95 %: {low:.1f} to {high:.1f})"
        )
        for alarm in noise.alarms:
            note(alarm, console)
    if "candidates" in clf.report_:
        _print_candidates(clf.report_, console)
    console.print(f"model: {clf.report_.get('chosen', clf.method_)}", markup=False)
    _print_worst(issues, console)


def _print_candidates(report: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    table = Table("method", "seeds", "accuracy to expect %", "held-out agreement %", box=None)
    for row in report["candidates"]:
        figures = (row["expected_accuracy"], row["validation_accuracy"])
        table.add_row(row["candidate"], str(row["n_seeds"]), *("–" if x is None else f"{100 * x:.1f}" for x in figures))
    console.print(table)


def _print_worst(issues: LabelIssues, console: Console) -> None:
    from rich.table import Table

    n_issues, is_ranked = int(issues.is_label_issue.sum()), bool((issues.label_quality > 0).any())
    if n_issues:
        console.print(f"{n_issues} labels look wrong; the worst of them:")
    elif issues.noise is not None:
        console.print("no label looks wrong")
        return
    else:
        how_many = "how many labels are wrong is not known"
        console.print(f"{how_many}; the likeliest ones:" if is_ranked else f"{how_many}, and none was judged")
    table = Table("row", "given", "likely", "P(wrong)", box=None)
    for i in issues.worst(min(N_WORST, n_issues or (N_WORST if is_ranked else 0))):
        row = i if issues.id is None else issues.id[i]
        wrong = issues.probability_wrong[i]
        known = f"{wrong:.3f}" if wrong == wrong else "–"
        table.add_row(*plain(row, issues.given_label[i], issues.predicted_label[i], known))
    if table.row_count:
        console.print(table)


def _saved(clf: NoisyLabelClassifier, folder: Path) -> list[tuple[str, object]]:
    """The model, the labels and the plan as files; their places, by name."""
    from s2e.artifacts import write_json
    from s2e.tables import csv_text

    model = clf.save(folder / "model.safetensors")
    columns = clf.label_issues_.columns()
    labels = folder / "labels.csv"
    order = clf.label_issues_.worst(len(clf.label_issues_))
    rows = zip(*(column[order].tolist() for column in columns.values()), strict=True)
    labels.write_text(csv_text(tuple(columns), rows), encoding="utf-8")
    write_json(plan := folder / "plan.json", clf.job_)
    return [
        ("the model", model),
        ("every label, the worst first", labels),
        ("the same again", f"--plan {plan}"),
        ("new rows", f"s2e predict {model} NEW"),
    ]


def predict(
    model: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="A model file: of s2e fit, s2e export model, s2e search."),
    ],
    rows: Annotated[Path, typer.Argument(help="New rows like those it was trained on: a table, a folder, arrays.")],
    id_column: IdColumn = None,
    proba: Annotated[bool, typer.Option("--proba", help="The probability of every class, too.")] = False,
    save: Annotated[Path | None, typer.Option(dir_okay=False, help="Write to this file: .csv or .parquet.")] = None,
) -> None:
    """Predict the labels of new rows. Prints CSV: row, predicted_label, probability.

    Example: s2e predict s2e-fit/model.safetensors new.csv --save predicted.csv
    """
    with needs("train"):
        from s2e.data.own.new_rows import rows_in
    from s2e.artifacts import load_model
    from s2e.stages import SOON_S, shown, tell
    from s2e.tables import csv_text, parquet_bytes

    with _bad_data(), shown(first_s=SOON_S):
        tell(f"reading {rows.name}")
        loaded = load_model(model)
        ids, new = rows_in(rows, loaded.inputs, id_column)
        p_SC = loaded.predict_proba(new)
    labels = loaded.classes_[p_SC.argmax(1)].tolist()
    columns: dict[str, Any] = {"row": ids, "predicted_label": labels, "probability": p_SC.max(1).round(6).tolist()}
    if proba:
        columns |= {f"p_{name}": p_SC[:, j].round(6).tolist() for j, name in enumerate(loaded.classes_)}
    head, table = tuple(columns), list(zip(*columns.values(), strict=True))
    if save is None:
        typer.echo(csv_text(head, table), nl=False)
    else:
        save.write_bytes(parquet_bytes(head, table) if save.suffix == ".parquet" else csv_text(head, table).encode())
        typer.echo(f"{len(table)} rows: {save}", err=True)
