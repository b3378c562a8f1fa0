"""Pictures of ten servers: who waits how long, how the queues are spread, and how fast news goes stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lessons.balancing.formulas import at_least
from lessons.balancing.server_pool import MOST_REQUESTS, Foreseen
from twin.plots.style import NEUTRAL, PREDICTED, STYLE, VERDICT

_TIMES = (0.8, 400.0)
_TICKS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Axes stay as they are while a slider moves, so that what moves is the answer."""
_DASHES = ("--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))


def figure_of_farm(foreseen: Mapping[str, Foreseen], chosen: str, load: float | None = None) -> Figure:
    """Mean and p99 of each balancer, and the share of servers with so many requests.

    Parameters
    ----------
    foreseen : mapping of str to Foreseen
        As `lessons.balancing.server_pool.foresee_farm` returns it.
    chosen : str
        The balancer that stands out on the right.
    load : float, optional
        At which to draw what formulas say of very many servers: one choice, and two.
    """
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):  # fixed margins: fast, and steady
        figure = Figure(figsize=(10.5, 3.4))
        figure.subplots_adjust(left=0.12, right=0.985, top=0.91, bottom=0.15, wspace=0.24)
        times, queues = figure.subplots(1, 2)
        _draw_times(times, foreseen, chosen)
        _draw_queues(queues, foreseen, chosen, load)
    return figure


def _draw_times(panel: Axes, foreseen: Mapping[str, Foreseen], chosen: str) -> None:
    for place, (name, one) in enumerate(foreseen.items()):
        strength = 1.0 if name == chosen else 0.5
        mean, p99 = min(one.mean, _TIMES[1]), min(one.p99, _TIMES[1])
        panel.plot([mean, p99], [place, place], color=PREDICTED, lw=2, alpha=strength)
        panel.plot([mean], [place], "o", color=PREDICTED, ms=8, alpha=strength)
        panel.plot([p99], [place], "|", color=PREDICTED, ms=12, mew=2, alpha=strength)
        text, colour = f"{one.mean:.1f}", NEUTRAL
        if not one.settles:
            text, colour = "never settles", VERDICT["refuted"]
        panel.annotate(
            text, (mean, place), (0, 8), textcoords="offset points", ha="center", fontsize=8, color=colour
        )
    panel.set_yticks(range(len(foreseen)), list(foreseen))
    panel.set(title="response time: mean (dot) and p99 (bar)", xlabel="times the mean work", xscale="log")
    panel.set(xlim=_TIMES, ylim=(len(foreseen) - 0.5, -0.7))
    panel.set_xticks(_TICKS, [str(tick) for tick in _TICKS])
    panel.minorticks_off()
    panel.grid(axis="y", visible=False)


def _draw_queues(panel: Axes, foreseen: Mapping[str, Foreseen], chosen: str, load: float | None) -> None:
    others = [name for name in foreseen if name != chosen]
    for name, dashes in zip([*others, chosen], [*_DASHES[: len(others)], "-"], strict=True):
        style = {"lw": 2.6} if name == chosen else {"lw": 1.2, "ls": dashes, "alpha": 0.75}
        panel.plot(foreseen[name].at_least, color=PREDICTED, label=name, **style)
    if load is not None:
        numbers = np.arange(MOST_REQUESTS + 1)
        for choices, marker in ((1, "x"), (2, "+")):
            shares = [at_least(int(number), load, choices) for number in numbers]
            label = f"formula, {choices} choice{'s'[: choices - 1]}"
            panel.plot(numbers, shares, marker, color=NEUTRAL, ms=6, mew=1.5, label=label)
    panel.set(title="share of servers with at least so many requests", xlabel="requests at a server")
    panel.set(yscale="log", ylim=(1e-3, 1.3), xlim=(0, MOST_REQUESTS))
    panel.set_yticks([1, 0.1, 0.01, 0.001], ["100 %", "10 %", "1 %", "0.1 %"])
    panel.minorticks_off()
    panel.legend(loc="lower left", fontsize=7.5, handlelength=2.6)


def figure_of_age(looks: Sequence[float], means: Mapping[str, Sequence[float]]) -> Figure:
    """Mean response time against the age of what the balancer knows, a line a balancer.

    Parameters
    ----------
    looks : sequence of float
        Mean works of a request between two looks at the loads.
    means : mapping of str to sequence of float
        Of each balancer, for each of `looks`, in mean works.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.5, 3.2))
        panel = figure.subplots()
        for (name, values), dashes in zip(means.items(), ("-", *_DASHES), strict=False):
            panel.plot(looks, values, "o", ls=dashes, color=PREDICTED, lw=1.8, ms=5, label=name)
        panel.set(xlabel="mean works between two looks at the loads", xlim=(-0.2, max(looks) * 1.03))
        panel.set(ylabel="mean response ÷ mean work", ylim=(0, None))
        panel.legend(loc="upper left")
    return figure
