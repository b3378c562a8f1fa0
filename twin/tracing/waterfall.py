"""The tree of a request in a terminal: a line a span, with a bar where its time lies."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from twin.plots.style import MEASURED, VERDICT
from twin.tracing.spans import Span
from twin.tracing.tree import Node, Request

LEAST_BAR, MOST_BAR = 16, 72
"""Widths of the column of bars, in characters."""
_BESIDE = 34
"""Characters beside names and bars: the numbers, the status, and what separates the columns."""


def print_waterfall(request: Request, console: Console) -> None:
    """Print the tree of one request, and what its logs cannot tell."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("who asked, and what")
    for head in ("starts\nms", "takes\nms"):
        table.add_column(head, justify="right")
    table.add_column("status")
    names = [Text.assemble(*_name(node, last)) for node, last in _with_guides(request.nodes)]
    room = console.width - max(name.cell_len for name in names) - _BESIDE
    width = max(LEAST_BAR, min(MOST_BAR, room))
    table.add_column(f"0 to {_ms(request.seconds)} ms", no_wrap=True, min_width=width)
    for node, name in zip(request.nodes, names, strict=True):
        span = node.span
        colour = VERDICT["refuted"] if span.failed else MEASURED
        bar = Text(bar_of(request, span, width), colour)
        table.add_row(
            name, _ms(request.offset(span)), _ms(span.seconds), Text(span.outcome, _style(span)), bar
        )
    console.print(Text(f"trace {request.trace}: {_counted(request)}, {_ms(request.seconds)} ms"))
    console.print(table)
    for note in request.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)


def print_list(requests: Sequence[Request], console: Console) -> None:
    """Print the given requests, a line each."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("trace", no_wrap=True)
    for head in ("takes\nms", "spans"):
        table.add_column(head, justify="right")
    table.add_column("status")
    table.add_column("asked first")
    for request in requests:
        first = request.first
        table.add_row(
            request.trace, _ms(request.seconds), str(len(request.nodes)), Text(first.outcome, _style(first)),
            Text(f"{first.who}  {first.what}"),
        )  # fmt: skip
    console.print(table)


def bar_of(request: Request, span: Span, width: int) -> str:
    """The bar of a span in so many characters: at least one, and inside the whole."""
    scale = width / request.seconds if request.seconds > 0 else 0.0
    begin = min(int(request.offset(span) * scale), width - 1)
    length = max(1, min(round(span.seconds * scale), width - begin))
    return " " * begin + "█" * length


def _with_guides(nodes: Sequence[Node]) -> list[tuple[Node, str]]:
    """Each node with the lines of a tree before its name."""
    guides: dict[int, str] = {}
    found = []
    for node in nodes:
        before = guides.get(id(node), "")
        found.append((node, before))
        stem = before.replace("├─", "│ ").replace("└─", "  ")
        for child in node.children:
            guides[id(child)] = stem + ("└─" if child is node.children[-1] else "├─")
    return found


def _name(node: Node, guide: str) -> list[tuple[str, str] | str]:
    return [(guide + (" " if guide else ""), "dim"), (node.span.who, "bold"), "  ", node.span.what]


def _style(span: Span) -> str:
    return f"bold {VERDICT['refuted']}" if span.failed else ""


def _counted(request: Request) -> str:
    count = len(request.nodes)
    return "1 span" if count == 1 else f"{count} spans"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"
