"""Figures of two errors of averages: the warm-up, and coordinated omission."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from simulator.statistics import Omission, Warmup
from twin.plots.comparison import tail
from twin.plots.style import NEUTRAL, PREDICTED, STYLE, VERDICT


def warmup(found: Warmup, unit: str = "s") -> Figure:
    """Batch means of response times with the end of the warm-up; below them, the MSER-5 scores.

    Parameters
    ----------
    found : Warmup
        The result of `simulator.statistics.mser5_of_records`; the figure shows its note, if there is one.
    unit : str
        Unit of ``found.times``.
    """
    colour = VERDICT["refuted"] if found.note else VERDICT["confirmed"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4.2))
        series, scores = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        series.plot(found.times, found.batches * 1e3, color=PREDICTED, lw=0.8)
        series.set(ylabel="response time, ms", title="means of five requests", ylim=(0, None))
        candidates = len(found.scores)
        shown = found.scores > 0  # a logarithmic axis cannot show zero
        scores.plot(found.times[:candidates][shown], found.scores[shown] * 1e6, color=NEUTRAL, lw=1.2)
        scores.set(ylabel="squared error, ms²", xlabel=f"left out at the start, {unit}", yscale="log")
        _plain_numbers(scores.yaxis)
        for panel in (series, scores):
            panel.axvspan(float(found.times[0]), found.end, color=colour, alpha=0.12, lw=0)
            panel.axvline(found.end, color=colour, lw=1.5)
        said = found.note or f"warm-up ends at {found.end:.3g} {unit}"
        figure.suptitle(said, color=colour, fontsize=9, wrap=True)
    return figure


def omission(found: Omission) -> Figure:
    """Tails of the response times, counted from when a request was due and from when it was sent."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.5, 3.4))
        panel = figure.subplots()
        clocks = {
            "from due: what a user waits": (found.from_due, "-"),
            "from sent: what a late generator measures": (found.from_sent, "--"),
        }
        for label, (times, dashes) in clocks.items():
            seconds, slower = tail(times)
            shown = seconds > 0
            panel.plot(seconds[shown] * 1e3, slower[shown], color=PREDICTED, ls=dashes, lw=2, label=label)
            p99 = float(np.quantile(times, 0.99)) * 1e3
            panel.annotate(
                f"p99 {p99:,.0f} ms", (p99, 0.01), (4, 4), textcoords="offset points", fontsize=8,
                color=NEUTRAL,
            )  # fmt: skip
        panel.axhline(0.01, color=NEUTRAL, lw=0.8, ls=":")
        panel.set(xscale="log", yscale="log", xlabel="response time, ms", ylabel="share of requests slower")
        _plain_numbers(panel.xaxis)
        panel.legend(
            loc="lower left", bbox_to_anchor=(0.08, 0.0), fontsize=8, alignment="left",
            title="response time counted",
        )  # fmt: skip
    return figure


def _plain_numbers(axis: Axis) -> None:
    """Ticks such as 20, 50, 100 instead of powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_locator(NullLocator())
