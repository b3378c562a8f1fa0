"""Cells of the table as numbers, for predictions."""

from __future__ import annotations

from lessons.proxy_or_vpn.cells import WAYS
from twin.exposure import Cell, Exposure, Item, Observer, Way
from twin.exposure.model import modelled
from twin.exposure.vocabulary import Cells, Visit


def readers(item: str, way: str, found: Exposure | None = None) -> int | None:
    """How many observers see an item in the bytes; None if this was not measured.

    Parameters
    ----------
    item, way : str
        As in the table, such as ``"host name"`` and ``"vpn"``.
    found : Exposure, optional
        A measurement; by default the model.
    """
    if found is not None and not found.measured(Way(way)):
        return None
    cells = _cells(Way(way), found)
    return sum(cells[who, Item(item)] is Cell.SEEN for who in Observer)


def ways_that_show_others(found: Exposure | None = None) -> int | None:
    """On how many of the lesson's ways the local network sees the program that knows of no proxy.

    None if not all of them were measured.
    """
    if found is not None and not all(map(found.measured, WAYS)):
        return None
    return sum(_cells(way, found)[Observer.LOCAL, Item.OTHER] is Cell.SEEN for way in WAYS)


def _cells(way: Way, found: Exposure | None) -> Cells:
    return modelled(Visit(way)).cells if found is None else found.cells(way)
