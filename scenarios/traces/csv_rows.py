"""Traces in tables: CSV with a head line, and the public cache traces, one request per line.

pandas parses the file in pieces. If it cannot parse a piece, or if a rule is broken in it, a slower
parser reads the piece again; that parser knows the line numbers. Names of objects are only compared, so
their bytes are taken as they are, whatever their encoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from scenarios.traces.block import Block, BrokenLines, LeftOut, Source, whole_lines
from scenarios.traces.columns import (
    Columns,
    fields_of,
    is_head,
    layout_by_names,
    places,
    split_head,
)
from scenarios.traces.exact_rows import ExactRows
from scenarios.traces.fast_rows import fast_rows
from scenarios.traces.layouts import LAYOUTS, WIKIMEDIA_TEXT, Layout
from scenarios.traces.table import Rows, Table


class CsvRows:
    """Reads tables.

    Parameters
    ----------
    kind : str
        ``csv`` for a file whose head line names the columns, or a name of `LAYOUTS`.
    columns : Columns, optional
        What the user says about the columns.
    """

    def __init__(self, kind: str = "csv", columns: Columns | None = None) -> None:
        self._public = LAYOUTS.get(kind)
        self._said = columns
        self._table = Table()
        self.timed = True

    @property
    def left_out(self) -> LeftOut:
        """Rows that are no requests, by their reason."""
        return self._table.left_out

    def read(self, file: Source, broken: BrokenLines) -> Iterator[Block]:
        """The requests of a file; may be called again for the next file of the same trace.

        Raises
        ------
        BadInput
            If a column is missing, or for the first broken line.
        """
        begun = False
        for line, text in whole_lines(file, quoted=self._public is None):
            body = text
            if not begun:
                begun, body = self._begin(text, broken)
                if not begun:
                    continue
            first = line + text.count(b"\n", 0, len(text) - len(body))
            if self._layout.separator == " ":
                body = re.sub(rb"[ \t]+", b" ", body)
                body = re.sub(rb" ?(\r?\n) ?", rb"\1", body).strip(b" ")
            rows = self._fast(body)
            if rows is None:
                rows = self._slow(first, body, broken)
            block = self._table.block(rows, self._layout)
            if block is not None:
                yield block
        if not begun:
            self._find_columns("", "line 1", broken)

    def _begin(self, text: bytes, broken: BrokenLines) -> tuple[bool, bytes]:
        """Find the columns in the first line that says something.

        Returns whether there is such a line, and the text of the rows.
        """
        number, start = 1, 0
        while start < len(text):
            end = text.find(b"\n", start) + 1 or len(text)
            line = text[start:end].decode("latin-1").strip("\r\n")
            if line.strip() and not (line.startswith("#") and not self._is_remark_with_names(line)):
                headed = self._find_columns(line.removeprefix("#"), f"line {number}", broken)
                return True, text[end if headed else start :]
            number, start = number + 1, end
        return False, b""

    def _is_remark_with_names(self, line: str) -> bool:
        """Whether a line such as ``# time_s,object,size_bytes`` names the columns."""
        try:
            self._columns_of(line.removeprefix("#"))
        except ValueError:
            return False
        return is_head(split_head(line.removeprefix("#"))[1])

    def _find_columns(self, line: str, where: str, broken: BrokenLines) -> bool:
        """Set the layout; returns whether the line is a head line."""
        try:
            self._layout, names, headed = self._columns_of(line)
        except ValueError as error:
            raise broken.fatal(where, str(error)) from None
        self._places = places(self._layout, self._layout.columns or names)
        self._exact = ExactRows(self._layout, self._places, names)
        self.timed = self._places.time is not None
        return headed

    def _columns_of(self, line: str) -> tuple[Layout, list[str], bool]:
        """The layout, the names of all columns, and whether the line is a head line."""
        public = self._public
        if public is not None and public.columns:
            fields = fields_of(line, public.separator) if line.strip() else []
            if public is LAYOUTS["wikimedia"] and len(fields) == len(WIKIMEDIA_TEXT.columns):
                public = WIKIMEDIA_TEXT
            return public, list(public.columns), is_head(fields) and not _begins_with_digit(fields)
        separator, head = split_head(line)
        if self._said is not None:
            layout = self._said.layout(head)
            headed = is_head(head) or not self._said.by_number
            return layout._replace(separator=separator), head, headed
        if line.strip() and not is_head(head):
            raise ValueError(
                "expected a head line that names the columns, such as time_s,object,size_bytes; "
                "or say --format, or --columns object=2,size=3,time=1"
            )
        return layout_by_names(head)._replace(separator=separator, quoted=True), head, True

    def _fast(self, body: bytes) -> Rows | None:
        return fast_rows(body, self._layout, self._places)

    def _slow(self, first: int, body: bytes, broken: BrokenLines) -> Rows:
        return self._exact.parse(first, body, broken)


def _begins_with_digit(fields: list[str]) -> bool:
    return bool(fields) and fields[0][:1].isdecimal()
