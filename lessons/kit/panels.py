"""The shape that the figures of explorers share: two panels with fixed margins, which are drawn faster."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twin.plots.style import STYLE

FIXED_STYLE: dict[str, object] = STYLE | {"figure.constrained_layout.use": False}
"""Settings of matplotlib for such a figure."""


def two_panels() -> tuple[Figure, Axes, Axes]:
    """A figure with a left and a right panel."""
    figure = Figure(figsize=(10.0, 3.3))
    figure.subplots_adjust(left=0.075, right=0.985, top=0.91, bottom=0.15, wspace=0.25)
    left, right = figure.subplots(1, 2)
    return figure, left, right
