"""Commands on a scenario: `confirm`, `simulate`, `loadtest`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from policies.bad_input import BadInput
from twin.cli.commands.options import Overrides, ScenarioName, check_jobs, check_needs
from twin.output.files import check_writable, write_json, write_whole
from twin.output.sheet import standard_output

if TYPE_CHECKING:
    from loadtests.run.target import Target
    from scenarios.loading import LoadedScenario
    from scenarios.records import Summary

Real = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        help="Which real proxies stand in for the model: proxytwin, nginx, haproxy, squid, varnish. Several, "
        "separated by commas, are set side by side.",
    ),
]
TargetUrl = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="URL",
        help="A proxy that runs already, before the backends of 'proxytwin backends'; instead of --real.",
    ),
]
BackendsPort = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="With --target: port of the first backend; 9001 by default."),
]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results as JSON.")]


def _load(name: str, overrides: list[str] | None) -> LoadedScenario:
    """Load a scenario, and say what a user should know before any work begins."""
    from scenarios import load_scenario

    loaded = load_scenario(name, overrides or ())
    for remark in loaded.remarks():
        print(f"proxytwin: {remark}", file=sys.stderr)
    return loaded


def _load_real(name: str, overrides: list[str] | None, real: Sequence[str]) -> LoadedScenario:
    """Load a scenario, and check that the real twins support all variants."""
    from loadtests.peers.registry import check_peers
    from scenarios.schema import check_real

    loaded = _load(name, overrides)
    for variant in loaded.variants:
        check_real(variant.scenario, name)
    check_peers(real, [variant.scenario for variant in loaded.variants], name)
    return loaded


def confirm(
    scenario: ScenarioName,
    seeds: Annotated[int, typer.Option(min=1, help="Number of workloads, each with the next seed.")] = 1,
    repeats: Annotated[
        int, typer.Option(min=1, help="Real runs of each variant and seed; the noise floor needs two.")
    ] = 2,
    overrides: Overrides = None,
    real: Real = "proxytwin",
    target: TargetUrl = None,
    backends_port: BackendsPort = None,
    json: JsonFile = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write an HTML page with figures.")
    ] = None,
) -> None:
    """Predict, measure and compare.

    Calibrates on the idle real system, simulates every variant, measures every variant on the real
    proxy, and tells whether the predictions came true.

    Exit status 0: no prediction was refuted. 1: a prediction was refuted, or a run is void. 2: the
    input is wrong, or every variant is overloaded and never settles.
    """
    from loadtests.peers.registry import read_real, titled
    from twin.cli.progress_bars import Bars
    from twin.cli.side_by_side import print_side_by_side
    from twin.cli.terminal import print_confirmation
    from twin.confirm.side_by_side import as_dict, confirm_each

    names = read_real(real)
    running = _read_target(target, backends_port, names)
    loaded = _load_real(scenario, overrides, names)
    check_writable(json, "--json")
    check_writable(report, "--report")
    if json is not None and report is not None and json.resolve() == report.resolve():
        raise BadInput("--report", str(report), "is the file of --json, too; expected another name")
    with Bars() as bars:
        each = confirm_each(loaded, names, seeds=seeds, repeats=repeats, reporter=bars, target=running)
    found, *_ = each.values()
    if json is not None:
        write_json(json, as_dict(each))
    if report is not None:
        from twin.confirm.report import confirmation_page

        beside = {titled(name): one for name, one in each.items() if one is not found}
        write_whole(report, confirmation_page(found, beside))
    console = standard_output()
    if len(each) == 1:
        print_confirmation(found, console)
    else:
        print_side_by_side(each, console)
    if report is not None:
        console.print(f"Report: {report}", soft_wrap=True, markup=False, highlight=False)
    if any(one.refuted or one.void for one in each.values()):
        raise typer.Exit(1)
    _say_unsettled(found.unsettled, len(found.variants))


def _say_unsettled(reasons: Mapping[str, str], variants: int) -> None:
    """Print a line for each variant that never settles. If none settles, exit with status 2."""
    for label, reason in reasons.items():
        print(f"proxytwin: {label}: {reason}", file=sys.stderr)
    if len(reasons) == variants:
        raise typer.Exit(2)


def simulate(
    scenario: ScenarioName,
    replications: Annotated[
        int, typer.Option(min=1, help="Runs of each variant, each with the next seed.")
    ] = 1,
    overrides: Overrides = None,
    json: JsonFile = None,
    jobs: Annotated[
        int, typer.Option(min=-1, help="Number of processes for the replications; -1 for one per core.")
    ] = 1,
) -> None:
    """Predict only, with the simulator.

    Exit status 2: the input is wrong, or every variant is overloaded and never settles.
    """
    check_jobs(jobs)
    from simulator import simulate as run
    from twin.cli.progress_bars import Bars
    from twin.cli.terminal import half_widths, print_summaries

    loaded = _load(scenario, overrides)
    check_writable(json, "--json")
    from scenarios.due import check_sent

    results, unsettled, notes = [], {}, []
    with Bars() as bars, bars.step("simulate", replications * len(loaded.variants)) as advance:
        for variant in loaded.variants:
            bars.note(variant.label)
            result = run(variant.scenario, replications, jobs=jobs, progress=lambda *_: advance(1))
            results.append(result)
            check_sent(result.summary, variant.scenario, f"{scenario}: {variant.label}")
            notes += [f"{variant.label}: {note}" for note in result.cache_notes]
            if not result.settled:
                unsettled[variant.label] = result.settled.reason
    summaries, halves = [result.summary for result in results], [half_widths(one) for one in results]
    if json is not None:
        found = _one_sided(loaded, "simulated", [s.as_dict() for s in summaries], [])
        for of_variant, half in zip(found["variants"], halves, strict=True):
            of_variant.update({"half_width": half} if half else {})
        write_json(json, {**found, "unsettled": unsettled})
    print_summaries(loaded, summaries, "predicted", standard_output(), halves)
    if len(summaries) > 1 and all(summary == summaries[0] for summary in summaries):
        keys = ", ".join(loaded.scenario.compare)
        notes.append(f"{keys}: makes no difference here: all variants give the same figures")
    for note in notes:
        print(f"proxytwin: {note}", file=sys.stderr)
    _say_unsettled(unsettled, len(results))


def _read_target(url: str | None, port: int | None, real: list[str]) -> Target | None:
    """The proxy that ``--target`` names; raises `BadInput` if options contradict each other."""
    check_needs(port is not None, "--backends-port", url is not None, "--target")
    if url is None:
        return None
    from loadtests.peers.registry import OURS
    from loadtests.run.target import BACKENDS_PORT, Target

    if real != [OURS]:
        raise BadInput("--target", url, f"--real says {', '.join(real)}; expected one of the two")
    return Target(url, port or BACKENDS_PORT)


def loadtest(
    scenario: ScenarioName,
    overrides: Overrides = None,
    real: Real = "proxytwin",
    target: TargetUrl = None,
    backends_port: BackendsPort = None,
    json: JsonFile = None,
) -> None:
    """Measure only: the real proxy and backends under Locust load.

    Exit status 1: a run is void, for example because requests were sent late.
    """
    from loadtests.peers.registry import OURS, read_real, titled
    from twin.cli.progress_bars import Bars
    from twin.cli.terminal import print_summaries
    from twin.confirm.side_by_side import TARGET, check_target, notes_of

    names = read_real(real)
    running = _read_target(target, backends_port, names)
    loaded = _load_real(scenario, overrides, names)
    if running is not None:
        check_target(running, loaded)
        names = [TARGET]
    check_writable(json, "--json")
    each: dict[str, list[Summary]] = {}
    void = []
    total = len(names) * sum(variant.scenario.duration for variant in loaded.variants)
    with Bars() as bars, bars.step("measure", total, unit="s") as advance:
        for name in names:
            each[name], reasons = _measure(loaded, name, running, bars.note, advance)
            void += [reason if len(names) == 1 else f"{titled(name)}: {reason}" for reason in reasons]
    if json is not None:
        found = _one_sided(loaded, "measured", [s.as_dict() for s in each[names[0]]], void)
        for number, of_variant in enumerate(found["variants"] if names != [OURS] else ()):
            of_variant["real"] = {name: {"measured": each[name][number].as_dict()} for name in names}
        write_json(json, found)
    console = standard_output()
    for name in names:
        side = "measured" if name == OURS else f"measured, {titled(name)}"
        print_summaries(loaded, each[name], side, console)
        for line in notes_of(name, loaded):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
    for reason in void:
        console.print(f"void: {reason}", soft_wrap=True, markup=False)
    if void:
        raise typer.Exit(1)


def _measure(
    loaded: LoadedScenario,
    real: str,
    target: Target | None,
    note: Callable[[str], None],
    advance: Callable[[float], None],
) -> tuple[list[Summary], list[str]]:
    """One run of each variant with one real twin, and why runs are void."""
    from loadtests import Stage
    from scenarios.due import check_sent
    from twin.confirm.measure import measure_once

    summaries, void = [], []
    with Stage(real, target) as stage:
        for variant in loaded.variants:
            note(variant.label)
            run, _ = measure_once(stage, variant.scenario, advance)
            summaries.append(run.records.summary(variant.scenario.window))
            void += [f"{variant.label}: {reason}" for reason in run.void]
            if not run.void:
                check_sent(summaries[-1], variant.scenario, f"{loaded.name}: {variant.label}")
    return summaries, void


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
