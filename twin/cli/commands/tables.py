"""Commands whose result is a table: `sweep`, a grid of simulations, and `curve`, hit ratios of a trace."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from policies.bad_input import BadInput
from policies.file_kinds import SCENARIO
from scenarios import shipped_scenarios
from twin.cli.commands.options import Overrides, ScenarioName, check_jobs, check_needs
from twin.output.sheet import standard_output

if TYPE_CHECKING:  # pandas takes long to load
    import pandas as pd

FORMAT_NAMES = (
    "csv, txt, oracleGeneral, vscsi; combined, combined_host_last, w3c, s3, aws_lb, json, squid, haproxy; "
    "twitter, msr, tencent_block, alibaba_block, tencent_photo, ibm_object_store, wikimedia, meta_kv, "
    "meta_cdn"
)
"""Of `scenarios.traces.FORMATS`, whose import would make ``--help`` slow."""


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
    metric: Annotated[
        str | None,
        typer.Option(
            help="With --plot: the figure to draw; hit_ratio if a cache's capacity varies, else p99_ms."
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=-1, help="Number of processes; -1, the default, for one per core.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Simulate on the workers of this Dask scheduler.")
    ] = None,
) -> None:
    """Predict a grid of settings, on all cores or on a Dask cluster.

    Exit status 1: a setting could not be simulated. 2: the input is wrong, or every setting is
    overloaded and never settles. The table says why.
    """
    check_jobs(jobs)
    if jobs is not None and scheduler is not None:
        raise BadInput("--jobs", str(jobs), "the workers of --scheduler simulate; expected one of the two")
    from scenarios import load_scenario
    from twin.cli.cache_notes import room_of_caches
    from twin.cli.progress_bars import Bars
    from twin.output.figures import check_picture
    from twin.sweeps import SweepStopped, read_vary
    from twin.sweeps import sweep as run
    from twin.sweeps.tables import MOST_ROWS, check_metric, sweep_table, varied_keys

    if metric is not None:
        check_metric(metric, "--metric")
        check_needs(True, "--metric", plot is not None, "--plot")
    check_picture(plot, "--plot")
    try:
        with Bars() as bars:
            table = run(
                scenario, read_vary(vary or ()), replications=replications, overrides=overrides or (),
                jobs=-1 if jobs is None else jobs, scheduler=scheduler, out=out, reporter=bars,
            )  # fmt: skip
    except SweepStopped as stopped:
        kept = "; run the same command again to continue" if out is not None else ""
        print(f"proxytwin: the sweep was stopped: {stopped}{kept}", file=sys.stderr)
        raise typer.Exit(1) from None
    for remark in table.attrs["remarks"]:
        print(f"proxytwin: {remark}", file=sys.stderr)
    if str(out) != "/dev/stdout":
        console = standard_output()
        most = MOST_ROWS if console.is_terminal else None
        console.print(sweep_table(table, f"{scenario} (predicted)", most))
        room = room_of_caches([load_scenario(scenario, overrides or ()).scenario])
        if room is not None and not any(".cache" in key for key in varied_keys(table)):
            console.print(room, markup=False, highlight=False)
    if plot is not None and (table["error"] == "").any():
        _draw(plot, table, metric)
    _say_failures(table)


def _draw(plot: Path, table: pd.DataFrame, metric: str | None) -> None:
    """Draw a sweep, and say what the figure does not show."""
    from twin.output.figures import write_picture
    from twin.sweeps.plots import averaged_keys, picture_of

    write_picture(plot, picture_of(table, metric))
    if averaged := averaged_keys(table):
        print(f"proxytwin: {plot}: shows averages over {', '.join(averaged)}", file=sys.stderr)


def _say_failures(table: pd.DataFrame) -> None:
    """Say which settings of a sweep failed or never settle, and exit with the status that follows."""
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
        list[str],
        typer.Argument(
            metavar="TRACE",
            help="A trace: a file, several files of one trace, or - for standard input; also packed "
            "(gzip, zstd, xz, bzip2). A CSV file has the columns time_s, object and size_bytes.",
        ),
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
    salts: Annotated[
        int | None, typer.Option(help="With --sample: the number of samples; 8 by default.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Skip broken lines and count them.")] = False,
    kind: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help=f"Default: by the content. {FORMAT_NAMES}."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE=COLUMN,...",
            help="Columns of a CSV file by name or number, such as object=lbn,size=3,time=ts:ms; "
            "object=host+path joins two; op=... keeps only reads.",
        ),
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
    for file in trace:
        if not Path(file).exists() and file in shipped_scenarios():
            raise BadInput(file, "", f"is {SCENARIO}; expected a trace")
    check_needs(salts is not None, "--salts", sample != 1, "--sample")
    from simulator.curve import SALTS
    from twin.cli.progress_bars import Bars
    from twin.output.figures import check_picture, write_picture
    from twin.output.tables import check_table, write_table
    from twin.sweeps.curve import DEFAULT_POLICIES, curves_of
    from twin.sweeps.tables import curve_conditions, curve_table

    if out is not None:
        check_table(out, "--out")
    check_picture(plot, "--plot")
    with Bars() as bars:
        curves = curves_of(
            trace, _listed(policy, "--policy") or DEFAULT_POLICIES,
            _listed(capacity, "--capacity") or None,
            overhead=overhead, sample=sample, salts=SALTS if salts is None else salts, skip_bad=skip_bad,
            kind=kind, columns=columns, jobs=jobs, reporter=bars,
        )  # fmt: skip
    if out is not None:
        write_table(out, curves.table)
    if plot is not None:
        from twin.sweeps.plots import hit_ratio_curves

        write_picture(plot, hit_ratio_curves(curves.table))
    if str(out) != "/dev/stdout":
        console = standard_output()
        console.print(curve_table(curves.table, ", ".join(trace)))
        console.print(curve_conditions(curves.table), markup=False, highlight=False)
    for note in curves.notes:
        print(f"proxytwin: {note}", file=sys.stderr)


def _listed(texts: list[str] | None, option: str) -> list[str]:
    listed = [part.strip() for text in texts or () for part in text.split(",") if part.strip()]
    if texts and not listed:
        raise BadInput(option, "", "expected at least one value")
    return listed
