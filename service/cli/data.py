"""The command that looks at a job's data before a search: estimate-noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from s2e.extras import needs
from service.cli.options import DataRoot, JobFile, note, out, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from s2e.labels.verdict import NoiseEstimate

N_LARGEST = 10
"""Confusions that are printed; --json has the whole matrix."""


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("estimate-noise", rich_help_panel="Without a service")(estimate)


def estimate(
    file: JobFile,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts the samples are cut into.")] = 5,
    data_root: DataRoot = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the whole matrix.")] = False,
) -> None:
    """Estimate how wrong the labels of a job are: its network trains without each part of the data, and predicts it.

    Prints the noise rate to use as tau, the classes that are confused, and alarms. It looks at no clean label, and ends
    with an error where the noise cannot be told from classes that are hard to tell apart.
    """
    from s2e.local import spec_of
    from s2e.stages import SOON_S, shares_of, shown
    from s2e.words import to_json

    spec = spec_of(file)
    with needs("train"):
        from s2e.labels.job import job_samples
        from s2e.labels.noise import estimate_noise
        from s2e.sizes import sized

    root = None if data_root is None else str(data_root)
    job = job_samples(spec := sized(spec, root), root)
    with shown(first_s=SOON_S):
        fit = estimate_noise(
            job.samples,
            job.network,
            spec.train,
            n_folds=folds,
            seed=spec.seed,
            trusted=job.trusted,
            progress=shares_of("training without a fold at a time"),
        )
    known = spec.data.truth_is_known and spec.data.noise.kind != "none"
    realised = float((job.samples.label_S != job.true_label_S).mean()) if known else None
    if as_json:
        print_json(to_json(fit.estimate) | {"realised_noise_rate": realised})
    else:
        _print(fit.estimate, job.samples.class_names, realised, out())


def _print(estimated: NoiseEstimate, names: Sequence[str], realised: float | None, console: Console) -> None:
    console.print(
        f"{estimated.n_rows} labels; held-out predictions agree with {100 * estimated.agreement:.1f} % of them"
    )
    low, high = estimated.interval
    console.print(f"noise rate {estimated.noise_rate:.3f}, 95 % {low:.3f} to {high:.3f}")
    if realised is not None:
        console.print(f"known here, because the job makes the noise: {realised:.3f}")
    if estimated.kind == "symmetric":
        console.print("symmetric: a matrix predicts labels of other rows no better than one rate for all")
    else:
        from rich.markup import escape
        from rich.table import Table

        confusions = Table("class", "labelled", "share", title="largest confusions")
        for i, j, share in _largest(estimated.transition):
            one, other = (escape(str(names[c])) if names else str(c) for c in (i, j))
            confusions.add_row(one, other, f"{share:.3f}")
        console.print(confusions)
    for alarm in estimated.alarms:
        note(alarm.text, console)
    doubt = ", which is between what is possible" if estimated.kind == "between" else ""
    console.print(f"suggested: report.tau = {min(estimated.noise_rate, 0.999):.2f}{doubt}")


def _largest(transition: Sequence[Sequence[float]]) -> list[tuple[int, int, float]]:
    """Pairs (class, label) off the diagonal, the most frequent first."""
    pairs = [(i, j, share) for i, row in enumerate(transition) for j, share in enumerate(row) if i != j]
    return sorted(pairs, key=lambda pair: -pair[2])[:N_LARGEST]
