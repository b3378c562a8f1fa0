"""Figures of lesson 9 that follow sliders: pages, a retry storm, and limits under overload."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lessons.kit.panels import FIXED_STYLE, two_panels
from lessons.microservices.fan_out import CALL_MS, harmonic, page_ms, simulated_pages, slow_pages
from lessons.microservices.limits import BEGIN_S as SLOWER_FROM_S
from lessons.microservices.limits import LIMITS, simulated_limit
from lessons.microservices.limits import SHOWN_S as LIMITS_SHOWN_S
from lessons.microservices.storm import BEGIN_S, CAPACITY_RPS, LIMIT_S, SHOWN_S, Storm, simulated_storm
from twin.plots.style import NEUTRAL, PREDICTED, highlighted

CALLS = (1, 100, 1)
SLOW_PERCENT = (0.0, 5.0, 0.5)
LOADS_RPS = (20, 95, 5)
BUDGETS_PERCENT = (0, 300, 5)
OUTAGES_S = (0.1, 1.5, 0.1)
RETRIES = (0, 3, 1)
LOADS = (0.4, 1.6, 0.1)
SLOWER = (1.0, 4.0, 0.5)
"""Minimum, maximum, step of the sliders; the axes are fixed."""
_OUTAGE: dict[str, Any] = {"color": NEUTRAL, "alpha": 0.15, "lw": 0, "zorder": 0}
_SHORTEST_MS, _LONGEST_MS = 20.0, 10_000.0


def figure_of_pages(calls: int, slow: float) -> Figure:
    """Mean time of a page, and the share of the pages that are slow, by the number of its calls.

    Parameters
    ----------
    calls : int
        Calls of a page.
    slow : float
        The share of the calls that are slow, between 0 and 1.
    """
    found, places = simulated_pages(calls, slow), np.arange(CALLS[0], CALLS[1] + 1)
    some = places[::3]
    with mpl.rc_context(FIXED_STYLE):
        figure, times, shares = two_panels()
        times.plot(
            some, [page_ms(int(n), slow) for n in some],
            color=NEUTRAL, lw=1.6, ls="--", label="with slow calls, exact",
        )  # fmt: skip
        times.plot(
            places, [CALL_MS * harmonic(int(n)) for n in places],
            color=NEUTRAL, lw=1.6, ls=":", label="without, exact",
        )  # fmt: skip
        times.plot([calls], [found.mean_ms], "o", color=PREDICTED, ms=8, label="simulated", clip_on=False)
        times.set(title="mean time of a page", ylabel="ms", ylim=(0, 330))
        for attempts, dashes, label in ((1, "--", "one attempt, exact"), (2, ":", "two attempts, exact")):
            shares.plot(
                places, [100 * slow_pages(int(n), slow, attempts) for n in places],
                color=NEUTRAL, lw=1.6, ls=dashes, label=label,
            )  # fmt: skip
        shares.plot([calls], [100 * found.slow], "o", color=PREDICTED, ms=8, label="simulated", clip_on=False)
        shares.set(title="pages with a slow call", ylabel="% of the pages", ylim=(0, 155))
        shares.set_yticks(range(0, 101, 20))
        for panel in (times, shares):
            panel.set(xlabel="calls of a page", xlim=(0, CALLS[1]))
            panel.legend(loc="upper left", title="calls of 20 ms", alignment="left", fontsize=8)
    return figure


def figure_of_storm(load: float, budget: float, outage_s: float, most: int, healed_s: float) -> Figure:
    """Good answers and attempts over time, and the queue at the server.

    Parameters
    ----------
    load : float
        Requests per second.
    budget : float
        Retries per request.
    outage_s : float
    most : int
        Retries of one request.
    healed_s : float
        When the formula says that it is over, in seconds after the outage; not drawn if infinite.
    """
    storm = simulated_storm(load, budget, outage_s, most)
    with mpl.rc_context(FIXED_STYLE):
        figure, rates, queue = two_panels()
        _draw_rates(rates, storm)
        _draw_queue(queue, storm)
        over = BEGIN_S + outage_s
        for panel in (rates, queue):
            panel.axvspan(BEGIN_S, over, **_OUTAGE)
            if over + healed_s < SHOWN_S:
                panel.axvline(over + healed_s, color=NEUTRAL, lw=1.4, ls=(0, (6, 1.5, 1, 1.5)),
                              label="over, by the formula")  # fmt: skip
            panel.set(xlabel="time, s (grey: the outage)", xlim=(0, SHOWN_S))
            panel.legend(loc="upper right", title="at the server", alignment="left", fontsize=8)
    return figure


def _draw_rates(panel: Axes, storm: Storm) -> None:
    panel.plot(storm.times, storm.attempts, color=PREDICTED, lw=1.5, ls="--", label="attempts, simulated")
    panel.plot(storm.times, storm.good, color=PREDICTED, lw=2.4, label="good answers, simulated")
    panel.axhline(CAPACITY_RPS, color=NEUTRAL, lw=1.4, ls=":", label="what it can do")
    panel.set(title="attempts and good answers", ylabel="per second", ylim=(0, 560))
    panel.set_yticks(range(0, 401, 100))


def _draw_queue(panel: Axes, storm: Storm) -> None:
    late = CAPACITY_RPS * LIMIT_S
    panel.plot(
        storm.times, np.maximum(storm.queue, 0.5), color=PREDICTED, lw=2.4, label="requests, simulated"
    )
    panel.axhline(late, color=NEUTRAL, lw=1.4, ls=":", label=f"above {late:g}: answers come too late")
    panel.set(title="requests at the server", ylabel="requests", yscale="log", ylim=(0.5, 60_000))
    panel.set_yticks([1, 10, 100, 1000, 10_000])
    _plain(panel)


def figure_of_limits(load: float, slower: float, chosen: str) -> Figure:
    """Good answers and response times over time, with four limits; one of them is highlighted.

    Parameters
    ----------
    load : float
        Requests per second, as a share of what the healthy service can do.
    slower : float
        How many times as slow the service becomes.
    chosen : str
        A key of `LIMITS`.
    """
    with mpl.rc_context(FIXED_STYLE):
        figure, answers, times = two_panels()
        for name, look in highlighted(list(LIMITS), chosen):
            found = simulated_limit(name, load, slower)
            answers.plot(found.times, 100 * found.done, color=PREDICTED, label=name, **look)
            times.plot(found.times, found.response_ms, color=PREDICTED, label=name, **look)
        answers.set(title="good answers", ylabel="% of what the service can do", ylim=(0, 175))
        answers.set_yticks(range(0, 121, 20))
        answers.axhline(100, color=NEUTRAL, lw=1.2, ls=":")
        times.set(title="response time of the good answers", ylabel="mean, ms", yscale="log")
        times.set(ylim=(_SHORTEST_MS, 10 * _LONGEST_MS))
        times.set_yticks([100, 1000, 10_000])
        _plain(times)
        for panel in (answers, times):
            if slower > 1:
                panel.axvspan(SLOWER_FROM_S, LIMITS_SHOWN_S, **_OUTAGE)
            panel.set(xlabel="time, s", xlim=(0, LIMITS_SHOWN_S))
            panel.legend(loc="upper left", title="limit, simulated", alignment="left", fontsize=8, ncols=2)
    return figure


def _plain(panel: Axes) -> None:
    """Ticks such as 1,000 instead of powers of ten."""
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    panel.minorticks_off()
