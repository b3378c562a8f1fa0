"""Figures of responses that expire: lifetimes, a stampede, and the share of requests that wait."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lessons.caching.expiry import (
    PAGES_FETCH_S,
    PAGES_FRESH_S,
    Pages,
    Stampede,
    fetches_per_expiry,
    lifetimes,
    mixed_hit_ratio,
    share_that_waits,
    simulated_lifetime,
    simulated_pages,
    simulated_stampede,
)
from lessons.kit.panels import FIXED_STYLE, two_panels
from twin.plots.comparison import tail
from twin.plots.style import FAINT, NEUTRAL, PREDICTED

LIFETIMES_S = (1, 20, 1)
LIFETIME_RATES = (5, 50, 5)
STAMPEDE_RATES = (20, 400, 20)
FETCHES_MS = (50, 500, 50)
WINDOWS_S = (0, 10, 1)
PAGE_RATES = (0.2, 5.0, 0.2)
"""Minimum, maximum, step of the sliders; the axes are fixed."""
_BURST_S = 4.0


def figure_of_lifetimes(fresh_s: float, rate: float) -> Figure:
    """Hit ratio and fetches per second by lifetime: the formula, and one simulated point."""
    scenario, found = lifetimes(fresh_s, rate).scenario, simulated_lifetime(fresh_s, rate)
    places = np.linspace(0.5, LIFETIMES_S[1], 60)
    hits = np.array([mixed_hit_ratio(scenario, place) for place in places])
    with mpl.rc_context(FIXED_STYLE):
        figure, ratio, load = two_panels()
        ratio.plot(places, 100 * hits, color=NEUTRAL, lw=1.5, ls="--", label="formula")
        ratio.plot([fresh_s], [100 * (found.hit_ratio or 0.0)], "o", color=PREDICTED, ms=8, label="simulated")
        ratio.set(title="hits", xlabel="max-age, s", ylabel="hit ratio, %", ylim=(0, 100))
        ratio.legend(loc="lower right", title="hit ratio", alignment="left")
        load.plot(places, rate * (1 - hits), color=NEUTRAL, lw=1.5, ls="--")
        load.plot([fresh_s], [found.fetch_rps], "o", color=PREDICTED, ms=8)
        load.axhline(rate, color=NEUTRAL, lw=1.0, ls=":")
        load.annotate("without a cache", (LIFETIMES_S[1], rate), (0, 3), textcoords="offset points",
                      ha="right", fontsize=8, color=NEUTRAL)  # fmt: skip
        load.set(title="requests that reach the origin", xlabel="max-age, s", ylabel="fetches per second")
        load.set(ylim=(0, 1.15 * LIFETIME_RATES[1]))
        for panel in (ratio, load):
            panel.set_xlim(0, LIFETIMES_S[1] + 0.5)
            panel.set_xticks(range(0, LIFETIMES_S[1] + 1, 5))
    return figure


def figure_of_stampede(rate: float, fetch_s: float) -> Figure:
    """Requests that the origin works on over time, and fetches per expiry, with and without coalescing."""
    found = simulated_stampede(rate, fetch_s)
    with mpl.rc_context(FIXED_STYLE):
        figure, over_time, bars = two_panels()
        _draw_bursts(over_time, found)
        _draw_fetches(bars, found, fetches_per_expiry(rate, fetch_s))
    return figure


def _draw_bursts(panel: Axes, found: dict[bool, Stampede]) -> None:
    for coalesce, style in ((False, {"lw": 1.2, "alpha": FAINT, "ls": "--"}), (True, {"lw": 2.4})):
        inside = found[coalesce].inside
        shown = inside.times <= _BURST_S
        label = "coalesced" if coalesce else "not coalesced"
        panel.step(
            [*inside.times[shown], _BURST_S], [*inside.values[shown], inside.values[shown][-1]],
            where="post", color=PREDICTED, label=label, **style,
        )  # fmt: skip
    panel.set(title="requests at the origin over time", xlabel="time, s", ylabel="requests")
    panel.set_yscale("symlog", linthresh=2)
    panel.set(xlim=(0, _BURST_S), ylim=(0, 320))
    panel.set_yticks([0, 1, 2, 5, 10, 50, 200], ["0", "1", "2", "5", "10", "50", "200"])
    panel.minorticks_off()
    panel.legend(loc="upper right", ncols=2, title="fetches", alignment="left")


def _draw_fetches(panel: Axes, found: dict[bool, Stampede], expected: float) -> None:
    rows = (("not\ncoalesced", found[False], expected), ("coalesced", found[True], 1.0))
    for place, (_, stampede, formula) in enumerate(rows):
        value = stampede.summary.fetches_per_expiry or 0.0
        panel.barh(place, value, height=0.5, color=PREDICTED, alpha=FAINT if place == 0 else 1.0)
        panel.plot([formula] * 2, [place - 0.38, place + 0.38], color=NEUTRAL, lw=2.0, ls="--",
                   label="formula" if place == 0 else None)  # fmt: skip
        panel.annotate(f"{value:.3g}", (max(value, formula), place), (6, 0), textcoords="offset points",
                       va="center", fontsize=9, color=NEUTRAL)  # fmt: skip
    panel.set_yticks(range(2), [row[0] for row in rows])
    panel.set(title="fetches per expiry", xlabel="requests to the origin", xlim=(0, 235), ylim=(1.6, -0.6))
    panel.grid(axis="y", visible=False)
    panel.legend(loc="lower right", title="fetches per expiry", alignment="left")


def figure_of_pages(rate: float, window_s: int) -> Figure:
    """The share of requests that wait, by the length of the window, and tails with and without a window."""
    plain, graceful = simulated_pages(rate, 0), simulated_pages(rate, window_s)
    with mpl.rc_context(FIXED_STYLE):
        figure, share, times = two_panels()
        _draw_waits(share, rate, window_s, graceful)
        for label, found, style in (
            ("without a window", plain, {"lw": 1.2, "ls": "--"}),
            (f"window of {window_s} s", graceful, {"lw": 2.4}),
        ):
            response, slower = tail(found.response)
            times.step(1e3 * response, slower, where="post", color=PREDICTED, label=label, **style)
        times.set(xscale="log", yscale="log", xlim=(0.3, 300), ylim=(1e-3, 1.2), xlabel="response time, ms")
        times.set_title("share of requests that take longer")
        times.set_yticks([1, 0.1, 0.01, 0.001], ["100 %", "10 %", "1 % (p99)", "0.1 %"])
        times.set_xticks([1, 10, 100], ["1", "10", "100"])
        times.minorticks_off()
        times.legend(loc="lower left", fontsize=8, title="stale-while-revalidate", alignment="left")
    return figure


def _draw_waits(panel: Axes, rate: float, window_s: int, found: Pages) -> None:
    places = np.linspace(0, WINDOWS_S[1], 80)
    shares = [100 * share_that_waits(rate, PAGES_FRESH_S, PAGES_FETCH_S, place) for place in places]
    panel.plot(places, shares, color=NEUTRAL, lw=1.5, ls="--", label="formula")
    panel.plot([window_s], [100 * found.waits], "o", color=PREDICTED, ms=8, label="simulated", clip_on=False)
    panel.set(
        title="requests that wait for a fetch", xlabel="stale-while-revalidate, s", ylabel="% of the requests"
    )
    panel.set(xlim=(0, WINDOWS_S[1] + 0.3), ylim=(0, 80))
    panel.legend(loc="upper right", title="requests that wait", alignment="left")
