"""Figures of sweeps and curves: lines with confidence bands, and heat maps.

All values here are predictions, so the first colour is the colour of predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from policies.bad_input import BadInput
from policies.units import format_size, parse_duration, parse_rate, parse_size
from simulator.statistics import student_t95
from twin.plots.style import NEUTRAL, PREDICTED, STYLE, TITLES
from twin.sweeps.tables import varied_keys

_COLOURS = (PREDICTED, "#1a7f4b", "#8e44ad", "#b3261e", "#0f9aa8", "#8a6d00", "#c2559d", NEUTRAL)
_STYLES = ("-", "--", ":", "-.")
_NOT_VARIED = {"replication", "seed", "error"}
_UNITS: tuple[tuple[Callable[[object], float], str], ...] = (
    (parse_rate, "requests/s"), (parse_duration, "s"), (parse_size, "bytes"),
)  # fmt: skip
_LOADS = ("workload.rate", "workload.users")
_CAPACITY = "proxy.cache.capacity"


def hit_ratio_curves(curves: pd.DataFrame) -> Figure:
    """Hit ratio and byte hit ratio by capacity, one line per policy.

    Parameters
    ----------
    curves : DataFrame
        From `simulator.curve.curve`; the error of a sampled curve is drawn as a band.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.8))
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        for panel, figure_name, title in zip(
            panels, ("hit_ratio", "byte_hit_ratio"), ("hit ratio", "byte hit ratio"), strict=True
        ):
            rising = curves.sort_values("capacity_bytes", kind="stable")
            for number, policy in enumerate(curves["policy"].drop_duplicates()):
                rows = rising[rising["policy"] == policy]
                _line(
                    panel, number, policy, rows["capacity_bytes"], rows[figure_name],
                    rows[f"{figure_name}_error"],
                )  # fmt: skip
            panel.set(title=title, xlabel="capacity", ylim=(0, 1))
            _sizes_along(panel)
        panels[0].set_ylabel("share of requests, or of bytes")
        _legend(figure, panels[0])
    return figure


def figure_against(sweep: pd.DataFrame, key: str, metric: str = "p99_ms") -> Figure:
    """One metric by one varied key, with one line for each combination of the other keys.

    Values are averages over replications; the band is a 95 % confidence interval.

    Parameters
    ----------
    sweep : DataFrame
        From `twin.sweep`.
    key : str
        The varied key of the horizontal axis.
    metric : str
        A column of numbers.
    """
    others = [name for name in varied_keys(sweep) if name != key]
    places, unit = _scale(sweep[key].drop_duplicates())
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.8, 3.8))
        panel = figure.subplots()
        groups = sweep.groupby(others, sort=False) if others else [("", sweep)]
        for number, (values, rows) in enumerate(groups):
            means, errors = _over_replications(rows, [key], metric)
            x = np.array([places[value] for value in means.index], dtype=float)
            order = np.argsort(x)
            _line(panel, number, _label(values), x[order], means.to_numpy()[order], errors.to_numpy()[order])
        panel.set(xlabel=f"{key}, {unit}" if unit else key, ylabel=TITLES.get(metric, metric), ylim=(0, None))
        if unit == "bytes":
            panel.set_xlabel(key)
            _sizes_along(panel)
        elif unit is None:
            panel.set_xticks(range(len(places)), [str(value) for value in places])
        if others:
            _legend(figure, panel)
    return figure


def heat_map(sweep: pd.DataFrame, across: str, up: str, metric: str = "p99_ms") -> Figure:
    """A heat map of one metric by two varied keys, averaged over everything else.

    Parameters
    ----------
    sweep : DataFrame
        From `twin.sweep`.
    across, up : str
        The varied keys of the horizontal and the vertical axis.
    metric : str
        A column of numbers.
    """
    good = sweep[sweep["error"] == ""]
    columns, rows = (list(sweep[key].drop_duplicates()) for key in (across, up))
    table = good.pivot_table(metric, up, across, observed=True).reindex(index=rows, columns=columns)
    values = table.to_numpy(dtype=float)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.1 * len(columns) + 2.6, 0.55 * len(rows) + 1.7))
        panel = figure.subplots()
        image = panel.imshow(np.ma.masked_invalid(values), cmap="Blues", aspect="auto", origin="lower")
        for (row, column), value in np.ndenumerate(values):
            shown = "failed" if np.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
            dark = not np.isnan(value) and image.norm(value) > 0.6
            panel.text(
                column, row, shown, ha="center", va="center", fontsize=8, color="white" if dark else "black"
            )
        panel.set_xticks(range(len(columns)), [str(value) for value in columns])
        panel.set_yticks(range(len(rows)), [str(value) for value in rows])
        panel.set(xlabel=across, ylabel=up)
        panel.grid(visible=False)
        figure.colorbar(image, ax=panel, label=TITLES.get(metric, metric))
    return figure


