"""The tree of a request as a figure: a row a span, with a bar where its time lies."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

from twin.plots.style import INK, MEASURED, MEASURED_HATCH, NEUTRAL, STYLE, VERDICT
from twin.tracing.tree import Node, Request

MOST_ROWS = 60
"""Spans that a figure shows."""
LONGEST = 56
"""Characters of a name."""
_FONT = 9
_INCHES_PER_LETTER = 0.073
_BAR_INCHES, _ROW_INCHES = 7.0, 0.3
_ABOVE, _BELOW, _ASIDE = 0.45, 0.85, 0.15
"""Inches around the bars: for the title, for the axis and a note, and at both edges."""
_ROOM = 1.2
"""The width of the panel in durations of the request: figures stand behind the bars."""


def waterfall_figure(request: Request) -> Figure:
    """One request's waterfall. Each bar tells its milliseconds and its status; a failed one is hatched."""
    nodes = request.nodes[:MOST_ROWS]
    names = [_name(node) for node in nodes]
    left = _ASIDE + _INCHES_PER_LETTER * (max(map(len, names)) + 2)
    wide, tall = left + _BAR_INCHES + _ASIDE, _ROW_INCHES * len(nodes) + _ABOVE + _BELOW
    whole = request.seconds * 1000 or 1.0
    with mpl.rc_context({**STYLE, "figure.constrained_layout.use": False}):
        figure = Figure(figsize=(wide, tall))
        panel = figure.add_axes(
            (left / wide, _BELOW / tall, _BAR_INCHES / wide, (tall - _ABOVE - _BELOW) / tall)
        )
        beside = blended_transform_factory(figure.transFigure, panel.transData)
        for row, (node, name) in enumerate(zip(nodes, names, strict=True)):
            _draw_bar(panel, request, node, row)
            panel.text(_ASIDE / wide, row, name, va="center", fontsize=_FONT, transform=beside)
        panel.set(xlim=(0, whole * _ROOM), ylim=(len(nodes) - 0.4, -0.6), yticks=[])
        panel.set_xticks([at for at in MaxNLocator(8).tick_values(0, whole) if 0 <= at <= whole])
        panel.set_xlabel("ms since the request arrived at the first proxy", x=0.5 / _ROOM)
        panel.grid(axis="y", visible=False)
        panel.spines["left"].set_visible(False)
        panel.spines["bottom"].set_bounds(0, whole)
        figure.text(_ASIDE / wide, 1 - 0.28 / tall, _title(request), fontweight="bold", fontsize=10)
        if request.notes:
            figure.text(_ASIDE / wide, 0.1 / tall, _note(request), fontsize=8, color=NEUTRAL)
    return figure


def _draw_bar(panel: Axes, request: Request, node: Node, row: int) -> None:
    span, whole = node.span, request.seconds * 1000 or 1.0
    start, length = request.offset(span) * 1000, max(span.seconds * 1000, whole * 0.003)
    colour = VERDICT["refuted"] if span.failed else MEASURED
    hatch = MEASURED_HATCH if span.failed else None
    panel.add_patch(
        Rectangle((start, row - 0.31), length, 0.62, facecolor=colour, edgecolor="white", hatch=hatch, lw=0)
    )
    panel.text(
        start + length + whole * 0.008, row, f"{span.seconds * 1000:.1f} ms, {span.outcome}",
        va="center", fontsize=_FONT - 0.5, color=VERDICT["refuted"] if span.failed else INK,
    )  # fmt: skip


def _name(node: Node) -> str:
    name = f"{'    ' * node.depth}{node.span.who}  {node.span.what}"
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _title(request: Request) -> str:
    shown = min(len(request.nodes), MOST_ROWS)
    hidden = "" if shown == len(request.nodes) else f" (the first {shown} of {len(request.nodes)} spans)"
    return f"trace {request.trace}: {request.seconds * 1000:.1f} ms{hidden}"


def _note(request: Request) -> str:
    more = f" (and {len(request.notes) - 1} more)" if len(request.notes) > 1 else ""
    return f"note: {request.notes[0]}{more}"
