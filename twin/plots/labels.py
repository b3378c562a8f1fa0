"""Names in figures: of lines, by a legend or beside each line, and of ticks, which never cover each other."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator

from twin.plots.style import INK, UNSETTLED

MOST_IN_A_LEGEND = 6
"""With more lines, a reader looks to and fro too often: each line gets its name at its end."""
_SLOPE = 40
"""Degrees by which crowded names are turned."""
_TRIES = 4
_SAMPLE = (1.035, 1.065, 1.1)
"""Where the sample of a line beside its name begins, has its marker, and ends, in widths of the panel."""
_FONT = 8.5
_POINTS_PER_LETTER = 6.2
"""Mean width of a letter in a title."""


def wrapped(text: str, inches: float) -> str:
    """The text in lines that fit into a width, broken after blanks and the signs of keys if it can be."""
    letters = max(int(inches * 72 / _POINTS_PER_LETTER), 8)
    lines = [""]
    for piece in re.findall(r"[^\s._=,/:-]*[\s._=,/:-]*", text):
        for start in range(0, len(piece), letters):
            part = piece[start : start + letters]
            if lines[-1] and len((lines[-1] + part).rstrip()) > letters:
                lines.append("")
            lines[-1] += part
    return "\n".join(line.strip() for line in lines)


def height_for_lines(lines: int, least: float) -> float:
    """Height of a figure in inches in which the names of so many lines fit under each other."""
    return max(least, 0.19 * lines + 1.0) if many_lines(lines) else least


def name_lines(figure: Figure, panels: Sequence[Axes], title: str, *, unsettled: bool = False) -> None:
    """Tell which line is which: a legend with a title for a few lines, else a name at the end of each line.

    Parameters
    ----------
    figure, panels
        The figure, and its panels, which all have the same lines.
    title : str
        What the names are: the key that differs, with its unit.
    unsettled : bool
        Also explain the mark of what never settles.
    """
    handles, _ = panels[0].get_legend_handles_labels()
    mark = [unsettled_handle()] if unsettled else []
    if many_lines(len(handles)):
        figure.draw_without_rendering()
        for panel in panels:
            _name_ends(panel, title)
        handles = []
    if handles or mark:
        figure.legend(
            handles=[*handles, *mark], loc="outside right upper", title=title if handles else "mark",
            alignment="left",
        )  # fmt: skip


def name_lines_inside(panel: Axes, title: str, **legend: Any) -> None:
    """Like `name_lines`, but with the legend inside the panel, in a figure with fixed margins.

    `legend` are options of ``Axes.legend``. Names of many lines need room at the right of the panel.
    """
    if many_lines(len(panel.get_legend_handles_labels()[0])):
        _name_ends(panel, title)
    else:
        panel.legend(title=title, alignment="left", **legend)


def many_lines(lines: int) -> bool:
    """Whether so many lines are named at their ends."""
    return lines > MOST_IN_A_LEGEND


def unsettled_handle() -> Line2D:
    """The legend's entry for a setting whose averages have no meaning."""
    return Line2D([], [], **UNSETTLED, label="never settles")