def picture_of(sweep: pd.DataFrame, metric: str | None = None) -> Figure:
    """The figure that fits the varied keys.

    - A cache's capacity or the load is varied, or there is only one key: `metric` by this key.
    - Otherwise: a heat map of the last two keys.

    By default the metric is the hit ratio if a cache's capacity is varied, and else p99.

    Raises
    ------
    BadInput
        If no setting of the sweep has this metric.
    """
    keys = varied_keys(sweep)
    axis = _axis(sweep)
    if metric is None:
        metric = "hit_ratio" if axis == _CAPACITY and _caching(sweep) else "p99_ms"
    if metric not in sweep or not sweep[metric].notna().any():
        raise BadInput("--metric", metric, "no setting of this sweep has this figure; expected another one")
    if axis is not None:
        return figure_against(sweep, axis, metric)
    return heat_map(sweep, keys[-1], keys[-2], metric)


def averaged_keys(sweep: pd.DataFrame) -> list[str]:
    """The varied keys that `picture_of` does not show: it averages over their values."""
    return varied_keys(sweep)[:-2] if _axis(sweep) is None else []


def _caching(sweep: pd.DataFrame) -> bool:
    return "hit_ratio" in sweep and bool(sweep["hit_ratio"].notna().any())


def _axis(sweep: pd.DataFrame) -> str | None:
    """The key of the horizontal axis; None for a heat map."""
    keys = varied_keys(sweep)
    if _CAPACITY in keys and _caching(sweep):
        return _CAPACITY
    return keys[0] if len(keys) == 1 else next((key for key in _LOADS if key in keys), None)


def _over_replications(
    rows: pd.DataFrame, keys: list[str], metric: str
) -> tuple[pd.Series[float], pd.Series[float]]:
    """Mean, and half of its 95 % confidence interval, in the order of the rows."""
    groups = rows[rows["error"] == ""].groupby(keys[0] if len(keys) == 1 else keys, sort=False)[metric]
    count = groups.count()
    quantile = count.map(lambda n: student_t95(n - 1) if n > 1 else np.nan)
    return groups.mean(), quantile * groups.std(ddof=1) / np.sqrt(count)


def _scale(values: Sequence[Any]) -> tuple[dict[Any, float], str | None]:
    """The coordinate of each value: its number, with a unit, if all values are numbers, else its position."""
    if all(isinstance(value, (int, float)) for value in values):
        return {value: float(value) for value in values}, ""
    for parse, unit in _UNITS:
        try:
            return {value: float(parse(value)) for value in values}, unit
        except ValueError:
            continue
    return {value: float(place) for place, value in enumerate(values)}, None


def _line(panel: Axes, number: int, label: str, x: Any, y: Any, error: Any) -> None:
    colour = _COLOURS[number % len(_COLOURS)]
    style = _STYLES[number // len(_COLOURS) % len(_STYLES)]
    panel.plot(x, y, style, color=colour, marker="o", markersize=3.5, lw=1.5, label=label)
    spread: NDArray[np.float64] = np.nan_to_num(np.asarray(error, dtype=float))
    if spread.any():
        y = np.asarray(y, dtype=float)
        panel.fill_between(x, y - spread, y + spread, color=colour, alpha=0.15, lw=0)


def _label(values: Any) -> str:
    return ", ".join(str(value) for value in values) if isinstance(values, tuple) else str(values)


def _sizes_along(panel: Axes) -> None:
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda size, _: format_size(size)))
    panel.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def _legend(figure: Figure, panel: Axes) -> None:
    figure.legend(*panel.get_legend_handles_labels(), loc="outside right upper")
