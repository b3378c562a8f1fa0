"""Tables of figures in a terminal or a file: nothing is cut off, however narrow it is.

A `Sheet` has columns where they fit. In a narrow terminal it loses its borders, and then each row becomes
a block with a line for each figure. A pipe or a file has no width, so there the columns always fit.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

HEADS = {
    "throughput_rps": "req/s",
    "mean_ms": "mean",
    "p50_ms": "p50",
    "p95_ms": "p95",
    "p99_ms": "p99",
    "hit_ratio": "hits",
    "fetch_rps": "fetches/s",
    "fetches_per_expiry": "per expiry",
    "error_ratio": "errors",
}
"""The figures of a run as headings of columns."""
UNITS = "req/s: requests per second; response times in ms"

_NARROWEST = 12
"""A column of names may be broken into lines of so many characters, and no column of figures."""
_NO_WIDTH = 100_000


def standard_output() -> Console:
    """Standard output, with the width of its terminal or of COLUMNS; a pipe or file has no width."""
    if "COLUMNS" in os.environ:
        return Console()
    if not sys.stdout.isatty():
        return Console(width=_NO_WIDTH)
    try:
        width, height = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        width = height = 0
    return Console(width=width or None, height=height or None)  # rich does not ask a dumb terminal


@dataclass
class _Row:
    names: list[Text]
    figures: list[Text]
    style: str
    continues: bool


@dataclass
class Sheet:
    """A table that rich can print.

    Parameters
    ----------
    title : str
    names : sequence of str
        Headings of the columns that say what a row is about.
    figures : sequence of str
        Headings of the columns of figures.
    caption : str
    sides : bool
        Whether the last name tells rows of one block apart, such as predicted and measured.
    """

    title: str
    names: Sequence[str]
    figures: Sequence[str]
    caption: str = ""
    sides: bool = False
    _rows: list[_Row] = field(default_factory=list)

    def add(
        self,
        names: Sequence[str | Text],
        figures: Sequence[str],
        style: str = "",
        *,
        continues: bool = False,
    ) -> None:
        """Add a row; `continues` says that it belongs to the block of the row before it."""
        texts = [name if isinstance(name, Text) else Text(name) for name in names]
        self._rows.append(_Row(texts, [Text(figure) for figure in figures], style, continues))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.title, style="bold")
        for borders in (True, False):
            table = self._fitting(console, options, borders)
            if table is not None:
                yield table
                break
        else:
            yield from self._blocks(console, options)
        if self.caption:
            yield Text(self.caption, style="dim italic")

    def _fitting(self, console: Console, options: ConsoleOptions, borders: bool) -> Table | None:
        """The table with columns; None if it does not fit."""
        table = self._columns(borders)
        wide = options.update(width=_NO_WIDTH)
        missing = Measurement.get(console, wide, table).maximum - options.max_width
        widths = [
            max(map(_width, (head, *(row.names[number] for row in self._rows))))
            for number, head in enumerate(self.names)
        ]
        while missing > 0 and max(widths, default=0) > _NARROWEST:
            widths[widths.index(max(widths))] -= 1
            missing -= 1
        for column, width in zip(table.columns, widths, strict=False):
            column.width = width
        return table if missing <= 0 else None

    def _columns(self, borders: bool) -> Table:
        shape = {} if borders else {"box": None, "pad_edge": False, "padding": (0, 1, 0, 0)}
        table = Table(header_style="bold", **shape)
        for head in self.names:
            table.add_column(head, overflow="fold")
        for head in self.figures:
            table.add_column(head, justify="right", no_wrap=True)
        ends = [not row.continues for row in self._rows[1:]] + [False]
        several = any(row.continues for row in self._rows)
        for row, end in zip(self._rows, ends, strict=True):
            table.add_row(*row.names, *row.figures, style=row.style, end_section=several and end and borders)
        return table

    def _blocks(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """A block of lines for each group of rows."""
        start = 0
        for end in range(1, len(self._rows) + 1):
            if end == len(self._rows) or not self._rows[end].continues:
                yield Text()
                yield from self._block(self._rows[start:end], console, options)
                start = end

    def _block(
        self, rows: Sequence[_Row], console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        about = self.names[: len(self.names) - self.sides]
        for number, head in enumerate(about):
            said = [row.names[number] for row in rows if row.names[number].plain]
            text = Text(" ").join(said)
            yield text if len(about) == 1 else Text.assemble(f"{head}: ", text)
        lines = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=self.sides)
        lines.add_column("")
        for row in rows:
            lines.add_column(row.names[-1] if self.sides else "", justify="right")
        for number, head in enumerate(self.figures):
            lines.add_row(_one_line(head), *(row.figures[number] for row in rows))
        if Measurement.get(console, options.update(width=_NO_WIDTH), lines).maximum <= options.max_width:
            yield lines
            return
        for number, head in enumerate(self.figures):
            for row in rows:
                what = f"{head} {row.names[-1].plain}" if self.sides else head
                yield Text(f"{_one_line(what)}: {row.figures[number].plain}", overflow="fold")


def _width(text: str | Text) -> int:
    lines = (text.plain if isinstance(text, Text) else text).split("\n")
    return max(Text(line).cell_len for line in lines)


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))
