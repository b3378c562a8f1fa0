"""Commands whose result is a table: `sweep`, a grid of simulations, and `curve`, hit ratios of a trace."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from twin.cli.commands.options import Overrides, ScenarioName, check_jobs


def sweep(
    scenario: ScenarioName,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=A,B,C", help="A setting and its values; repeat it for a grid."),
    ] = None,
    replications: Annotated[
        int, typer.Option(min=1, help="Runs of each setting, each with the next seed.")
    ] = 1,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="F.csv", help="Write CSV or Parquet; run it again to continue an interrupted sweep."
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="F.png", help="Draw the results.")] = None,
    metric: Annotated[str, typer.Option(help="The figure to draw, such as hit_ratio.")] = "p99_ms",
    jobs: Annotated[int, typer.Option(min=-1, help="Number of processes; -1 for one per core.")] = -1,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Simulate on the workers of this Dask scheduler.")
    ] = None,
) -> None:
    """Predict a grid of settings, on all cores or on a Dask cluster.

    Exit status 1: a setting could not be simulated. 2: the input is wrong, or every setting is
    overloaded and never settles. The table says why.
    """
    check_jobs(jobs)
    from scenarios import load_scenario
    from twin.cli.cache_notes import room_of_caches
    from twin.cli.progress_bars import Bars
    from twin.output.figures import check_picture, write_picture
    from twin.sweeps import SweepStopped, read_vary
    from twin.sweeps import sweep as run
    from twin.sweeps.tables import check_metric, sweep_table, varied_keys

    check_metric(metric, "--metric")
    check_picture(plot, "--plot")
    try:
        with Bars() as bars:
            table = run(
                scenario, read_vary(vary or ()), replications=replications, overrides=overrides or (),
                jobs=jobs, scheduler=scheduler, out=out, reporter=bars,
            )  # fmt: skip
    except SweepStopped as stopped:
        kept = "; run the same command again to continue" if out is not None else ""
        print(f"proxytwin: the sweep was stopped: {stopped}{kept}", file=sys.stderr)
        raise typer.Exit(1) from None
    if plot is not None:
        from twin.sweeps.plots import picture_of

        write_picture(plot, picture_of(table, metric))
    if str(out) != "/dev/stdout":
        Console().print(sweep_table(table, f"{scenario} (predicted)"))
        room = room_of_caches([load_scenario(scenario, overrides or ()).scenario])
        if room is not None and not any(".cache" in key for key in varied_keys(table)):
            Console().print(room, soft_wrap=True, markup=False, highlight=False)
    failed = table["error"][table["error"] != ""]
    if len(failed):
        print(
            f"proxytwin: {len(failed)} of {len(table)} failed; the first: {failed.iloc[0]}", file=sys.stderr
        )
        raise typer.Exit(1)
    growing = table["unsettled"][table["unsettled"] != ""]
    if len(growing):
        print(
            f"proxytwin: {len(growing)} of {len(table)} never settle; the first: {growing.iloc[0]}",
            file=sys.stderr,
        )
    if len(growing) == len(table):
        raise typer.Exit(2)


def curve(
    trace: Annotated[
        str, typer.Argument(metavar="TRACE", help="A trace: *.csv, *.log or *.oracleGeneral[.zst].")
    ],
    policy: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="Eviction policies, or 'all'.")
    ] = None,
    capacity: Annotated[
        list[str] | None,
        typer.Option(metavar="1MiB,1%", help="Cache sizes, also as shares of the bytes of all objects."),
    ] = None,
    overhead: Annotated[
        str, typer.Option(metavar="512B", help="What each object costs beyond its size, as cache.overhead.")
    ] = "0",
    sample: Annotated[
        float, typer.Option(help="Replay only this share of the objects, and show the resulting error.")
    ] = 1.0,
    salts: Annotated[int, typer.Option(help="Number of samples, with --sample.")] = 8,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Skip broken lines and count them.")] = False,
    kind: Annotated[
        str | None,
        typer.Option("--format", help="csv, combined or oracleGeneral; default: by the file's name."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="F.csv", help="Write the table as CSV or Parquet.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="F.png", help="Draw the curves.")] = None,
    jobs: Annotated[int, typer.Option(min=-1, help="Number of processes; -1 for one per core.")] = 1,
) -> None:
    """Replay a trace through eviction policies.

    Prints hit ratio and byte hit ratio by policy and capacity.
    """
    check_jobs(jobs)
    from twin.cli.progress_bars import Bars
    from twin.output.figures import check_picture, write_picture
    from twin.output.tables import check_table, write_table
    from twin.sweeps.curve import DEFAULT_CAPACITIES, DEFAULT_POLICIES, curves_of
    from twin.sweeps.tables import curve_conditions, curve_table

    if out is not None:
        check_table(out, "--out")
    check_picture(plot, "--plot")
    with Bars() as bars:
        curves = curves_of(
            trace, _listed(policy) or DEFAULT_POLICIES, _listed(capacity) or DEFAULT_CAPACITIES,
            overhead=overhead, sample=sample, salts=salts, skip_bad=skip_bad, kind=kind, jobs=jobs,
            reporter=bars,
        )  # fmt: skip
    if out is not None:
        write_table(out, curves.table)
    if plot is not None:
        from twin.sweeps.plots import hit_ratio_curves

        write_picture(plot, hit_ratio_curves(curves.table))
    if str(out) != "/dev/stdout":
        Console().print(curve_table(curves.table, trace))
        Console().print(curve_conditions(curves.table), soft_wrap=True, markup=False, highlight=False)
    for note in curves.notes:
        print(f"proxytwin: {note}", file=sys.stderr)


def _listed(texts: list[str] | None) -> list[str]:
    return [part.strip() for text in texts or () for part in text.split(",") if part.strip()]
