"""The command line: one command per job, one clear line for a mistake."""

from __future__ import annotations

import ipaddress
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from policies.problems import BadInput
from scenarios import load_scenario, shipped_scenarios
from scenarios.loading import LoadedScenario
from scenarios.schema import check_real
from scenarios.workload import read_trace
from twin.output import check_writable, write_json, write_whole

app = typer.Typer(
    help="Predict a proxy's caching and load balancing in simulation, then confirm it on real sockets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_SCENARIO_HELP = f"A scenario file, or a shipped one: {', '.join(shipped_scenarios())}."
ScenarioName = Annotated[str, typer.Argument(metavar="SCENARIO", help=_SCENARIO_HELP)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. workload.users=20."),
]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results as JSON.")]


def _load(name: str, overrides: list[str] | None) -> LoadedScenario:
    """A scenario whose traces can be read: known before any work begins."""
    loaded = load_scenario(name, overrides or ())
    for trace in {variant.scenario.workload.trace for variant in loaded.variants} - {None}:
        read_trace(trace)
    return loaded


def _load_real(name: str, overrides: list[str] | None) -> LoadedScenario:
    """A scenario that the real twin obeys in all variants."""
    loaded = _load(name, overrides)
    for variant in loaded.variants:
        check_real(variant.scenario, name)
    return loaded


@app.command()
def confirm(
    scenario: ScenarioName,
    seeds: Annotated[int, typer.Option(min=1, help="Workloads: the scenario's seed and those after it.")] = 1,
    repeats: Annotated[
        int, typer.Option(min=1, help="Real runs of each variant; two show the noise floor.")
    ] = 2,
    overrides: Overrides = None,
    json: JsonFile = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page with pictures.")
    ] = None,
) -> None:
    """Calibrate, simulate, measure on the real proxy, compare: did the prediction come true?

    Exit status 0: nothing refuted; 1: refuted or void; 2: bad input, or no variant ever settles.
    """
    from twin.confirm import confirm as run
    from twin.progress import Bars
    from twin.terminal import print_confirmation

    loaded = _load_real(scenario, overrides)
    check_writable(json, "--json")
    check_writable(report, "--report")
    with Bars() as bars:
        found = run(loaded, seeds=seeds, repeats=repeats, reporter=bars)
    if json is not None:
        write_json(json, found.as_dict())
    if report is not None:
        from twin.report import confirmation_page

        write_whole(report, confirmation_page(found))
    console = Console()
    print_confirmation(found, console)
    if report is not None:
        console.print(f"Report: {report}", soft_wrap=True, markup=False, highlight=False)
    if found.refuted or found.void:
        raise typer.Exit(1)
    _say_unsettled(found.unsettled, len(found.variants))


def _say_unsettled(reasons: Mapping[str, str], variants: int) -> None:
    """A line for each that never settles. If none does, there is no answer: exit status 2."""
    for label, reason in reasons.items():
        print(f"proxytwin: {label}: {reason}", file=sys.stderr)
    if len(reasons) == variants:
        raise typer.Exit(2)


@app.command()
def simulate(
    scenario: ScenarioName,
    replications: Annotated[int, typer.Option(min=1, help="Runs with the seeds that follow.")] = 1,
    overrides: Overrides = None,
    json: JsonFile = None,
    jobs: Annotated[int, typer.Option(min=-1, help="Processes; -1 is one per core.")] = 1,
) -> None:
    """Predict only.

    Exit status 2 if no variant ever settles, because more arrives than can be answered.
    """
    if jobs == 0:
        raise BadInput("--jobs", "0", "expected a number of processes, or -1 for one per core")
    from simulator import simulate as run
    from twin.progress import Bars
    from twin.terminal import half_widths, print_summaries

    loaded = _load(scenario, overrides)
    check_writable(json, "--json")
    results, unsettled = [], {}
    with Bars() as bars, bars.step("simulate", replications * len(loaded.variants)) as advance:
        for variant in loaded.variants:
            bars.note(variant.label)
            result = run(variant.scenario, replications, jobs=jobs, progress=lambda *_: advance(1))
            results.append(result)
            if not result.settled:
                unsettled[variant.label] = result.settled.reason
    summaries, halves = [result.summary for result in results], [half_widths(one) for one in results]
    if json is not None:
        found = _one_sided(loaded, "simulated", [s.as_dict() for s in summaries], [])
        for of_variant, half in zip(found["variants"], halves, strict=True):
            of_variant.update({"half_width": half} if half else {})
        write_json(json, {**found, "unsettled": unsettled})
    print_summaries(loaded, summaries, "predicted", Console(), halves)
    _say_unsettled(unsettled, len(results))


