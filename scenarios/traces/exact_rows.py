"""Parses the rows of a table one by one: slower than pandas, but it knows which line is wrong."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import Literal

import numpy as np

from scenarios.traces.block import BrokenLines
from scenarios.traces.columns import Places
from scenarios.traces.layouts import Layout, seconds_of
from scenarios.traces.table import Rows
from scenarios.traces.times import iso_time, shown

LARGEST = 2**50
"""Bytes of the largest object: a pebibyte."""

MOST = 10**6
"""Requests that one row may stand for."""

JOINT = "\x1f"
"""Between the columns that name an object together: the unit separator of ASCII."""


class ExactRows:
    """Parses rows.

    Parameters
    ----------
    layout : Layout
    at : Places
    names : sequence of str
        The columns as the file calls them, for messages.
    """

    def __init__(self, layout: Layout, at: Places, names: list[str]) -> None:
        self._layout = layout
        self._at = at
        self._names = names
        self._comma = layout.separator == ";"  # then numbers may have a decimal comma

    def parse(self, first: int, body: bytes, broken: BrokenLines) -> Rows:
        """The rows of a piece; `first` is the number of its first line."""
        import pandas as pd  # slow to import, and load generators do not need it

        rows = list(self._rows(first, body, broken))
        at, layout = self._at, self._layout
        columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(7)]
        times, words, sizes, known, operations, counts, service = columns
        return Rows(
            None if at.time is None else np.array(times, np.float64),
            *pd.factorize(np.array(words, dtype=object)),
            np.array(sizes, np.int64) * layout.unit,
            None if at.known is None else np.array(known, np.bool_),
            None if at.operation is None else np.array(operations, dtype=object),
            None if at.repeats is None else np.array(counts, np.int64),
            None if at.service is None else np.array(service, np.float64),
        )

    def _rows(
        self, first: int, body: bytes, broken: BrokenLines
    ) -> Iterator[tuple[float, str, int, bool, str, int, float]]:
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self._layout.quoted else csv.QUOTE_NONE
        reader = csv.reader(
            io.StringIO(body.decode("utf-8", "surrogateescape"), newline=""),
            delimiter=self._layout.separator, quoting=quoting, skipinitialspace=True,
        )  # fmt: skip
        remarks = 0 not in self._at.object
        while True:
            number = first + reader.line_num  # of the first line of the row
            try:
                fields = next(reader)
                if any(map(str.strip, fields)) and not (remarks and fields[0].startswith("#")):
                    yield self._row(self._whole(fields))
            except StopIteration:
                return
            except (csv.Error, ValueError) as error:
                broken.report(f"line {number}", str(error))

    def _whole(self, fields: list[str]) -> list[str]:
        """A field for every column; missing ones are empty."""
        width, loose = self._at.width, self._layout.loose
        if len(fields) > width and loose is not None:
            end = loose + len(fields) - width + 1
            fields = [*fields[:loose], self._layout.separator.join(fields[loose:end]), *fields[end:]]
        if len(fields) > width:
            raise ValueError(f"expected {width} fields, not {len(fields)}")
        return fields + [""] * (width - len(fields))

    def _row(self, fields: list[str]) -> tuple[float, str, int, bool, str, int, float]:
        """One row; raises `ValueError` with what was expected."""
        at = self._at
        operation = "" if at.operation is None else self._operation(fields[at.operation])
        try:
            time = 0.0 if at.time is None else self._time(fields[at.time])
            sizes = [self._size(fields[place], place == at.known) for place in at.size]
            work = 0.0 if at.service is None else self._number(fields[at.service])
            count = 1 if at.repeats is None else _whole(fields[at.repeats])
        except _WrongNumber:
            raise ValueError(self._expected_numbers()) from None
        name = JOINT.join(fields[place] for place in at.object)
        if not name.strip(JOINT):
            raise ValueError("expected a name for object")
        if "\0" in name:
            raise ValueError("holds a NUL byte; is this a binary file? say --format")
        if not math.isfinite(work) or work < 0 or any(size < 0 for size in sizes):
            raise ValueError("expected finite numbers that are not negative")
        if not 1 <= count <= MOST:
            raise ValueError(f"expected from 1 to {MOST:,} requests, not {count}")
        for size in sizes:
            if size > LARGEST:
                raise ValueError(f"no object has {min(size, 10**300):g} bytes")
        known = at.known is None or sizes[at.size.index(at.known)] > 0
        return time, name, sum(sizes) if at.size else 1, known, operation, count, work

    def _operation(self, text: str) -> str:
        operation, layout = text.strip().lower(), self._layout
        if layout.others is not None and operation not in layout.reads | layout.others:
            raise ValueError(f"expected an operation such as {min(layout.reads)!r}, not {shown(operation)}")
        return operation

    def _time(self, text: str) -> float:
        try:
            float(text)
        except ValueError:
            pass
        else:
            return seconds_of(self._layout, text)
        if self._comma and "," in text:
            return self._time(text.replace(",", "."))
        if self._layout.clock is None and text[:4].isdecimal() and text[4:5] == "-":
            return iso_time(text)
        raise _WrongNumber

    def _size(self, text: str, may_be_missing: bool) -> int:
        if may_be_missing and not text.strip():
            return 0
        try:
            return _whole(text)
        except ValueError:
            raise _WrongNumber from None

    def _number(self, text: str) -> float:
        try:
            return float(text.replace(",", ".") if self._comma else text)
        except ValueError:
            raise _WrongNumber from None

    def _expected_numbers(self) -> str:
        at = self._at
        numbers = [place for place in (at.time, *at.size, at.repeats, at.service) if place is not None]
        named = [self._names[place] for place in numbers]
        last = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else named[0]
        return f"expected numbers for {last}"


class _WrongNumber(ValueError):
    """A text where a number should stand."""


def _whole(text: str) -> int:
    """An integer; spreadsheets also write ``1e+06`` and ``100.0``."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer():  # also false for infinity
            raise
        return int(number)
