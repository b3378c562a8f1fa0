"""The exposure table as a figure: a panel for each way, with items against observers.

Full, ringed and tiny marks differ in shape and size, so that no reader needs their colours. Modelled panels
have the colour of predictions, measured ones that of measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from twin.exposure.exposure import Exposure
from twin.exposure.vocabulary import TITLES, Cell, Cells, Item, Observer, Way
from twin.plots.style import INK, MEASURED, NEUTRAL, PREDICTED, STYLE

_SIZE = {Cell.SEEN: 9.0, Cell.DERIVABLE: 7.0, Cell.UNSEEN: 2.5}
LEGEND = "what the observer learns"


def figure_of_exposure(table: Exposure) -> Figure:
    """All ways of a table, up to five panels in a row."""
    ways = table.ways
    columns = _columns(len(ways))
    rows = -(-len(ways) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.4 + 1.75 * columns, 2.1 + 2.35 * rows))
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for number, axes in enumerate(panels.flat):
            if number < len(ways):
                _draw(axes, table, ways[number])
            else:
                axes.set_axis_off()
        for column in range(columns):
            lowest = (len(ways) - 1 - column) // columns
            panels[lowest, column].tick_params(axis="x", labelbottom=True)
        handles, across = _legend(table, ways), 4 if columns > 2 else 2
        figure.legend(handles=handles, loc="outside upper center", ncols=across, fontsize=9, title=LEGEND)
    return figure


def _columns(panels: int) -> int:
    """How many panels stand in a row, so that few places stay empty."""
    return panels if panels <= 5 else min((5, 4, 3), key=lambda columns: -panels % columns)


def _draw(axes: Axes, table: Exposure, way: Way) -> None:
    measured = table.measured(way)
    title = TITLES[way] if measured else f"{TITLES[way]}\n(modelled)"
    draw_cells(axes, table.cells(way), title, MEASURED if measured else PREDICTED)


def draw_cells(axes: Axes, cells: Cells, title: str, colour: str) -> None:
    """Items against observers in one panel."""
    for cell in Cell:
        places = [
            (column, row)
            for column, observer in enumerate(Observer)
            for row, item in enumerate(Item)
            if cells[observer, item] is cell
        ]
        axes.plot([x for x, _ in places], [y for _, y in places], **look(cell, colour))
    axes.set_title(title, fontsize=9)
    axes.set_xticks(range(len(Observer)), list(Observer), rotation=90, fontsize=8)
    axes.set_yticks(range(len(Item)), list(Item), fontsize=8)
    axes.set_xlim(-0.6, len(Observer) - 0.4)
    axes.set_ylim(len(Item) - 0.4, -0.6)
    axes.tick_params(length=0)


def look(cell: Cell, colour: str) -> dict[str, Any]:
    """The mark of a cell, for ``Axes.plot``."""
    return {
        "ls": "",
        "marker": {Cell.SEEN: "s", Cell.DERIVABLE: "o", Cell.UNSEEN: "."}[cell],
        "ms": _SIZE[cell],
        "color": NEUTRAL if cell is Cell.UNSEEN else colour,
        "mfc": "white" if cell is Cell.DERIVABLE else None,
        "mew": 1.8 if cell is Cell.DERIVABLE else 1.0,
    }


def cell_legend() -> list[Line2D]:
    """One entry of a legend for each mark."""
    return [Line2D([], [], label=str(cell), **look(cell, INK)) for cell in Cell]


def _legend(table: Exposure, ways: Sequence[Way]) -> list[Line2D]:
    handles = cell_legend()
    if any(not table.measured(way) for way in ways):
        handles.append(Line2D([], [], ls="-", lw=3, color=PREDICTED, label="modelled, not measured"))
    return handles


def described(table: Exposure) -> str:
    """The figure in words: for each way, who sees what in the bytes."""
    said = []
    for way in table.ways:
        cells = table.cells(way)
        seen = "; ".join(
            f"{who}: {', '.join(items) or 'nothing'}"
            for who in Observer
            for items in [[item for item in Item if cells[who, item] is Cell.SEEN]]
        )
        said.append(f"{TITLES[way]} ({'measured' if table.measured(way) else 'modelled'}): {seen}")
    return "Who sees what in the bytes. " + ". ".join(said) + "."
