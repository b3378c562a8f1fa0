"""Figures of sweeps and curves: lines with confidence bands, points for names, and heat maps.

All values here are predictions, so the first colour is the colour of predictions. The mean response time of a
setting that never settles has no meaning: a mark says so, and the value does not set the scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from twin.plots.labels import fit_ticks, height_for_lines, name_lines, wrapped
from twin.plots.style import NEVER_SETTLES, STYLE, TITLES, UNSETTLED, ink_on, line_style
from twin.sweeps.tables import short_names, varied_keys

_MOST_MARKS = 4
"""More lines than this that never settle at one place get one mark together."""
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
        policies = list(curves["policy"].drop_duplicates())
        figure = Figure(figsize=(9.6, height_for_lines(len(policies), 3.8)))
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        for panel, figure_name, title in zip(
            panels, ("hit_ratio", "byte_hit_ratio"), ("hit ratio", "byte hit ratio"), strict=True
        ):
            rising = curves.sort_values("capacity_bytes", kind="stable")
            for number, policy in enumerate(policies):
                rows = rising[rising["policy"] == policy]
                _line(
                    panel, number, policy, rows["capacity_bytes"], rows[figure_name],
                    rows[f"{figure_name}_error"],
                )  # fmt: skip
            panel.set(title=title, xlabel="capacity", ylim=(0, 1))
            _sizes_along(panel)
        panels[0].set_ylabel("share of requests, or of bytes")
        name_lines(figure, panels, "policy")
        fit_ticks(figure)
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
    groups = list(sweep.groupby(others, sort=False)) if others else [("", sweep)]
    growing = _unsettled(sweep)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.8, height_for_lines(len(groups), 3.8)))
        panel = figure.subplots()
        marked: dict[float, list[int]] = {}
        for number, (values, rows) in enumerate(groups):
            unsettled = set(rows[key][growing[rows.index]])
            # what never settles has no mean response time
            meaningful = rows[~rows[key].isin(unsettled)] if metric.endswith("_ms") else rows
            means, errors = _over_replications(meaningful, [key], metric)
            x = np.array([places[value] for value in means.index], dtype=float)
            order = np.argsort(x)
            aside = 0.0 if unit is not None else 0.5 * ((number + 0.5) / len(groups) - 0.5)
            drawn = x[order] + aside, means.to_numpy()[order], errors.to_numpy()[order]
            (_points if unit is None else _line)(panel, number, _label(values), *drawn)
            for value in unsettled:
                marked.setdefault(places[value] + aside, []).append(number)
        panel.set(
            xlabel=f"{key}, {unit}" if unit and unit != "bytes" else key,
            ylabel=TITLES.get(metric, metric),
            ylim=(0, 1 if metric == "hit_ratio" else None),
        )
        _along(panel, places, unit)
        _mark_unsettled(panel, marked, len(groups))
        if others or growing.any():
            name_lines(figure, [panel], ", ".join(short_names(others)), unsettled=bool(growing.any()))
        fit_ticks(figure)
    return figure


def _along(panel: Axes, places: dict[Any, float], unit: str | None) -> None:
    """The ticks of the horizontal axis; names get one each."""
    if unit == "bytes":
        _sizes_along(panel)
    elif unit is None:
        panel.set_xticks(list(places.values()), [wrapped(str(value), 1.8) for value in places])
        panel.set_xlim(-0.5, len(places) - 0.5)
        panel.grid(axis="x", visible=False)


def _unsettled(sweep: pd.DataFrame) -> pd.Series[bool]:
    """For each row, whether it never settles."""
    if "unsettled" not in sweep:
        return pd.Series(False, index=sweep.index)
    return sweep["unsettled"].fillna("").astype(str) != ""


def _mark_unsettled(panel: Axes, lines: Mapping[float, Sequence[int]], of: int) -> None:
    """Marks above the panel, outside its scale, at each place where some of `of` lines never settle.

    Each line has a mark of its colour, or many lines one mark together with their number.
    """
    above = {"transform": panel.get_xaxis_transform(), "clip_on": False}
    for place, numbers in lines.items():
        alone = len(numbers) <= _MOST_MARKS
        for rank, number in enumerate(numbers if alone else numbers[:1]):
            edge = {"mec": line_style(number)["color"]} if alone else {}
            panel.plot([place], [1.04 + 0.055 * rank], **(UNSETTLED | edge), label="_", **above)
        if not alone:
            panel.text(place, 1.09, f"{len(numbers)} of {of}", ha="center", fontsize=8, **above)


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
    growing = _unsettled(sweep) if metric.endswith("_ms") else _unsettled(sweep) & False
    columns, rows = (list(sweep[key].drop_duplicates()) for key in (across, up))

    def table(of: pd.DataFrame, values: str) -> NDArray[np.float64]:
        pivot = of.pivot_table(values, up, across, observed=True).reindex(index=rows, columns=columns)
        return pivot.to_numpy(dtype=float)

    values = table(sweep[(sweep["error"] == "") & ~growing], metric)
    never = table(sweep.assign(growing=growing.astype(float)), "growing") > 0
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.1 * len(columns) + 2.6, 0.55 * len(rows) + 1.7))
        panel = figure.subplots()
        shown = np.ma.masked_invalid(np.where(never, np.nan, values))
        panel.set_facecolor("#f3f4f6")
        image = panel.imshow(shown, cmap="Blues", aspect="auto", origin="lower")
        for (row, column), value in np.ndenumerate(values):
            text = "never\nsettles" if never[row, column] else _cell(value)
            known = not shown.mask[row, column]
            colour = ink_on(image.cmap(image.norm(value))) if known else NEVER_SETTLES
            panel.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
        panel.set_xticks(range(len(columns)), [wrapped(str(value), 1.4) for value in columns])
        panel.set_yticks(range(len(rows)), [wrapped(str(value), 2.0) for value in rows])
        panel.set(xlabel=across, ylabel=up)
        panel.grid(visible=False)
        figure.colorbar(image, ax=panel, label=TITLES.get(metric, metric))
        fit_ticks(figure)
    return figure


def _cell(value: float) -> str:
    if np.isnan(value):
        return "failed"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


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
    style = line_style(number)
    panel.plot(x, y, **style, markersize=4.5, lw=1.5, label=label)
    spread: NDArray[np.float64] = np.nan_to_num(np.asarray(error, dtype=float))
    if spread.any():
        y = np.asarray(y, dtype=float)
        panel.fill_between(x, y - spread, y + spread, color=style["color"], alpha=0.15, lw=0)


def _points(panel: Axes, number: int, label: str, x: Any, y: Any, error: Any) -> None:
    """One point for each name, with its interval: between two names there is nothing, so no line."""
    style = line_style(number) | {"ls": ""}
    panel.plot(x, y, **style, ms=7, label=label)
    spread = np.nan_to_num(np.asarray(error, dtype=float))
    if spread.any():
        panel.errorbar(x, y, yerr=spread, color=style["color"], ls="", capsize=4, label="_")


def _label(values: Any) -> str:
    return ", ".join(str(value) for value in values) if isinstance(values, tuple) else str(values)


def _sizes_along(panel: Axes) -> None:
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda size, _: format_size(size)))
    panel.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
