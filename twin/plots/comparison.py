"""Figures that compare both twins.

Each function returns a new figure, so that notebooks, reports and tests use the same code.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from scenarios.records import Records, Summary
from twin.plots.labels import fit_ticks, height_for_lines, name_lines, wrapped
from twin.plots.style import (
    INK,
    MEASURED,
    MEASURED_HATCH,
    MEASURED_MARK,
    PREDICTED,
    PREDICTED_MARK,
    STYLE,
    line_style,
)

_NEVER = "never settles"
_PREDICTED: dict[str, Any] = {"color": PREDICTED, "marker": PREDICTED_MARK, "lw": 3.0, "label": "predicted"}
_MEASURED: dict[str, Any] = {"color": MEASURED, "marker": MEASURED_MARK, "lw": 1.3, "label": "measured"}


def latency_distributions(
    labels: Sequence[str],
    predicted: Sequence[Records | None],
    measured: Sequence[Records | None],
    unsettled: Collection[str] = (),
) -> Figure:
    """Share of requests that are slower than a time: one panel per variant, with both twins.

    Parameters
    ----------
    labels : sequence of str
        Names of the variants.
    predicted, measured : sequence of Records or None
        Requests of each variant; ``None`` if there is nothing to draw.
    unsettled : collection of str
        Names of the variants that never settle: their titles say so, and they do not set the scale.
    """
    columns = 2 if len(labels) == 4 else min(len(labels), 3)
    rows = -(-len(labels) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * columns, 2.7 * rows + 0.3))
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, label, said, seen in zip(panels, labels, predicted, measured, strict=False):
            _tail(panel, said, _PREDICTED)
            _tail(panel, seen, _MEASURED)
            title = f"{label}: {_NEVER}" if label in unsettled else label
            panel.set(title=wrapped(title, 2.8), xscale="log", yscale="log")
        _scale_by_settled(panels, labels, unsettled)
        for panel in panels[len(labels) :]:
            panel.set_visible(False)
        for panel in panels[max(len(labels) - columns, 0) : len(labels)]:
            panel.set_xlabel("response time, ms")
            panel.tick_params(labelbottom=True)
        for panel in panels[::columns]:
            panel.set_ylabel("share of requests slower")
        _legend(figure, "response times")
        fit_ticks(figure)
    return figure


def _scale_by_settled(panels: Sequence[Axes], labels: Sequence[str], unsettled: Collection[str]) -> None:
    """The common axis of times: from the fastest to the slowest request of all variants that settle."""
    settled = [panel for panel, label in zip(panels, labels, strict=False) if label not in unsettled]
    times = [line.get_xdata() for panel in settled or panels for line in panel.lines]
    known = [float(time) for of_line in times for time in (np.min(of_line), np.max(of_line))]
    if known:
        panels[0].set_xlim(min(known) / 1.3, max(known) * 1.3)
    low, high = panels[0].get_xlim()
    for panel in panels:
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
        panel.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        panel.xaxis.set_minor_locator(NullLocator())


def _tail(panel: Axes, records: Records | None, look: Mapping[str, Any]) -> None:
    if records is None or not len(records):
        return
    times, slower = tail(records.response)
    shown = times > 0  # a logarithmic axis cannot show zero
    if not shown.any():
        return
    where = 0.0 if look is _PREDICTED else 0.07  # so that the marks of both twins are beside each other
    panel.step(times[shown] * 1e3, slower[shown], where="post", ms=4.5, markevery=(where, 0.14), **look)


def tail(response: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Response times in ascending order, and for each the share of requests that are slower."""
    times = np.sort(response)
    return times, 1.0 - np.arange(1, len(times) + 1) / (len(times) + 1)


