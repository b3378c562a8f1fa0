"""Figures of rollouts: when a canary is caught, and how often a good one is rolled back by mistake."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lessons.canary.exact import ALPHA, Rollback, first_guess
from lessons.canary.rollouts import ROLLOUTS, false_alarms_of_peeking, simulated_rollbacks
from lessons.kit.panels import FIXED_STYLE, two_panels
from twin.plots.style import NEUTRAL, PREDICTED

WEIGHTS_PERCENT = (1, 50, 1)
STABLE_PERCENT = (0.2, 5.0, 0.2)
HARMS = (1.0, 10.0, 0.5)
TRAFFIC_RPS = (50, 1000, 50)
LOOKS = (100, 5000, 100)
"""Minimum, maximum, step of the sliders; the axes are fixed."""
PEEKED_REQUESTS = 60_000
_REQUESTS = (50.0, 100_000.0)
_SECONDS = (0.1, 2_000.0)


def figure_of_rollback(weight: float, stable: float, ratio: float, traffic_rps: float) -> Figure:
    """How many canaries are caught by which time, and how many requests that takes at each weight.

    Parameters
    ----------
    weight, stable : float
        Share of the canary, and error rate of the others, between 0 and 1.
    ratio : float
        How many times as often the canary fails.
    traffic_rps : float
        Requests per second.
    """
    with mpl.rc_context(FIXED_STYLE):
        figure, caught, by_weight = two_panels()
        _draw_caught(caught, Rollback(weight, stable, ratio), traffic_rps)
        _draw_by_weight(by_weight, weight, stable, ratio)
    return figure


def _draw_caught(panel: Axes, rollback: Rollback, traffic_rps: float) -> None:
    requests = np.unique(np.geomspace(_REQUESTS[0], _REQUESTS[1], 50).astype(np.int64))
    found = simulated_rollbacks(rollback.weight, rollback.stable, rollback.ratio)
    inside = found.requests[found.requests <= found.followed]
    shares = 100 * np.arange(1, len(inside) + 1) / len(found.requests)
    panel.step(
        np.concatenate(([_SECONDS[0]], inside / traffic_rps, [found.followed / traffic_rps])),
        np.concatenate(([0.0], shares, shares[-1:] if len(inside) else [0.0])),
        where="post", color=PREDICTED, lw=2.4, label=f"{ROLLOUTS} rollouts, simulated",
    )  # fmt: skip
    exact = 100 * rollback.within(requests)
    panel.plot(requests / traffic_rps, exact, color=NEUTRAL, lw=1.5, ls="--", label="exact")
    panel.set(title="canaries rolled back", xlabel="time since the start, s", ylabel="% of the rollouts")
    panel.set(xscale="log", xlim=_SECONDS, ylim=(0, 105))
    panel.set_xticks([0.1, 1, 10, 100, 1000])
    _plain_numbers(panel)
    panel.legend(loc="upper left", title="rolled back", alignment="left", fontsize=8)


def _draw_by_weight(panel: Axes, weight: float, stable: float, ratio: float) -> None:
    places = np.linspace(WEIGHTS_PERCENT[0], WEIGHTS_PERCENT[1], 50)
    guesses = np.array([first_guess(place / 100, stable, ratio) for place in places])
    panel.plot(places, guesses, color=NEUTRAL, lw=1.5, ls="--", label="of both versions, first guess")
    panel.plot(places, guesses * places / 100, color=NEUTRAL, lw=1.5, ls=":", label="of the canary")
    half = simulated_rollbacks(weight, stable, ratio).median
    if np.isfinite(half):
        panel.plot([100 * weight], [half], "o", color=PREDICTED, ms=8, label="simulated")
    panel.set(title="requests until half of the canaries are caught", xlabel="canary's share, %")
    panel.set(ylabel="requests", yscale="log", xlim=(0, 52), ylim=_REQUESTS)
    panel.set_yticks([100, 1000, 10_000, 100_000])
    _plain_numbers(panel)
    panel.legend(loc="upper right", title="requests", alignment="left", fontsize=8)


def figure_of_peeking(every: int, rate: float, weight: float) -> Figure:
    """How many good canaries two tests have rolled back after how many requests.

    Parameters
    ----------
    every : int
        Requests between two looks of the z-test.
    rate, weight : float
        Error rate of both versions, and the canary's share, between 0 and 1.
    """
    looks = np.arange(every, PEEKED_REQUESTS + 1, every)
    alarms = 100 * false_alarms_of_peeking(every, rate, weight, PEEKED_REQUESTS)
    requests = np.linspace(500, PEEKED_REQUESTS, 60).astype(np.int64)
    exact = 100 * Rollback(weight, rate, 1.0).within(requests)
    with mpl.rc_context(FIXED_STYLE):
        figure = Figure(figsize=(8.0, 3.3))
        figure.subplots_adjust(left=0.09, right=0.95, top=0.91, bottom=0.15)
        panel = figure.subplots()
        panel.step(looks, alarms, where="post", color=PREDICTED, lw=2.4, label="z-test, 1,000 runs")
        panel.plot(requests, exact, color=PREDICTED, lw=1.5, ls="--", label="whose error, exact")
        panel.axhline(100 * ALPHA, color=NEUTRAL, lw=1.0, ls=":", label="promised: 5 %")
        panel.set(title="good canaries that were rolled back", xlabel="requests so far")
        panel.set(ylabel="% of the rollouts", xlim=(0, PEEKED_REQUESTS), ylim=(0, 60))
        _plain_numbers(panel)
        panel.legend(loc="upper left", title="test", alignment="left", fontsize=8, ncols=3)
    return figure


def _plain_numbers(panel: Axes) -> None:
    """Ticks such as 10,000 instead of powers of ten."""
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    panel.minorticks_off()
