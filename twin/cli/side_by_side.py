"""The table of several real twins: for each, its prediction, its measurement and the difference."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from loadtests.peers.registry import titled
from twin.cli.terminal import cells_of, heads_of, shown_columns
from twin.confirm.conclusion import conclusion, how_judged
from twin.confirm.outcome import Confirmation
from twin.confirm.side_by_side import void_of
from twin.output.sheet import UNITS, Sheet
from twin.plots.style import MEASURED, PREDICTED, VERDICT


def side_by_side_table(found: Mapping[str, Confirmation]) -> Sheet:
    """Three lines for each variant and each real twin, in the order of ``--real``."""
    first = next(iter(found.values()))
    columns = shown_columns(
        [side for one in found.values() for each in one.variants for side in (each.simulated, each.measured)]
    )
    sheet = Sheet(first.scenario.title, ["variant", ""], heads_of(columns), UNITS, sides=True)
    for number, variant in enumerate(first.variants):
        label = Text(variant.variant.label, "bold")
        for place, (name, one) in enumerate(found.items()):
            outcome = one.variants[number]
            title, verdict = titled(name), Text(outcome.verdict, f"bold {VERDICT[outcome.verdict]}")
            predicted, measured = cells_of(outcome.simulated, columns), cells_of(outcome.measured, columns)
            apart = [outcome.difference_text(column) for column in columns]
            sheet.add(
                [label if not place else "", Text("predicted", PREDICTED)], predicted, continues=place > 0
            )
            sheet.add([verdict, Text(title, MEASURED)], measured, continues=True)
            sheet.add(["", Text("difference", "dim")], apart, continues=True)
    return sheet


def print_side_by_side(found: Mapping[str, Confirmation], console: Console) -> None:
    """Print the table, and of each real twin the conclusion and how it differs from its names."""
    console.print(side_by_side_table(found))
    for name, one in found.items():
        for line in conclusion(one):
            console.print(Text(f"{titled(name)}: {line}"), soft_wrap=True)
        for line in one.of_real:
            console.print(Text(line), soft_wrap=True)
    for line in how_judged(next(iter(found.values()))):
        console.print(Text(line), soft_wrap=True)
    for reason in void_of(found):
        console.print(Text(f"void: {reason}", style=VERDICT["refuted"]), soft_wrap=True)
