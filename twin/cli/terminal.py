"""The output of commands in a terminal: tables of predictions and measurements, and the conclusion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scenarios.loading import LoadedScenario
from scenarios.records import Summary
from scenarios.schema import Scenario
from simulator import Result
from simulator.statistics import estimate
from twin.cli.cache_notes import room_of_caches
from twin.confirm.compare import ABSOLUTE, Differences
from twin.confirm.conclusion import conclusion
from twin.confirm.outcome import Confirmation
from twin.plots.style import MEASURED, PREDICTED, VERDICT

_COLUMNS = {
    "throughput_rps": ("req/s", "{:.1f}"),
    "mean_ms": ("mean", "{:.1f}"),
    "p50_ms": ("p50", "{:.1f}"),
    "p95_ms": ("p95", "{:.1f}"),
    "p99_ms": ("p99", "{:.1f}"),
    "hit_ratio": ("hits", "{:.1%}"),
    "error_ratio": ("errors", "{:.1%}"),
}
_NARROWEST = 12
"""Minimum width of the column with the variants' names, in characters."""
_NOTED = 0.1
"""If fetches differ from misses by more than this share, they get a table."""


def _cells(summary: Summary, columns: Sequence[str]) -> list[str]:
    return [_written(getattr(summary, name), _COLUMNS[name][1]) for name in columns]


def _written(value: float | None, form: str) -> str:
    return "–" if value is None or math.isnan(value) else form.format(value)


def _apart(differences: Differences, columns: Sequence[str], sign: str = "+") -> list[str]:
    cells = []
    for name in columns:
        value = differences[name]
        unit = "pp" if name in ABSOLUTE else "%"
        cells.append("–" if value is None else f"{value * 100:{sign}.1f}{unit}")
    return cells


def _shown_columns(summaries: Sequence[Summary]) -> list[str]:
    unknown = {
        "hit_ratio": all(summary.hit_ratio is None for summary in summaries),
        "error_ratio": not any(summary.error_ratio > 0 for summary in summaries),
    }
    return [name for name in _COLUMNS if not unknown.get(name)]


def _table(title: str) -> Table:
    caption = "req/s: requests per second; response times in ms"
    table = Table(
        title=Text(title), title_justify="left", title_style="bold", caption=caption, caption_justify="left"
    )
    table.add_column("variant", overflow="fold", min_width=_NARROWEST)
    return table


def half_widths(result: Result) -> dict[str, float]:
    """Half width of each metric's 95 % confidence interval, by name; empty with a single replication."""
    if len(result.runs) < 2:
        return {}
    shown = _every_column([result.summary])
    return {name: estimate(result.values(name)).half_width for name in shown}


def _every_column(summaries: Sequence[Summary]) -> list[str]:
    """The columns for one twin alone, errors last."""
    return [name for name in _shown_columns(summaries) if name != "error_ratio"] + ["error_ratio"]


def summary_table(
    loaded: LoadedScenario,
    summaries: Sequence[Summary],
    title: str,
    halves: Sequence[Mapping[str, float]] = (),
) -> Table:
    """One line per variant, for one twin alone, and a line with its `half_widths` if there are any."""
    columns = _every_column(summaries)
    table = _table(title)
    if any(halves):
        table.caption = f"{table.caption}; ±: half the width of the 95 % confidence interval"
    for name in columns:
        table.add_column(_COLUMNS[name][0], justify="right", no_wrap=True)
    for number, (variant, summary) in enumerate(zip(loaded.variants, summaries, strict=True)):
        table.add_row(Text(variant.label), *_cells(summary, columns))
        if halves and halves[number]:
            errors = ["±" + _written(halves[number][name], _COLUMNS[name][1]) for name in columns]
            table.add_row("", *errors, style="dim")
    return table


def confirmation_table(found: Confirmation) -> Table:
    """Three lines per variant: predicted, measured, and the difference."""
    both = [side for outcome in found.variants for side in (outcome.simulated, outcome.measured)]
    columns = _shown_columns(both)
    if len(columns) > len(_COLUMNS) - 2:
        columns.remove("p50_ms")  # so that the table fits into 80 columns
    table = _table(found.scenario.title)
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(_COLUMNS[name][0], justify="right", no_wrap=True)
    for outcome in found.variants:
        style = VERDICT[outcome.verdict]
        predicted, measured = _cells(outcome.simulated, columns), _cells(outcome.measured, columns)
        table.add_row(
            Text(outcome.variant.label, style="bold"), Text("predicted", style=PREDICTED), *predicted
        )
        table.add_row(
            Text(outcome.verdict, style=f"bold {style}"), Text("measured", style=MEASURED), *measured
        )
        table.add_row(
            "", Text("difference", style="dim"), *_apart(outcome.difference, columns), end_section=True
        )
    noise = _apart(found.noise, columns, sign="")
    table.add_row(Text("all variants", style="dim"), Text("noise floor", style="dim"), *noise, style="dim")
    return table


def fetches_table(labels: Sequence[str], sides: Mapping[str, Sequence[Summary]]) -> Table | None:
    """The fetches that reached the backends: per second, and per expiry of an object.

    Parameters
    ----------
    labels : sequence of str
        Names of the variants.
    sides : mapping of str to sequence of Summary
        ``predicted``, ``measured`` or both.

    Returns
    -------
    Table or None
        None if the hit ratio gives the same information: each miss is one fetch, and there are no others.
    """
    if not any(_beyond_hits(summary) for summaries in sides.values() for summary in summaries):
        return None
    table = Table(title="Fetches that reached the backends", title_justify="left", title_style="bold")
    table.caption = "per expiry: fetches each time that an object was missing or stale"
    table.caption_justify = "left"
    table.add_column("variant", overflow="fold", min_width=_NARROWEST)
    for heading in ("fetches/s", "per expiry"):
        for side in sides:
            table.add_column(f"{heading}\n{side}", justify="right", no_wrap=True)
    for number, label in enumerate(labels):
        cells = [
            _written(getattr(summaries[number], name), "{:.3g}")
            for name in ("fetch_rps", "fetches_per_expiry")
            for summaries in sides.values()
        ]
        table.add_row(Text(label), *cells)
    return table


def caches_table(labels: Sequence[str], sides: Mapping[str, Sequence[Summary]]) -> Table | None:
    """The share of each cache in a chain of proxies; None for a single proxy.

    The parameters are those of `fetches_table`.
    """
    proxies = [name for summaries in sides.values() for name in summaries[0].cache_share]
    if not proxies:
        return None
    title = "Share of requests that each cache answered"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("variant", overflow="fold", min_width=_NARROWEST)
    for name in dict.fromkeys(proxies):
        for side in sides:
            table.add_column(f"{name}\n{side}", justify="right", no_wrap=True)
    for number, label in enumerate(labels):
        cells = [
            _written(summaries[number].cache_share[name], "{:.1%}")
            for name in dict.fromkeys(proxies)
            for summaries in sides.values()
        ]
        table.add_row(Text(label), *cells)
    return table


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
    """Print the tables about caches, if they show more than the hit ratio."""
    for table in (caches_table(labels, sides), fetches_table(labels, sides)):
        if table is not None:
            console.print(table)


def _print_room(scenarios: Sequence[Scenario], console: Console) -> None:
    line = room_of_caches(scenarios)
    if line is not None:
        console.print(Text(line), soft_wrap=True)


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
    for line in conclusion(found):
        console.print(Text(line), soft_wrap=True)
    for reason in found.void:
        console.print(Text(f"void: {reason}", style=VERDICT["refuted"]), soft_wrap=True)
