"""A sheet with a block of rows for each variant: a row for each side, such as predicted and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from scenarios.records import Summary
from twin.output.sheet import Sheet


def sheet_by_side(
    title: str,
    heads: Sequence[str],
    caption: str,
    labels: Sequence[str],
    sides: Mapping[str, Sequence[Summary]],
    cells: Callable[[Summary], Sequence[str]],
) -> Sheet:
    """The figures of all variants, each side in a row of its own.

    Parameters
    ----------
    title, caption : str
    heads : sequence of str
        Headings of the figures.
    labels : sequence of str
        Names of the variants.
    sides : mapping of str to sequence of Summary
        ``predicted``, ``measured`` or both; with one side, its name is left out.
    cells : callable
        The figures of a row.
    """
    several = len(sides) > 1
    sheet = Sheet(title, ["variant", ""] if several else ["variant"], heads, caption, sides=several)
    for number, label in enumerate(labels):
        for place, (side, summaries) in enumerate(sides.items()):
            name = "" if place else label
            sheet.add([name, side] if several else [name], cells(summaries[number]), continues=place > 0)
    return sheet
