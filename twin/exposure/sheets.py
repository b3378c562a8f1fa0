"""The exposure table in a terminal: who sees what, and what the other states change."""

from __future__ import annotations

from twin.exposure.exposure import Exposure
from twin.exposure.vocabulary import MARK, PLAIN_MARK, TITLES, Cell, Item, Observer, State, Way
from twin.output.sheet import Sheet


def cell_sheet(table: Exposure, encoding: str = "utf-8") -> Sheet:
    """Rows of items and observers against ways; `encoding` is that of the terminal."""
    marks = MARK if _has(encoding, "".join(MARK.values())) else PLAIN_MARK
    explained = ", ".join(f"{marks[cell]} {cell}" for cell in Cell)
    sheet = Sheet(
        "Who sees what" if table.encrypted else "Who sees what, without encryption",
        ["item", "observer"],
        [_head(table, way) for way in table.ways],
        explained + "; volume and times are never hidden from those on the way",
        sides=True,
    )
    for item in Item:
        for number, observer in enumerate(Observer):
            figures = [marks[table.cells(way)[observer, item]] for way in table.ways]
            sheet.add([str(item) if number == 0 else "", str(observer)], figures, continues=number > 0)
    return sheet


def state_sheet(table: Exposure) -> Sheet:
    """What each state changes, for each way."""
    sheet = Sheet(
        "What happens before, after and beside it",
        ["way"],
        [str(state) for state in State if state is not State.CONNECTED],
        "open: somebody learns more than when connected; closed: nobody does, and no page comes",
    )
    for way in table.ways:
        if states := table.states(way):
            figures = [
                str(states[state].verdict) if state in states else "–"
                for state in State
                if state is not State.CONNECTED
            ]
            sheet.add([_head(table, way).replace("\n", " ")], figures)
    return sheet


def leaks(table: Exposure) -> list[str]:
    """A line for each state that fails open: who learns what in addition."""
    return [
        f"{TITLES[way]}, {state}: {what}"
        for way in table.ways
        for state, what in table.states(way).items()
        if what.leaks
    ]


def _head(table: Exposure, way: Way) -> str:
    return f"{way}\n({'measured' if table.measured(way) else 'MODELLED'})"


def _has(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