def percentiles_by_variant(
    labels: Sequence[str],
    predicted: Sequence[Summary | None],
    measured: Sequence[Summary | None],
    unsettled: Collection[str] = (),
) -> Figure:
    """p50, p95 and p99 of every variant, predicted and measured.

    The bars of variants that are `unsettled` say so, end at the edge, and do not set the scale.
    """
    metrics = {"p50_ms": "p50", "p95_ms": "p95", "p99_ms": "p99"}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * len(metrics), 0.5 * len(labels) + 1.4))
        panels = figure.subplots(1, len(metrics), sharey=True)
        for panel, (metric, title) in zip(panels, metrics.items(), strict=True):
            sides = _figures(predicted, metric), _figures(measured, metric)
            _bars(panel, labels, *sides, "{:.1f}", unsettled)
            panel.set(title=title, xlabel="response time, ms")
        panels[0].invert_yaxis()
        _legend(figure, "percentiles")
        fit_ticks(figure)
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
        _legend(figure, "hit ratio")
        fit_ticks(figure)
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
            panel.set(title=wrapped(label, 1.8), xlabel="share of upstream requests")
        for panel in panels[len(labels) :]:
            panel.set_visible(False)
        panels[0].invert_yaxis()
        _legend(figure, "share of each upstream")
        fit_ticks(figure)
    return figure


def _figures(summaries: Sequence[Summary | None], metric: str) -> list[float]:
    values = [None if summary is None else getattr(summary, metric) for summary in summaries]
    return [float("nan") if value is None else float(value) for value in values]


def _shares(summary: Summary | None, upstreams: Sequence[str]) -> list[float]:
    shares: Mapping[str, float] = {} if summary is None else summary.upstream_share
    return [shares.get(name, float("nan")) for name in upstreams]


def _bars(
    panel: Axes,
    labels: Sequence[str],
    predicted: list[float],
    measured: list[float],
    form: str,
    unsettled: Collection[str] = (),
) -> None:
    """Horizontal pairs of bars, with the value at the end of each if `form` is given."""
    places = np.arange(len(labels))
    settled = np.array([label not in unsettled for label in labels], dtype=bool)
    known = np.array([predicted, measured], dtype=float)[:, settled]
    edge = np.nanmax(known, initial=0.0) if np.isfinite(known).any() else np.inf
    for offset, values, colour, hatch in (
        (-0.2, predicted, PREDICTED, ""), (0.2, measured, MEASURED, MEASURED_HATCH),
    ):  # fmt: skip
        lengths = np.where(settled, values, np.minimum(values, edge))
        panel.barh(places + offset, lengths, height=0.38, color=colour, hatch=hatch, lw=0)
        for place, value, length, settles in zip(places, values, lengths, settled, strict=True):
            if form and not np.isnan(value):
                text = f" {form.format(value)}" + ("" if settles else f", {_NEVER}")
                panel.text(length, place + offset, text, va="center", fontsize=8, color=INK)
    panel.set_yticks(places, [wrapped(label, 2.6) for label in labels])
    panel.grid(axis="y", visible=False)
    if form:
        panel.margins(x=0.22 if settled.all() else 0.9)


def _legend(figure: Figure, title: str) -> None:
    handles = [
        mpl.patches.Patch(facecolor=PREDICTED, label="predicted"),
        mpl.patches.Patch(facecolor=MEASURED, hatch=MEASURED_HATCH, label="measured"),
    ]
    if any(panel.lines for panel in figure.axes):
        handles = [mpl.lines.Line2D([], [], ms=4.5, **look) for look in (_PREDICTED, _MEASURED)]
    figure.legend(handles=handles, loc="outside lower right", ncols=2, title=title)


def queue_lengths(series: Mapping[str, tuple[NDArray[np.float64], NDArray[np.int64]]]) -> Figure:
    """Requests waiting or in service over time, one line per server.

    Parameters
    ----------
    series : mapping of str to (times, values)
        Seconds, and the number of requests from that time on.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.5, height_for_lines(len(series), 2.8)))
        panel = figure.subplots()
        for number, (name, (times, values)) in enumerate(series.items()):
            panel.step(
                times,
                values,
                where="post",
                lw=1.0,
                ms=4,
                markevery=max(len(times) // 12, 1),
                label=name,
                **line_style(number),
            )
        panel.set(xlabel="time, s", ylabel="requests inside", ylim=(0, None))
        if series:
            name_lines(figure, [panel], "server")
    return figure
