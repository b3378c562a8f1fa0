"""The output of commands in a terminal: tables of predictions and measurements, and the conclusion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from scenarios.loading import LoadedScenario
from scenarios.records import Summary
from scenarios.schema import Scenario
from simulator import Result
from simulator.statistics import estimate
from twin.cli.cache_notes import room_of_caches
from twin.confirm.compare import difference_text
from twin.confirm.conclusion import conclusion, how_judged
from twin.confirm.outcome import Confirmation
from twin.output.calls import calls_table
from twin.output.recovery import recovery_table
from twin.output.services import services_table
from twin.output.sheet import HEADS, UNITS, Sheet
from twin.plots.style import MEASURED, PREDICTED, VERDICT

_FORMS = {
    "throughput_rps": "{:.1f}",
    "mean_ms": "{:.1f}",
    "p50_ms": "{:.1f}",
    "p95_ms": "{:.1f}",
    "p99_ms": "{:.1f}",
    "hit_ratio": "{:.1%}",
    "error_ratio": "{:.1%}",
}
"""The figures of the tables, in their order, and how they are written."""
_NOTED = 0.1
"""If fetches differ from misses by more than this share, they get a table."""


def cells_of(summary: Summary, columns: Sequence[str]) -> list[str]:
    """The figures of a line, as text."""
    return [_written(getattr(summary, name), _FORMS[name]) for name in columns]


def _written(value: float | None, form: str) -> str:
    return "–" if value is None or math.isnan(value) else form.format(value)


def shown_columns(summaries: Sequence[Summary]) -> list[str]:
    """The figures that any of these summaries has."""
    unknown = {
        "hit_ratio": all(summary.hit_ratio is None for summary in summaries),
        "error_ratio": not any(summary.error_ratio > 0 for summary in summaries),
    }
    return [name for name in _FORMS if not unknown.get(name)]


def heads_of(columns: Sequence[str]) -> list[str]:
    """The headings of columns."""
    return [HEADS[name] for name in columns]


def half_widths(result: Result) -> dict[str, float]:
    """Half width of each metric's 95 % confidence interval, by name; empty with a single replication."""
    if len(result.runs) < 2:
        return {}
    shown = _every_column([result.summary])
    return {name: estimate(result.values(name)).half_width for name in shown}


def _every_column(summaries: Sequence[Summary]) -> list[str]:
    """The columns for one twin alone, errors last."""
    return [name for name in shown_columns(summaries) if name != "error_ratio"] + ["error_ratio"]


def summary_table(
    loaded: LoadedScenario,
    summaries: Sequence[Summary],
    title: str,
    halves: Sequence[Mapping[str, float]] = (),
) -> Sheet:
    """One line per variant, for one twin alone, and a line with its `half_widths` if there are any."""
    columns = _every_column(summaries)
    band = "; ±: half the width of the 95 % confidence interval" if any(halves) else ""
    sheet = Sheet(title, ["variant"], heads_of(columns), UNITS + band)
    for number, (variant, summary) in enumerate(zip(loaded.variants, summaries, strict=True)):
        sheet.add([variant.label], cells_of(summary, columns))
        if halves and halves[number]:
            errors = ["±" + _written(halves[number][name], _FORMS[name]) for name in columns]
            sheet.add([""], errors, "dim", continues=True)
    return sheet


def confirmation_table(found: Confirmation) -> Sheet:
    """Three lines per variant: predicted, measured, and the difference."""
    both = [side for outcome in found.variants for side in (outcome.simulated, outcome.measured)]
    columns = shown_columns(both)
    sheet = Sheet(found.scenario.title, ["variant", ""], heads_of(columns), UNITS, sides=True)
    for outcome in found.variants:
        style = VERDICT[outcome.verdict]
        predicted, measured = cells_of(outcome.simulated, columns), cells_of(outcome.measured, columns)
        label, verdict = Text(outcome.variant.label, "bold"), Text(outcome.verdict, f"bold {style}")
        apart = [outcome.difference_text(name) for name in columns]
        sheet.add([label, Text("predicted", PREDICTED)], predicted)
        sheet.add([verdict, Text("measured", MEASURED)], measured, continues=True)
        sheet.add(["", Text("difference", "dim")], apart, continues=True)
    noise = [difference_text(found.noise[name], name, sign="") for name in columns]
    sheet.add(["noise floor", ""], noise, "dim")
    return sheet


