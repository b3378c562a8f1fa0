"""Figures that compare both twins.

Each function returns a new figure, so that notebooks, reports and tests use the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from scenarios.records import Records, Summary
from twin.plots.style import MEASURED, NEUTRAL, PREDICTED, STYLE


def latency_distributions(
    labels: Sequence[str], predicted: Sequence[Records | None], measured: Sequence[Records | None]
) -> Figure:
    """Share of requests that are slower than a time: one panel per variant, with both twins.

    Parameters
    ----------
    labels : sequence of str
        Names of the variants.
    predicted, measured : sequence of Records or None
        Requests of each variant; ``None`` if there is nothing to draw.
    """
    columns = 2 if len(labels) == 4 else min(len(labels), 3)
    rows = -(-len(labels) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * columns, 2.7 * rows + 0.3))
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, label, said, seen in zip(panels, labels, predicted, measured, strict=False):
            _tail(panel, said, PREDICTED, "predicted", width=3.0)
            _tail(panel, seen, MEASURED, "measured", width=1.3)
            panel.set(title=label, xscale="log", yscale="log")
            low, high = panel.get_xlim()
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
            panel.xaxis.set_major_formatter(FormatStrFormatter("%g"))
            panel.xaxis.set_minor_locator(NullLocator())
        for panel in panels[len(labels) :]:
            panel.set_visible(False)
        for panel in panels[max(len(labels) - columns, 0) : len(labels)]:
            panel.set_xlabel("response time, ms")
            panel.tick_params(labelbottom=True)
        for panel in panels[::columns]:
            panel.set_ylabel("share of requests slower")
        _legend(figure)
    return figure


def _tail(panel: Axes, records: Records | None, colour: str, label: str, width: float) -> None:
    if records is None or not len(records):
        return
    times, slower = tail(records.response)
    shown = times > 0  # a logarithmic axis cannot show zero
    if not shown.any():
        return
    panel.step(
        times[shown] * 1e3, slower[shown], where="post", color=colour, lw=width, label=label, alpha=0.9
    )


def tail(response: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Response times in ascending order, and for each the share of requests that are slower."""
    times = np.sort(response)
    return times, 1.0 - np.arange(1, len(times) + 1) / (len(times) + 1)


def percentiles_by_variant(
    labels: Sequence[str], predicted: Sequence[Summary | None], measured: Sequence[Summary | None]
) -> Figure:
    """p50, p95 and p99 of every variant, predicted and measured."""
    metrics = {"p50_ms": "p50", "p95_ms": "p95", "p99_ms": "p99"}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * len(metrics), 0.5 * len(labels) + 1.4))
        panels = figure.subplots(1, len(metrics), sharey=True)
        for panel, (metric, title) in zip(panels, metrics.items(), strict=True):
            _bars(panel, labels, _figures(predicted, metric), _figures(measured, metric), "{:.1f}")
            panel.set(title=title, xlabel="response time, ms")
        panels[0].invert_yaxis()
        _legend(figure)
    return figure


def hits_by_variant(
    labels: Sequence[str], predicted: Sequence[Summary | None], measured: Sequence[Summary | None]
) -> Figure:
    """Hit ratio of every variant, predicted and measured."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.5, 0.5 * len(labels) + 1.4))
        panel = figure.subplots()
        _bars(panel, labels, _figures(predicted, "hit_ratio"), _figures(measured, "hit_ratio"), "{:.3f}")
        panel.set(title="hit ratio", xlabel="share of requests served from the cache")
        panel.invert_yaxis()
        _legend(figure)
    return figure


def shares_by_variant(
    labels: Sequence[str], predicted: Sequence[Summary | None], measured: Sequence[Summary | None]
) -> Figure:
    """Share of each upstream, predicted and measured: one panel per variant."""
    known = [summary for summary in (*predicted, *measured) if summary is not None]
    upstreams = list(dict.fromkeys(name for summary in known for name in summary.upstream_share))
    columns = min(len(labels), 5)
    rows = -(-len(labels) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(2.2 * columns, 5.0), (0.42 * len(upstreams) + 1.3) * rows + 0.3))
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, label, said, seen in zip(panels, labels, predicted, measured, strict=False):
            _bars(panel, upstreams, _shares(said, upstreams), _shares(seen, upstreams), "")
            panel.set(title=label, xlabel="share of upstream requests")
        for panel in panels[len(labels) :]:
            panel.set_visible(False)
        panels[0].invert_yaxis()
        _legend(figure)
    return figure


def _figures(summaries: Sequence[Summary | None], metric: str) -> list[float]:
    values = [None if summary is None else getattr(summary, metric) for summary in summaries]
    return [float("nan") if value is None else float(value) for value in values]


def _shares(summary: Summary | None, upstreams: Sequence[str]) -> list[float]:
    shares: Mapping[str, float] = {} if summary is None else summary.upstream_share
    return [shares.get(name, float("nan")) for name in upstreams]


def _bars(
    panel: Axes, labels: Sequence[str], predicted: list[float], measured: list[float], form: str
) -> None:
    """Horizontal pairs of bars, with the value at the end of each if `form` is given."""
    places = np.arange(len(labels))
    for offset, values, colour in ((-0.2, predicted, PREDICTED), (0.2, measured, MEASURED)):
        panel.barh(places + offset, values, height=0.38, color=colour)
        for place, value in zip(places + offset, values, strict=True):
            if form and not np.isnan(value):
                panel.text(value, place, " " + form.format(value), va="center", fontsize=8, color=NEUTRAL)
    panel.set_yticks(places, labels)
    panel.grid(axis="y", visible=False)
    if form:
        panel.margins(x=0.22)


def _legend(figure: Figure) -> None:
    handles = [
        mpl.patches.Patch(color=PREDICTED, label="predicted"),
        mpl.patches.Patch(color=MEASURED, label="measured"),
    ]
    figure.legend(handles=handles, loc="outside lower right", ncols=2)


def queue_lengths(series: Mapping[str, tuple[NDArray[np.float64], NDArray[np.int64]]]) -> Figure:
    """Requests waiting or in service over time, one line per server.

    Parameters
    ----------
    series : mapping of str to (times, values)
        Seconds, and the number of requests from that time on.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 2.8))
        panel = figure.subplots()
        for name, (times, values) in series.items():
            panel.step(times, values, where="post", lw=1.0, label=name)
        panel.set(xlabel="time, s", ylabel="requests inside", ylim=(0, None))
        if series:
            panel.legend(loc="upper left", ncols=4)
    return figure