def _name_ends(panel: Axes, title: str) -> None:
    """Write the name of each line at the right of the panel, as near to its end as the others allow."""
    named = [line for line in panel.lines if not line.get_label().startswith("_")]
    lines = [line for line in named if np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any()]
    if not lines:
        return
    ends = {line: _last_shown(panel, line) for line in lines}
    to_axes = panel.transData + panel.transAxes.inverted()
    heights = {line: float(to_axes.transform(end)[1]) for line, end in ends.items()}
    gap = 1.3 * _FONT / 72 * panel.figure.dpi / panel.get_window_extent().height
    places = _spread([heights[line] for line in lines], gap)
    for line, place in zip(lines, places, strict=True):
        panel.annotate(
            "", ends[line], (1.035, place), textcoords=panel.transAxes, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": line.get_color(), "lw": 0.7, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
        sample = Line2D([], [])
        sample.update_from(line)
        sample.set(xdata=_SAMPLE, ydata=[place] * 3, transform=panel.transAxes, clip_on=False, label="_")
        sample.set(markevery=[1], zorder=line.get_zorder())
        panel.add_artist(sample)
        panel.text(
            _SAMPLE[2] + 0.015,
            place,
            str(line.get_label()),
            transform=panel.transAxes,
            fontsize=_FONT,
            color=INK,
            va="center",
        )
    panel.text(
        1.03, max(places) + 1.2 * gap, title, transform=panel.transAxes, fontsize=_FONT, color=INK,
        fontweight="bold", va="center",
    )  # fmt: skip


def _last_shown(panel: Axes, line: Line2D) -> tuple[float, float]:
    """The last point of a line inside the panel, or its last point."""
    x, y = (np.asarray(values, dtype=float) for values in (line.get_xdata(), line.get_ydata()))
    (left, right), (low, high) = (sorted(limits) for limits in (panel.get_xlim(), panel.get_ylim()))
    inside = np.flatnonzero((x >= left) & (x <= right) & (y >= low) & (y <= high))
    place = inside[-1] if len(inside) else np.flatnonzero(np.isfinite(y))[-1]
    return float(x[place]), float(y[place])


def _spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places between 0 and 1, at least `gap` apart, as near to the wanted ones as that allows.

    Neighbours that are too near form a block, which is centred on the mean of what its members want (the
    pool-adjacent-violators algorithm).
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[list[float]] = []
    for rank, i in enumerate(order):
        blocks.append([wanted[i] - rank * gap])
        while len(blocks) > 1 and _mean(blocks[-2]) > _mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    lowest = [_mean(block) for block in blocks for _ in block]
    room = max(1.0 - (len(wanted) - 1) * gap, 0.0)
    places = [0.0] * len(wanted)
    for rank, i in enumerate(order):
        places[i] = min(max(lowest[rank], 0.0), room) + rank * gap
    return places


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def fit_ticks(figure: Figure) -> None:
    """Turn names of ticks, or leave out numbers, until no label covers another one."""
    axes = [axis for panel in figure.axes if panel.get_visible() for axis in (panel.xaxis, panel.yaxis)]
    for _ in range(_TRIES):
        figure.draw_without_rendering()
        crowded = [axis for axis in axes if _crowded(shown_labels(axis))]
        if not crowded:
            return
        for axis in crowded:
            _relax(axis)


def shown_labels(axis: Axis) -> list[Text]:
    """The labels of the major ticks inside the panel, which a reader sees."""
    low, high = sorted(axis.get_view_interval())
    return [
        tick.label1
        for tick in axis.get_major_ticks()
        if tick.label1.get_visible() and tick.label1.get_text() and low <= tick.get_loc() <= high
    ]


def _crowded(labels: Sequence[Text]) -> bool:
    boxes = [label.get_window_extent() for label in labels]
    if labels and labels[0].get_rotation():
        slope = math.sin(math.radians(labels[0].get_rotation()))
        tall = 1.25 * labels[0].get_fontsize() / 72 * labels[0].get_figure().dpi
        starts = [label.get_transform().transform(label.get_position())[0] for label in labels]
        return any(abs(b - a) * slope < tall for a, b in itertools.pairwise(starts))
    return any(a.padded(1).overlaps(b) for place, a in enumerate(boxes) for b in boxes[place + 1 :])


def _relax(axis: Axis) -> None:
    locator = axis.get_major_locator()
    named = isinstance(locator, FixedLocator) and not isinstance(locator, _FewerNumbers)
    if axis.axis_name == "y" or not named:
        low, high = sorted(axis.get_view_interval())
        axis.set_major_locator(
            _FewerNumbers([at for at in axis.get_majorticklocs() if low <= at <= high][::2])
        )
        return
    turned = axis.get_major_ticks()[0].label1.get_rotation()
    for tick in axis.get_major_ticks():
        tick.label1.set(rotation=90 if turned else _SLOPE, rotation_mode="anchor", ha="right", va="center")


class _FewerNumbers(FixedLocator):
    """Every second tick of an axis of numbers; a name is never left out."""
