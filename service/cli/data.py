"""The command that looks at a job's data before a search: estimate-noise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from s2e.extras import needs
from s2e.local import spec_of
from s2e.words import to_json
from service.cli.options import DataRoot, JobFile

if TYPE_CHECKING:
    from s2e.data.estimate import NoiseEstimate

N_LARGEST = 10
"""Confusions that are printed; --json has the whole matrix."""


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("estimate-noise", rich_help_panel="Without a service")(estimate)


def estimate(
    file: JobFile,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts the samples are cut into.")] = 5,
    epochs: Annotated[int, typer.Option(min=1, max=10_000, help="Epochs of each training, before it memorises.")] = 10,
    data_root: DataRoot = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the whole matrix.")] = False,
) -> None:
    """Estimate how wrong the labels of a job are: its network trains without each part of the data, and predicts it.

    Prints the noise rate to use as tau, and which classes are confused. No clean label is looked at.
    """
    spec = spec_of(file)
    with needs("train"):
        from s2e.data.estimate import estimate_noise
        from s2e.train.crossfit import held_out

    found = held_out(spec, folds, epochs, None if data_root is None else str(data_root))
    estimated = estimate_noise(found.p_SC, found.label_S, percentile=100 if spec.data.name == "cifar100" else 97)
    realised = float((found.label_S != found.true_label_S).mean()) if spec.data.noise.kind != "none" else None
    if as_json:
        typer.echo(json.dumps(to_json(estimated) | {"realised_noise_rate": realised}, indent=1))
    else:
        _print(estimated, realised, Console(highlight=False))


def _print(found: NoiseEstimate, realised: float | None, console: Console) -> None:
    console.print(f"{found.n_samples} labels; held-out predictions agree with {100 * found.agreement:.1f} % of them")
    rates = Table("noise rate", "estimated by")
    rates.add_row(f"{found.noise_rate:.3f}", "confident learning")
    rates.add_row(f"{found.patrini_noise_rate:.3f}", "Patrini's anchor points")
    rates.add_row(f"{found.incv_noise_rate:.3f}", "INCV's formula (symmetric noise, networks that memorise)")
    if realised is not None:
        rates.add_row(f"{realised:.3f}", "known here, because the job makes the noise")
    console.print(rates)
    confusions = Table("class", "labelled", "share", title="largest confusions")
    for i, j, share in _largest(found.transition):
        confusions.add_row(str(i), str(j), f"{share:.3f}")
    console.print(confusions)
    console.print(f"suggested: report.tau = {min(found.noise_rate, 0.999):.2f}")


def _largest(transition: Sequence[Sequence[float]]) -> list[tuple[int, int, float]]:
    """Pairs (class, label) off the diagonal, the most frequent first."""
    pairs = [(i, j, share) for i, row in enumerate(transition) for j, share in enumerate(row) if i != j]
    return sorted(pairs, key=lambda pair: -pair[2])[:N_LARGEST]
