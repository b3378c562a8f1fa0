"""Sliders for lesson 6: capacity and policy, lifetime, stampede, stale-while-revalidate.

The widgets have no logic. They call functions that are tested over the whole range of the sliders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from lessons.caching.cache_size import PERCENT, POLICIES, figure_of_capacity
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
    """Controls above a figure that is redrawn when one of them moves.

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


def explore_capacity(percent: int = 20, policies: Sequence[str] = POLICIES) -> CacheExplorer:
    """Controls for capacity and eviction policy; a figure of hit ratios."""
    first = "lru" if "lru" in policies else policies[0]
    chosen = widgets.Dropdown(options=tuple(policies), value=first, description="look at", **_WIDE)
    capacity = _slider(percent, PERCENT, "capacity, % of the objects")
    return CacheExplorer(lambda place, name: figure_of_capacity(place, name, policies), [capacity, chosen])


def explore_lifetimes(fresh_s: int = 4, rate: int = 20) -> CacheExplorer:
    """Controls for lifetime and load; a figure of hits and fetches."""
    return CacheExplorer(
        figure_of_lifetimes,
        [
            _slider(fresh_s, LIFETIMES_S, "max-age, s"),
            _slider(rate, LIFETIME_RATES, "requests per second"),
        ],
    )


def explore_stampede(rate: int = 200, fetch_ms: int = 200) -> CacheExplorer:
    """Controls for load and fetch time; a figure of the origin's requests."""
    return CacheExplorer(
        lambda asked, fetch: figure_of_stampede(asked, fetch / 1e3),
        [
            _slider(rate, STAMPEDE_RATES, "requests per second"),
            _slider(fetch_ms, FETCHES_MS, "fetch time, ms"),
        ],
    )


def explore_windows(window_s: int = 1, rate: float = 1.0) -> CacheExplorer:
    """Controls for the window and the popularity; a figure of the requests that wait."""
    return CacheExplorer(
        lambda window, asked: figure_of_pages(asked, window),
        [
            _slider(window_s, WINDOWS_S, "stale-while-revalidate, s"),
            _slider(rate, PAGE_RATES, "requests/s per page"),
        ],
    )
