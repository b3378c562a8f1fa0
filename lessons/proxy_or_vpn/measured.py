"""The measurement in a notebook: the table, what other states change, and why "not seen" is proven."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from IPython.display import HTML, display

from lessons.kit.display import Picture, box, table
from lessons.kit.progress_bars import NotebookBars
from lessons.proxy_or_vpn.rows import Rows
from twin.exposure import Cell, Exposure, State, Way, expose
from twin.exposure.model import modelled
from twin.exposure.obstacles import obstacles
from twin.exposure.picture import described, figure_of_exposure
from twin.exposure.proof import Proof
from twin.exposure.vocabulary import TITLES, VPNS, Visit
from twin.plots.style import MEASURED, PREDICTED, VERDICT

WAYS = tuple(way for way in Way if way is not Way.WIREGUARD)
"""What the lesson measures; WireGuard is there in the command `proxytwin exposure`."""


def measure_in_notebook(ways: Sequence[Way] = WAYS) -> Exposure:
    """Measure who sees what, and show it beside the model's predictions.

    Where it cannot be measured (it needs Linux and root), the model takes its place, and the result says so.
    """
    if obstacles(ways).keys() == set(ways):
        found = expose(ways)
    else:
        bars = NotebookBars()
        with bars.displayed():
            found = expose(ways, reporter=bars)
    display(HTML(summary_html(found)))
    display(Picture(figure_of_exposure(found), described(found)))
    return found


def summary_html(found: Exposure) -> str:
    """How many cells are seen, predicted and measured, and how many differ."""
    rows = []
    for way in found.ways:
        predicted, cells = modelled(Visit(way)).cells, found.cells(way)
        measured = found.measured(way)
        differ = sum(predicted[key] is not cells[key] for key in cells)
        rows.append(
            [
                TITLES[way],
                _counted(predicted.values()),
                _counted(cells.values()) if measured else "–",
                str(differ) if measured else "–",
            ]
        )
    head = ["seen + derivable", "predicted", "measured", "cells that differ"]
    return table(head, rows, {1: PREDICTED, 2: MEASURED}) + _warning(found)


def _counted(cells: object) -> str:
    counts = Counter(cells)  # type: ignore[call-overload]
    return f"{counts[Cell.SEEN]} + {counts[Cell.DERIVABLE]}"


def _warning(found: Exposure) -> str:
    reasons = dict.fromkeys(found.obstacles.values())
    if not reasons:
        return ""
    text = "\n".join(f"{reason}." for reason in reasons)
    return box(
        f"{text}\nWhat follows is what the model says.", VERDICT["inconclusive"], "Not measured: modelled."
    )


def states_of(found: Exposure) -> Rows:
    """What happens before, after and beside the connection: open or closed, and who learns what."""
    rows = []
    for way in found.ways:
        for state, what in found.states(way).items():
            if way in VPNS or state is State.DEAD:
                leaks = "; ".join(f"{who}: {', '.join(items)}" for who, items in what.leaks.items())
                rows.append([f"{TITLES[way]}, {state}", str(what.verdict), leaks or "–"])
    kind = "measured" if all(map(found.measured, found.ways)) else "modelled"
    return Rows(
        ["way and state", f"fails, {kind}", "who learns more than when connected"], rows, _colours(found)
    )


def proof_of(found: Exposure) -> Rows:
    """How each "not seen" is proven."""
    counts = Counter(found.proofs().values())
    rows = [[str(proof), str(counts[proof])] for proof in Proof]
    rows.append(["not proven: the observer may be blind", str(counts[None])])
    return Rows(["the observer that did not see", "times"], rows, _colours(found))


def _colours(found: Exposure) -> dict[int, str]:
    colour = MEASURED if all(map(found.measured, found.ways)) else PREDICTED
    return {1: colour, 2: colour}
