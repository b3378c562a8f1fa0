"""Sliders for lesson 6: capacity and policy, lifetime, stampede, stale-while-revalidate.

The widgets have no logic. They call functions that are tested over the whole range of the sliders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets as widgets
from matplotlib.figure import Figure

from lessons.caching.cache_size import PERCENT, POLICIES, figure_of_capacity, hits_by_policy
from lessons.caching.expiry import simulated_lifetime, simulated_pages, simulated_stampede
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
from lessons.kit.explorer import Drawn, Explorer, slider, wide


class CacheExplorer(Explorer):
    """Controls above a figure that is redrawn when one of them moves.

    Parameters
    ----------
    figure : callable
        Takes the controls' values in their order; returns the figure.
    words : callable
        Takes the same values; returns the figure as text.
    controls : sequence of widgets
    """

    def __init__(
        self, figure: Callable[..., Figure], words: Callable[..., str], controls: Sequence[widgets.Widget]
    ) -> None:
        self._figure, self._words = figure, words
        super().__init__(controls)

    def draw(self) -> Drawn:
        """The figure, and its text."""
        values = [control.value for control in self.controls]
        return Drawn(self._figure(*values), self._words(*values))


def explore_capacity(percent: int = 20, policies: Sequence[str] = POLICIES) -> CacheExplorer:
    """Controls for capacity and eviction policy; a figure of hit ratios."""
    first = "lru" if "lru" in policies else policies[0]
    chosen = widgets.Dropdown(options=tuple(policies), value=first, description="look at", **wide())

    def words(place: int, _name: str) -> str:
        hits = hits_by_policy(place, policies).items()
        return "Hit ratios. " + "; ".join(f"{name}: {ratio:.0%}" for name, ratio in hits)

    return CacheExplorer(
        lambda place, name: figure_of_capacity(place, name, policies),
        words,
        [slider(percent, PERCENT, "capacity, % of the objects"), chosen],
    )


def explore_lifetimes(fresh_s: int = 4, rate: int = 20) -> CacheExplorer:
    """Controls for lifetime and load; a figure of hits and fetches."""

    def words(lifetime_s: float, asked: float) -> str:
        found = simulated_lifetime(lifetime_s, asked)
        return f"Hits: {found.hit_ratio:.0%} of the requests; fetches per second: {found.fetch_rps:.1f}"

    controls = [
        slider(fresh_s, LIFETIMES_S, "max-age, s"),
        slider(rate, LIFETIME_RATES, "requests per second"),
    ]
    return CacheExplorer(figure_of_lifetimes, words, controls)


def explore_stampede(rate: int = 200, fetch_ms: int = 200) -> CacheExplorer:
    """Controls for load and fetch time; a figure of the origin's requests."""

    def words(asked: float, fetch: float) -> str:
        found = simulated_stampede(asked, fetch / 1e3)
        alone, together = (found[key].summary.fetches_per_expiry for key in (False, True))
        return f"Fetches per expiry: {alone:.3g} alone, {together:.3g} coalesced"

    controls = [
        slider(rate, STAMPEDE_RATES, "requests per second"),
        slider(fetch_ms, FETCHES_MS, "fetch time, ms"),
    ]
    return CacheExplorer(lambda asked, fetch: figure_of_stampede(asked, fetch / 1e3), words, controls)


def explore_windows(window_s: int = 1, rate: float = 1.0) -> CacheExplorer:
    """Controls for the window and the popularity; a figure of the requests that wait."""

    def words(window: int, asked: float) -> str:
        plain, graceful = (simulated_pages(asked, length).waits for length in (0, window))
        return f"Requests that wait for a fetch: {plain:.0%} without a window, {graceful:.0%} with it"

    controls = [
        slider(window_s, WINDOWS_S, "stale-while-revalidate, s"),
        slider(rate, PAGE_RATES, "requests/s per page"),
    ]
    return CacheExplorer(lambda window, asked: figure_of_pages(asked, window), words, controls)
