"""The command that takes a trained network away: export model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from s2e.address import DEFAULT_URL
from s2e.client.http import S2EClient
from s2e.extras import needs
from s2e.words import DataError
from service.cli.options import Key, Url
from service.cli.reports import models_of

app = typer.Typer()


class Format(StrEnum):
    """Of the file."""

    safetensors = "safetensors"
    torchscript = "torchscript"
    onnx = "onnx"


@app.command("model")
def model(
    job: Annotated[
        str,
        typer.Argument(
            metavar="JOB",
            help="A completed job's id: the model of its recommended schedule, or of the first entry of its report. Or "
            "a model file (.safetensors).",
        ),
    ],
    format_: Annotated[Format, typer.Option("--format", help="Of the file.")] = Format.safetensors,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="The file; model-JOB unless given.")
    ] = None,
    network: Annotated[
        int | None,
        typer.Option(
            min=0, help="Which network of the trial (Co-teaching has two); 0, or the mean of a fitted model's."
        ),
    ] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Write a trained network as one file. s2e.load_model(FILE).predict(rows) reads safetensors and TorchScript back.

    Example: s2e export model ID --format torchscript -o flowers.pt
    """
    with needs("train"):
        from s2e.export import export_model

    with TemporaryDirectory(prefix="s2e-") as folder:
        path = Path(job) if Path(job).is_file() else _fetched(job, Path(folder), url, key)
        target = output or Path(f"model-{Path(job).stem}")
        typer.echo(export_model(path, target, format_.value, network))


def _fetched(job_id: str, folder: Path, url: str, key: str | None) -> Path:
    with S2EClient(url, key) as client:
        report = client.any_report(job_id)
        named = [report.models[path] for _, path in models_of(report) if path in report.models]
        if not named:
            raise DataError(f"job {job_id} has kept no model that its report names")
        return client.save_model(named[0], folder)