def fetches_table(labels: Sequence[str], sides: Mapping[str, Sequence[Summary]]) -> Sheet | None:
    """The fetches that reached the backends: per second, and per expiry of an object.

    Parameters
    ----------
    labels : sequence of str
        Names of the variants.
    sides : mapping of str to sequence of Summary
        ``predicted``, ``measured`` or both.

    Returns
    -------
    Sheet or None
        None if the hit ratio gives the same information: each miss is one fetch, and there are no others.
    """
    if not any(_beyond_hits(summary) for summaries in sides.values() for summary in summaries):
        return None
    heads = [f"{heading}\n{side}" for heading in ("fetches/s", "per expiry") for side in sides]
    caption = "per expiry: fetches each time that an object was missing or stale"
    sheet = Sheet("Fetches that reached the backends", ["variant"], heads, caption)
    for number, label in enumerate(labels):
        cells = [
            _written(getattr(summaries[number], name), "{:.3g}")
            for name in ("fetch_rps", "fetches_per_expiry")
            for summaries in sides.values()
        ]
        sheet.add([label], cells)
    return sheet


def caches_table(labels: Sequence[str], sides: Mapping[str, Sequence[Summary]]) -> Sheet | None:
    """The share of each cache of several proxies; None for a single proxy.

    The parameters are those of `fetches_table`.
    """
    proxies = [name for summaries in sides.values() for name in summaries[0].cache_share]
    if not proxies:
        return None
    names = list(dict.fromkeys(proxies))
    heads = [f"{name}\n{side}" for name in names for side in sides]
    sheet = Sheet("Share of requests that each cache answered", ["variant"], heads)
    for number, label in enumerate(labels):
        cells = [
            _written(summaries[number].cache_share[name], "{:.1%}")
            for name in names
            for summaries in sides.values()
        ]
        sheet.add([label], cells)
    return sheet


def _beyond_hits(summary: Summary) -> bool:
    if summary.fetch_rps is None or summary.hit_ratio is None:
        return False
    misses = (1 - summary.hit_ratio) * summary.throughput_rps
    several = (summary.fetches_per_expiry or 1.0) > 1 + _NOTED
    return several or abs(summary.fetch_rps - misses) > _NOTED * summary.fetch_rps


def print_summaries(
    loaded: LoadedScenario,
    summaries: Sequence[Summary],
    side: str,
    console: Console,
    halves: Sequence[Mapping[str, float]] = (),
) -> None:
    """Print the tables of one twin; `side` is ``predicted`` or ``measured``, `halves` are `half_widths`."""
    console.print(summary_table(loaded, summaries, f"{loaded.scenario.title} ({side})", halves))
    _print_more([variant.label for variant in loaded.variants], {side: summaries}, console)
    _print_room([variant.scenario for variant in loaded.variants], console)


def _print_more(labels: Sequence[str], sides: Mapping[str, Sequence[Summary]], console: Console) -> None:
    """Print the tables about services, calls, outages and caches, if they show more than the first."""
    for make in (services_table, calls_table, recovery_table, caches_table, fetches_table):
        table = make(labels, sides)
        if table is not None:
            console.print(table)


def _print_room(scenarios: Sequence[Scenario], console: Console) -> None:
    line = room_of_caches(scenarios)
    if line is not None:
        console.print(Text(line))


def print_confirmation(found: Confirmation, console: Console) -> None:
    """Print the tables, the conclusion, and the reasons why the run is void."""
    console.print(confirmation_table(found))
    _print_more(
        [outcome.variant.label for outcome in found.variants],
        {
            "predicted": [outcome.simulated for outcome in found.variants],
            "measured": [outcome.measured for outcome in found.variants],
        },
        console,
    )
    _print_room([outcome.variant.scenario for outcome in found.variants], console)
    for outcome in found.variants:
        for note in outcome.cache_notes:
            console.print(Text(f"{outcome.variant.label}: {note}"), soft_wrap=True)
    for line in [*found.of_real, *conclusion(found), *how_judged(found)]:
        console.print(Text(line), soft_wrap=True)
    for reason in found.void:
        console.print(Text(f"void: {reason}", style=VERDICT["refuted"]), soft_wrap=True)