@app.command()
def loadtest(scenario: ScenarioName, overrides: Overrides = None, json: JsonFile = None) -> None:
    """Measure only: the real proxy and backends under Locust load.

    Exit status 1 if a run is void, because the load generator could not keep to its plan.
    """
    from loadtests import Stage
    from twin.measuring import measure_once
    from twin.progress import Bars
    from twin.terminal import print_summaries

    loaded = _load_real(scenario, overrides)
    check_writable(json, "--json")
    summaries, void = [], []
    total = sum(variant.scenario.duration for variant in loaded.variants)
    with Bars() as bars, Stage() as stage, bars.step("measure", total, unit="s") as advance:
        for variant in loaded.variants:
            bars.note(variant.label)
            run, _ = measure_once(stage, variant.scenario, advance)
            summaries.append(run.records.summary(variant.scenario.window))
            void += [f"{variant.label}: {reason}" for reason in run.void]
    if json is not None:
        write_json(json, _one_sided(loaded, "measured", [s.as_dict() for s in summaries], void))
    console = Console()
    print_summaries(loaded, summaries, "measured", console)
    for reason in void:
        console.print(f"void: {reason}", soft_wrap=True, markup=False)
    if void:
        raise typer.Exit(1)


def _one_sided(loaded: Any, side: str, summaries: list[dict[str, Any]], void: list[str]) -> dict[str, Any]:
    return {
        "scenario": loaded.name,
        "title": loaded.scenario.title,
        "seed": loaded.scenario.seed,
        "void": void,
        "variants": [
            {"setting": variant.setting, side: summary}
            for variant, summary in zip(loaded.variants, summaries, strict=True)
        ],
    }


@app.command()
def sweep(
    scenario: ScenarioName,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=A,B,C", help="A setting and its values; several make a grid."),
    ] = None,
    replications: Annotated[int, typer.Option(min=1, help="Seeds for each setting, the same for all.")] = 1,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="F.csv", help="The table; Parquet if the name says so. A killed sweep goes on."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="F.png", help="A picture of what was varied.")] = None,
    metric: Annotated[str, typer.Option(help="The figure in the picture.")] = "p99_ms",
    jobs: Annotated[int, typer.Option(min=-1, help="Processes; -1 is one per core.")] = -1,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler whose workers simulate.")
    ] = None,
) -> None:
    """Predict a grid of settings, on all cores or on a Dask cluster.

    Exit status 1 if a setting could not be simulated, 2 if none of them ever settles; the table
    says why.
    """
    if jobs == 0:
        raise BadInput("--jobs", "0", "expected a number of processes, or -1 for one per core")
    from twin.pictures import check_picture, write_picture
    from twin.progress import Bars
    from twin.sweeps import SweepStopped, read_vary
    from twin.sweeps import sweep as run
    from twin.sweeps.plots import check_metric, picture_of
    from twin.sweeps.tables import sweep_table

    check_metric(metric, "--metric")
    check_picture(plot, "--plot")
    try:
        with Bars() as bars:
            table = run(
                scenario, read_vary(vary or ()), replications=replications, overrides=overrides or (),
                jobs=jobs, scheduler=scheduler, out=out, reporter=bars,
            )  # fmt: skip
    except SweepStopped as stopped:
        kept = "; the same command goes on from here" if out is not None else ""
        print(f"proxytwin: the sweep was stopped: {stopped}{kept}", file=sys.stderr)
        raise typer.Exit(1) from None
    if plot is not None:
        write_picture(plot, picture_of(table, metric))
    if str(out) != "/dev/stdout":
        Console().print(sweep_table(table, f"{scenario} (predicted)"))
    failed = table["error"][table["error"] != ""]
    if len(failed):
        print(
            f"proxytwin: {len(failed)} of {len(table)} failed, the first: {failed.iloc[0]}", file=sys.stderr
        )
        raise typer.Exit(1)
    growing = table["unsettled"][table["unsettled"] != ""]
    if len(growing):
        print(
            f"proxytwin: {len(growing)} of {len(table)} never settle, the first: {growing.iloc[0]}",
            file=sys.stderr,
        )
    if len(growing) == len(table):
        raise typer.Exit(2)


@app.command()
def curve(
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="*.csv, *.log or *.oracleGeneral[.zst].")],
    policy: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="Eviction policies, or 'all'.")
    ] = None,
    capacity: Annotated[
        list[str] | None, typer.Option(metavar="1MiB,1%", help="Sizes, or shares of all objects' bytes.")
    ] = None,
    sample: Annotated[
        float, typer.Option(help="Replay this share of the objects and say the error that it brings.")
    ] = 1.0,
    salts: Annotated[int, typer.Option(help="How many such samples.")] = 8,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Count broken lines and go on.")] = False,
    kind: Annotated[
        str | None, typer.Option("--format", help="csv, combined or oracleGeneral; by default from the name.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="F.csv", help="The table, or Parquet.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="F.png", help="The curves.")] = None,
    jobs: Annotated[int, typer.Option(min=-1, help="Processes; -1 is one per core.")] = 1,
) -> None:
    """Hit ratio and byte hit ratio of a trace, by eviction policy and capacity."""
    if jobs == 0:
        raise BadInput("--jobs", "0", "expected a number of processes, or -1 for one per core")
    from twin.curving import DEFAULT_CAPACITIES, DEFAULT_POLICIES, curves_of
    from twin.pictures import check_picture, write_picture
    from twin.progress import Bars
    from twin.sweeps.plots import hit_ratio_curves
    from twin.sweeps.tables import curve_table
    from twin.tables import check_table, write_table

    if out is not None:
        check_table(out, "--out")
    check_picture(plot, "--plot")
    with Bars() as bars:
        curves = curves_of(
            trace, _listed(policy) or DEFAULT_POLICIES, _listed(capacity) or DEFAULT_CAPACITIES,
            sample=sample, salts=salts, skip_bad=skip_bad, kind=kind, jobs=jobs, reporter=bars,
        )  # fmt: skip
    if out is not None:
        write_table(out, curves.table)
    if plot is not None:
        write_picture(plot, hit_ratio_curves(curves.table))
    if str(out) != "/dev/stdout":
        Console().print(curve_table(curves.table, trace))
    for note in curves.notes:
        print(f"proxytwin: {note}", file=sys.stderr)


