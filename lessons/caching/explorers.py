"""Sliders over the cache's model: room and policy, lifetime, stampede, window of grace.

The widgets hold no logic: they call functions that are tested over the whole range of the sliders,
and put a picture's bytes into an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from lessons.caching.cache_size import PERCENT, POLICIES, figure_of_rooms
from lessons.caching.expiry_figures import (
    FETCHES_MS,
    LIFETIME_RATES,
    LIFETIMES_S,
    PAGE_RATES,
    STAMPEDE_RATES,
    WINDOWS_S,
    figure_of_lifetimes,
    figure_of_pages,
    figure_of_stampede,
)
from lessons.kit.display import png

_WIDE: dict[str, Any] = {"style": {"description_width": "13em"}, "layout": widgets.Layout(width="34em")}


class CacheExplorer(widgets.VBox):  # type: ignore[misc]
    """Controls above a picture that is drawn anew when one of them moves.

    Parameters
    ----------
    draw : callable
        Takes the controls' values in their order; returns the figure.
    controls : sequence of widgets

    Attributes
    ----------
    controls : tuple of widgets
    picture : widgets.Image
        Its ``value`` is a PNG file.
    """

    def __init__(self, draw: Callable[..., Figure], controls: Sequence[widgets.Widget]) -> None:
        self._draw = draw
        self.controls = tuple(controls)
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        super().__init__([*self.controls, self.picture])
        for control in self.controls:
            control.observe(self._redraw, "value")
        self._redraw()

    def _redraw(self, _change: object = None) -> None:
        self.picture.value = png(self._draw(*(control.value for control in self.controls)))


def _slider(value: float, span: tuple[float, float, float], description: str) -> widgets.Widget:
    whole = all(isinstance(number, int) for number in span)
    kind, form = (widgets.IntSlider, "d") if whole else (widgets.FloatSlider, ".1f")
    low, high, step = span
    return kind(
        value, min=low, max=high, step=step, description=description, readout_format=form,
        continuous_update=False, **_WIDE,
    )  # fmt: skip


def explore_rooms(percent: int = 20, policies: Sequence[str] = POLICIES) -> CacheExplorer:
    """Room and eviction policy to choose; hit ratios to see."""
    chosen = widgets.Dropdown(options=tuple(policies), value="lru", description="look at", **_WIDE)
    room = _slider(percent, PERCENT, "room, % of the objects")
    return CacheExplorer(lambda place, name: figure_of_rooms(place, name, policies), [room, chosen])


def explore_lifetimes(fresh_s: int = 4, rate: int = 20) -> CacheExplorer:
    """Lifetime and load to choose; hits and fetches to see."""
    return CacheExplorer(
        figure_of_lifetimes,
        [
            _slider(fresh_s, LIFETIMES_S, "max-age, s"),
            _slider(rate, LIFETIME_RATES, "requests per second"),
        ],
    )


def explore_stampede(rate: int = 200, fetch_ms: int = 200) -> CacheExplorer:
    """Load and length of a fetch to choose; what the origin gets to see."""
    return CacheExplorer(
        lambda asked, fetch: figure_of_stampede(asked, fetch / 1e3),
        [
            _slider(rate, STAMPEDE_RATES, "requests per second"),
            _slider(fetch_ms, FETCHES_MS, "a fetch takes, ms"),
        ],
    )


def explore_windows(window_s: int = 1, rate: float = 1.0) -> CacheExplorer:
    """Window of grace and popularity to choose; who waits, and for how long."""
    return CacheExplorer(
        lambda window, asked: figure_of_pages(asked, window),
        [
            _slider(window_s, WINDOWS_S, "stale-while-revalidate, s"),
            _slider(rate, PAGE_RATES, "requests per page and second"),
        ],
    )
