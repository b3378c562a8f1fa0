"""Sliders for lesson 10: two caches in a row, and shields side by side.

The widgets have no logic. They call functions that are tested over all their positions.
"""

from __future__ import annotations

import time

import ipywidgets as widgets

from lessons.both_at_once.figures import (
    EDGES,
    FIRST,
    ROOM,
    SECOND,
    SHIELDS,
    figure_of_row,
    figure_of_shields,
)
from lessons.both_at_once.formulas import Shares
from lessons.both_at_once.networks import EDGE_PLACES, PLACES, simulated_shares
from lessons.kit.explorer import Drawn, Explorer, slider, wide

_BY_PATH = "by path"


class RowExplorer(Explorer):
    """Sliders for the caches of a forward and a reverse proxy, one behind the other.

    Parameters
    ----------
    first, second : int
        Objects that each cache holds; the initial values.

    Attributes
    ----------
    first, second : widgets
    """

    def __init__(self, first: int, second: int) -> None:
        self.first = slider(first, FIRST, "objects, forward proxy")
        self.second = slider(second, SECOND, "objects, reverse proxy")
        super().__init__([self.first, self.second])

    def draw(self) -> Drawn:
        """Which share each cache answers."""
        started = time.perf_counter()
        figure = figure_of_row(self.first.value, self.second.value)
        found = simulated_shares(self.first.value, self.second.value, forward=True)
        return Drawn(figure, _in_words(found, "forward proxy", "reverse proxy"), _note(started))


class ShieldsExplorer(Explorer):
    """Controls for a hierarchy of caches: edges, and shields between which they choose.

    Parameters
    ----------
    edges, shields, room : int
        Numbers of both, and objects that one shield holds; the initial values.

    Attributes
    ----------
    way, edges, shields, room : widgets
    """

    def __init__(self, edges: int, shields: int, room: int) -> None:
        self.way = widgets.Dropdown(
            options=["by turns", _BY_PATH], description="an edge chooses its shield", **wide()
        )
        self.edges = slider(edges, EDGES, "edges")
        self.shields = slider(shields, SHIELDS, "shields")
        self.room = slider(room, ROOM, "objects, each shield")
        super().__init__([self.edges, self.shields, self.room, self.way])

    def draw(self) -> Drawn:
        """Which share each tier answers."""
        started = time.perf_counter()
        edges, shields, room = (control.value for control in (self.edges, self.shields, self.room))
        way = self.way.value == _BY_PATH
        figure = figure_of_shields(edges, shields, room, by_path=way)
        found = simulated_shares(EDGE_PLACES, room, edges, shields, by_path=way)
        return Drawn(figure, _in_words(found, "edges", "shields"), _note(started))


def _in_words(found: Shares, front: str, behind: str) -> str:
    return (
        f"Share of all requests that each tier answers, simulated: {front} {found.front:.1%}, "
        f"{behind} {found.behind:.1%}, origin {found.origin:.1%}"
    )


def _note(started: float) -> str:
    return f"simulated and drawn in {time.perf_counter() - started:.2f} s"


def explore_row(first: int = PLACES, second: int = PLACES) -> RowExplorer:
    """Sliders for two caches in a row, as a `RowExplorer`."""
    return RowExplorer(first, second)


def explore_shields(edges: int = 2, shields: int = 2, room: int = 200) -> ShieldsExplorer:
    """Controls for edges and shields, as a `ShieldsExplorer`."""
    return ShieldsExplorer(edges, shields, room)