def _listed(texts: list[str] | None) -> list[str]:
    return [part.strip() for text in texts or () for part in text.split(",") if part.strip()]


ProxyFile = Annotated[Path, typer.Argument(metavar="PROXY.toml", help="A proxy's settings.")]


@app.command()
def serve(proxy_file: ProxyFile) -> None:
    """Run the real proxy alone, until Ctrl-C or SIGTERM; requests under way are finished first.

    SIGHUP reads the file again without losing a request; SIGUSR1 reopens the log.
    """
    from realproxy import Proxy
    from realproxy.signals import Signals, serve_until_told

    with Signals() as signals, Proxy.load(proxy_file) as proxy:
        admin = f"; live page at {proxy.admin_url}" if proxy.admin_url else ""
        print(f"proxytwin serves on {proxy.url}{admin}", flush=True)
        serve_until_told(proxy, proxy_file, signals)


@app.command()
def check(proxy_file: ProxyFile) -> None:
    """Say whether a proxy's file is right, and what is wrong with it if not."""
    from realproxy.check import check as findings_of

    findings = findings_of(proxy_file)
    for finding in findings:
        print(f"proxytwin: {finding}", file=sys.stderr)
    if findings:
        raise typer.Exit(2)
    print(f"{proxy_file}: ok")


@app.command()
def explain(
    proxy_file: ProxyFile,
    method: Annotated[str, typer.Argument(help="Such as GET.")],
    url: Annotated[str, typer.Argument(help="http://host/path, /path, or host:port for CONNECT.")],
    header: Annotated[list[str] | None, typer.Option("-H", metavar="'NAME: VALUE'", help="A field.")] = None,
    client: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where the request comes from.")
    ] = "127.0.0.1",
    answer: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An answer as 'curl -i' writes it: what the cache makes of it."),
    ] = None,
    after: Annotated[
        str, typer.Option(metavar="DURATION", help="With --answer: when the same request comes again.")
    ] = "0s",
) -> None:
    """Say which rule takes a request, and why each earlier one does not; and what is stored, and why."""
    from policies.settings import load_settings
    from policies.units import parse_duration
    from realproxy.check import explain as explanation_of

    settings = load_settings(proxy_file)
    try:
        ipaddress.ip_address(client)
    except ValueError:
        raise BadInput("--client", client, "expected an IP address such as 203.0.113.9") from None
    fields = dict(_read_field(line) for line in header or ())
    explanation = explanation_of(settings, method, url, fields, client)
    lines = explanation.lines()
    if answer is not None:
        from realproxy.reasoning import explain_stored

        try:
            text, elapsed = answer.read_bytes(), parse_duration(after)
        except OSError as error:
            raise BadInput("--answer", str(answer), f"cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise BadInput("--after", after, str(error)) from None
        lines += explain_stored(settings, explanation, method, url, fields, text, elapsed, str(answer))
    for line in lines:
        print(line)


def _read_field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise BadInput("-H", line, "expected 'Name: value'")
    return name.strip(), value.strip()


@app.command()
def lab() -> None:
    """Open JupyterLab on the lessons."""
    import importlib.util
    import os

    folder = Path(__file__).resolve().parent.parent / "notebooks"
    if not folder.is_dir():
        raise BadInput("lab", str(folder), "no lessons here; run it from a clone of the repository")
    if importlib.util.find_spec("jupyterlab") is None:
        raise BadInput("lab", "", "JupyterLab is not installed; install proxytwin with its 'notebooks' extra")
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}"])


_interrupted = threading.Event()


def _interrupt(_number: int, _frame: object) -> None:
    _interrupted.set()
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; ends the process with 0, 1, 2, or 130 after an interruption."""
    from loadtests import LoadTestError

    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app(standalone_mode=True)
    except BadInput as mistake:
        print(f"proxytwin: {mistake}", file=sys.stderr)
        sys.exit(2)
    except LoadTestError as failure:
        print(f"proxytwin: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("proxytwin: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except (Exception, SystemExit):
        # While it is being interrupted, a pool of processes may fail in ways of its own.
        if not _interrupted.is_set():
            raise
        sys.exit(130)


if __name__ == "__main__":
    main()
