"""Sliders for lesson 9: calls of a page, a retry storm, and limits under overload.

The widgets have no logic. They call functions that are tested over the whole range of the sliders.
"""

from __future__ import annotations

import math

import ipywidgets as widgets

from lessons.kit.explorer import Drawn, Explorer, slider, wide
from lessons.microservices.fan_out import page_ms, simulated_pages, slow_pages
from lessons.microservices.figures import (
    BUDGETS_PERCENT,
    CALLS,
    LOADS,
    LOADS_RPS,
    OUTAGES_S,
    RETRIES,
    SLOW_PERCENT,
    SLOWER,
    figure_of_limits,
    figure_of_pages,
    figure_of_storm,
)
from lessons.microservices.limits import LIMITS, simulated_limit
from lessons.microservices.storm import CAPACITY_RPS, healing_s, heals, simulated_storm


class PagesExplorer(Explorer):
    """Controls for the calls of a page and the share of slow ones.

    Parameters
    ----------
    calls : int
    slow_percent : float
        Initial values of the sliders.
    """

    def __init__(self, calls: int, slow_percent: float) -> None:
        self.calls = slider(calls, CALLS, "calls of a page")
        self.slow = slider(slow_percent, SLOW_PERCENT, "slow calls, %")
        super().__init__([self.calls, self.slow])

    def draw(self) -> Drawn:
        """Mean time, and the share of slow pages."""
        calls, slow = self.calls.value, self.slow.value / 100
        found = simulated_pages(calls, slow)
        said = (
            f"A page takes {page_ms(calls, slow):.1f} ms on average ({found.mean_ms:.1f} ms simulated), "
            f"and {slow_pages(calls, slow):.0%} of the pages have a slow call"
        )
        return Drawn(figure_of_pages(calls, slow), said, said)


class StormExplorer(Explorer):
    """Controls for load, budget, outage and retries.

    Parameters
    ----------
    load : int
    budget_percent : int
    outage_s : float
    retries : int
        Initial values of the sliders.
    """

    def __init__(self, load: int, budget_percent: int, outage_s: float, retries: int) -> None:
        self.load = slider(load, LOADS_RPS, "load λ, requests/s")
        self.retries = slider(retries, RETRIES, "retries of a request")
        self.budget = slider(budget_percent, BUDGETS_PERCENT, "budget b, % of the requests", 17.0)
        self.outage = slider(outage_s, OUTAGES_S, "outage d, s")
        super().__init__([self.load, self.retries, self.budget, self.outage])

    def draw(self) -> Drawn:
        """Attempts, good answers and the queue."""
        load, most, outage = self.load.value, self.retries.value, self.outage.value
        budget = min(self.budget.value / 100, most)
        expected = healing_s(load, budget, outage)
        storm = simulated_storm(load, budget, outage, most)
        fits = "<" if heals(load, budget) else "≥"
        rule = f"λ(1+b) = {load * (1 + budget):g} {fits} {CAPACITY_RPS}"
        seen = "not healed" if storm.healed_s is None else f"healed after {storm.healed_s:.2f} s"
        formula = f"{expected:.2f} s" if heals(load, budget) else "never, once it has begun"
        said = f"{rule}. Simulated: {seen}. Formula: {formula}"
        return Drawn(figure_of_storm(load, budget, outage, most, expected), f"A retry storm. {said}.", said)


class LimitsExplorer(Explorer):
    """Controls for load, slowness, and the limit that is highlighted.

    Parameters
    ----------
    load, slower : float
    chosen : str
        Initial values of the controls.
    """

    def __init__(self, load: float, slower: float, chosen: str) -> None:
        self.load = slider(load, LOADS, "load ÷ capacity")
        self.slower = slider(slower, SLOWER, "service becomes slower ×")
        self.chosen = widgets.Dropdown(
            options=list(LIMITS), value=chosen, description="highlighted limit", **wide()
        )
        super().__init__([self.load, self.slower, self.chosen])

    def draw(self) -> Drawn:
        """Good answers, and response times."""
        load, slower = round(self.load.value, 1), self.slower.value
        said = "; ".join(
            f"{name}: {found.goodput:.0%} of what it can do, {_ms(found.mean_ms)}"
            for name in LIMITS
            for found in (simulated_limit(name, load, slower),)
        )
        figure = figure_of_limits(load, slower, self.chosen.value)
        return Drawn(figure, f"In the second half, {said}", f"In the second half, {said}")


def _ms(value: float) -> str:
    return "no answers" if math.isnan(value) else f"mean {float(f'{value:.3g}'):,g} ms"


def explore_pages(calls: int = 10, slow_percent: float = 1.0) -> PagesExplorer:
    """Sliders for a page that needs several calls, as a `PagesExplorer`."""
    return PagesExplorer(calls, slow_percent)


def explore_storm(
    load: int = 65, budget_percent: int = 300, outage_s: float = 0.6, retries: int = 3
) -> StormExplorer:
    """Sliders for a retry storm, as a `StormExplorer`."""
    return StormExplorer(load, budget_percent, outage_s, retries)


def explore_limits(load: float = 1.5, slower: float = 1.0, chosen: str = "vegas") -> LimitsExplorer:
    """Controls for limits under overload, as a `LimitsExplorer`."""
    return LimitsExplorer(load, slower, chosen)
