"""The commands that need no service: search, plan, list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import AsJson, DataRoot, JobFile, out, print_json, progress_bar

if TYPE_CHECKING:
    from s2e.calibrate import Calibration
    from s2e.words import JobSpec

_PANEL = "Without a service"


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(rich_help_panel=_PANEL)(search)
    app.command(rich_help_panel=_PANEL)(plan)
    app.command("list", rich_help_panel=_PANEL)(list_names)


def search(
    file: JobFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for models and results.")] = Path("s2e-output"),
    data_root: DataRoot = None,
    calibrated: Annotated[
        bool, typer.Option("--calibrate", help="Train by the plan that 's2e plan' finds fastest here.")
    ] = False,
    seconds: Annotated[
        str | None,
        typer.Option(help='End after this time, such as 90 or "5 min", with fewer trials and seeds if need be.'),
    ] = None,
) -> None:
    """Run a whole search or comparison in this process; the same job and seed give the same numbers as on the service.

    Example: s2e search examples/digits.toml --output results
    """
    from s2e.local import run, spec_of
    from s2e.words import replace
    from service.cli.reports import draw_report, report_files
    from service.cli.terminal import print_places

    spec, console = spec_of(file), out()
    if calibrated:
        spec = replace(spec, plan=(measured := _calibrated(spec, data_root, fresh=False)).plan)
        console.print(_summary(measured), soft_wrap=True)
    _, report = run(spec, data_root=data_root, output=output, seconds=seconds)
    draw_report(report, console)
    console.print()
    print_places(console, report_files(report, spec.kind, output))


def plan(
    file: JobFile,
    data_root: DataRoot = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what an earlier call has kept.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure how this machine trains a job fastest: how many trials together, and in which arithmetic.

    Prints what was measured and the lines to put into the job. A plan is stored with its job and never changed, so the
    job's numbers stay the same wherever it is run again. A few seconds; what was measured is kept for the next time.
    """
    from s2e.calibrate import toml_of
    from s2e.local import spec_of
    from s2e.words import to_json

    measured = _calibrated(spec_of(file), data_root, fresh=fresh)
    if as_json:
        print_json(to_json(measured) | {"gain": measured.gain})
        return
    _print(measured)
    typer.echo(toml_of(measured.plan))


def _print(measured: Calibration) -> None:
    """Print the measurements, line by line."""
    from rich.table import Table

    console, table = out(), Table("trials together", "arithmetic", "step", "ms a trial-epoch", "memory", box=None)
    for case in measured.cases:
        values = (case.dtype, case.step, f"{1e3 * case.trial_epoch_s:.2f}", f"{case.memory_bytes / 2**20:.0f} MiB")
        table.add_row(str(case.population), *values)
    console.print(table)
    for fallback in measured.fallbacks:
        console.print(fallback, soft_wrap=True, markup=False)
    console.print(f"\n{_summary(measured)}\n", soft_wrap=True)


def _calibrated(spec: JobSpec, data_root: Path | None, *, fresh: bool) -> Calibration:
    from s2e.calibrate import calibrate
    from s2e.data.root import environment_root
    from s2e.sizes import sized

    root = environment_root() if data_root is None else str(data_root)
    spec = sized(spec, root)
    with progress_bar() as bar:
        task = bar.add_task("measuring", total=None)
        return calibrate(spec, root, fresh=fresh, progress=lambda what: bar.update(task, description=what))


def _summary(measured: Calibration) -> str:
    n, took = measured.n_workers, _duration(measured.job_s)
    processes = f"{n} processes" if n > 1 else "one process"
    if measured.gain is None:
        return f"About {took} of training with {processes}; the job's own plan does not train here."
    if measured.gain == 1:
        return f"About {took} of training with {processes}: the job's own plan, and no other is much faster."
    was = _duration(measured.job_s * measured.gain)
    return (
        f"About {took} of training with {processes}, {measured.gain:.1f} times as fast as the job's own plan ({was})."
    )


def _duration(seconds: float) -> str:
    """120 s at most, minutes above."""
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def list_names(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="Only names of this kind, such as methods.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the names a job may use, and what is installed and broken. With a KIND, every setting of each name too.

    Example: s2e list methods shows every hyperparameter with its default and range.
    """
    from s2e.parts import REGISTRIES, listing
    from service.cli.terminal import part_lines

    if kind is not None and kind not in REGISTRIES:
        raise typer.BadParameter(f"{kind!r}; one of {', '.join(REGISTRIES)}")
    if as_json:
        print_json(listing(kind))
        return
    for table, names in listing(kind).items():
        typer.echo(table)
        for line in part_lines(names, with_settings=kind is not None):
            typer.echo(f"  {line}")
