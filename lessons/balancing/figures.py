"""Figures of ten servers: response times, lengths of queues, and the effect of old loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lessons.balancing.formulas import at_least
from lessons.balancing.server_pool import MOST_REQUESTS, PoolResult
from twin.plots.labels import many_lines, name_lines, name_lines_inside
from twin.plots.style import FAINT, NEUTRAL, NEVER_SETTLES, PREDICTED, STYLE, highlighted, line_style

_TIMES = (0.8, 400.0)
_TICKS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Fixed axes: if a slider moves, only the curves move."""


def figure_of_pool(results: Mapping[str, PoolResult], chosen: str, load: float | None = None) -> Figure:
    """Mean and p99 of each balancer, and the distribution of the queues' lengths.

    Parameters
    ----------
    results : mapping of str to PoolResult
        The results of `lessons.balancing.server_pool.simulate_pool`.
    chosen : str
        The highlighted balancer on the right.
    load : float, optional
        If given, draw the formulas for very many servers at this load: one choice, and two.
    """
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):  # fixed margins draw faster
        figure = Figure(figsize=(10.5, 3.4))
        many = many_lines(len(results) + 2 * (load is not None))
        figure.subplots_adjust(left=0.12, right=0.8 if many else 0.985, top=0.91, bottom=0.15, wspace=0.24)
        times, queues = figure.subplots(1, 2)
        _draw_times(times, results, chosen)
        _draw_queues(queues, results, chosen, load)
    return figure


def _draw_times(panel: Axes, results: Mapping[str, PoolResult], chosen: str) -> None:
    for place, (name, one) in enumerate(results.items()):
        strength = 1.0 if name == chosen else FAINT
        mean, p99 = min(one.mean, _TIMES[1]), min(one.p99, _TIMES[1])
        panel.plot([mean, p99], [place, place], color=PREDICTED, lw=2, alpha=strength)
        panel.plot([mean], [place], "o", color=PREDICTED, ms=8, alpha=strength)
        panel.plot([p99], [place], "|", color=PREDICTED, ms=12, mew=2, alpha=strength)
        text, colour = f"{one.mean:.1f}", NEUTRAL
        if not one.settles:
            text, colour = "never settles", NEVER_SETTLES
        panel.annotate(
            text, (mean, place), (0, 8), textcoords="offset points", ha="center", fontsize=8, color=colour
        )
    panel.set_yticks(range(len(results)), list(results))
    panel.set(
        title="response time: mean (dot) and p99 (bar)",
        xlabel="multiples of the mean service time",
        xscale="log",
    )
    panel.set(xlim=_TIMES, ylim=(len(results) - 0.5, -0.7))
    panel.set_xticks(_TICKS, [str(tick) for tick in _TICKS])
    panel.minorticks_off()
    panel.grid(axis="y", visible=False)


def _draw_queues(panel: Axes, results: Mapping[str, PoolResult], chosen: str, load: float | None) -> None:
    for name, style in highlighted(list(results), chosen):
        panel.plot(results[name].at_least, color=PREDICTED, label=name, **style)
    if load is not None:
        numbers = np.arange(MOST_REQUESTS + 1)
        for choices, marker in ((1, "x"), (2, "+")):
            shares = [at_least(int(number), load, choices) for number in numbers]
            label = f"formula, {choices} choice{'s'[: choices - 1]}"
            panel.plot(numbers, shares, marker, color=NEUTRAL, ms=6, mew=1.5, label=label)
    panel.set(title="share of servers with at least this many requests", xlabel="requests at a server")
    panel.set(yscale="log", ylim=(1e-3, 1.3), xlim=(0, MOST_REQUESTS))
    panel.set_yticks([1, 0.1, 0.01, 0.001], ["100 %", "10 %", "1 %", "0.1 %"])
    panel.minorticks_off()
    name_lines_inside(panel, "balancer", loc="lower left", fontsize=7.5, handlelength=2.6)


def figure_of_age(intervals: Sequence[float], means: Mapping[str, Sequence[float]]) -> Figure:
    """Mean response time by the age of the loads that the balancer sees, one line per balancer.

    Parameters
    ----------
    intervals : sequence of float
        Time between two snapshots of the loads, in mean service times.
    means : mapping of str to sequence of float
        By balancer, for each of `intervals`, in mean service times.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.5, 3.2))
        panel = figure.subplots()
        for number, (name, values) in enumerate(means.items()):
            panel.plot(intervals, values, **line_style(number), lw=1.8, ms=5, label=name)
        panel.set(
            xlabel="snapshot interval, mean service times",
            xlim=(-0.2, max(intervals) * 1.03),
        )
        panel.set(ylabel="mean response time\n÷ mean service time", ylim=(0, None))
        name_lines(figure, [panel], "balancer")
    return figure
