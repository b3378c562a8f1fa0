"""Access logs in the combined format of Apache and nginx, or in the common format."""

from __future__ import annotations

import calendar
import io
import re
from collections.abc import Iterator

import numpy as np

from scenarios.traces.block import Block, BrokenLines, Names, whole_lines

LOG_LINE = re.compile(
    rb'\S+ [^\["]*\[(?P<time>[^\]]+)\] "(?P<request>[^"\\]*(?:\\.[^"\\]*)*)" '
    rb"(?P<status>\d{3}|-) (?P<bytes>\d{1,18}|-)(?:\s|$)"
)
_TIME = re.compile(rb"(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})")
_MONTHS = {name.encode(): number for number, name in enumerate(calendar.month_abbr) if name}
_ANSWERED = frozenset((b"200", b"203", b"206", b"304"))


class AccessLog:
    """Reads the requests that a cache could answer: successful GETs.

    The object is the logged target. Its size is the number of bytes of its first response with a body;
    later lines without a size (a 304 has ``0`` or ``-``) use the same size. The first request is at time
    0. A log line is written at the end of its response, so times can go backwards; such a time is replaced
    by the one before it.

    Attributes
    ----------
    left_out : int
        Lines that are not a successful GET, or whose object has had no body so far.
    """

    def __init__(self) -> None:
        self.left_out = 0
        self._names = Names()
        self._sizes: dict[int, int] = {}
        self._seconds: dict[bytes, int] = {}

    def read(self, file: io.BufferedIOBase, broken: BrokenLines) -> Iterator[Block]:
        """The requests of a log.

        Parameters
        ----------
        file : binary file
        broken : BrokenLines
            Receives the lines that are not in the format.
        """
        start, last = None, 0.0
        for line, text in whole_lines(file):
            rows = [row for row in self._rows(line, text, broken) if row is not None]
            if not rows:
                continue
            seconds, keys, sizes = (np.array(column) for column in zip(*rows, strict=True))
            start = seconds[0] if start is None else start
            times = np.maximum(np.maximum.accumulate(seconds - start), last).astype(np.float64)
            last = float(times[-1])
            yield Block(times, keys.astype(np.uint64), sizes.astype(np.int64))

    def _rows(self, line: int, text: bytes, broken: BrokenLines) -> Iterator[tuple[int, int, int] | None]:
        for number, written in enumerate(text.split(b"\n"), line):
            if not written.strip():
                continue
            found = LOG_LINE.match(written)
            second = None if found is None else self._second(found["time"])
            if found is None or second is None:
                broken.report(f"line {number}", "expected a line of a combined or common access log")
                continue
            yield self._row(second, found["request"], found["status"], found["bytes"])

    def _row(self, second: int, request: bytes, status: bytes, sent: bytes) -> tuple[int, int, int] | None:
        method, _, target = request.partition(b" ")
        if method != b"GET" or status not in _ANSWERED:
            self.left_out += 1
            return None
        key = self._names[target.partition(b" ")[0].decode("latin-1")]
        size = self._sizes.get(key)
        if size is None:
            size = 0 if sent == b"-" else int(sent)
            if not size:
                self.left_out += 1
                return None
            self._sizes[key] = size
        return second, key, size

    def _second(self, text: bytes) -> int | None:
        """Seconds since 1970; remembered, because many lines have the same time."""
        second = self._seconds.get(text)
        if second is None:
            found = _TIME.fullmatch(text)
            if found is None or found[2] not in _MONTHS:
                return None
            day, year, hour, minute, sec = (int(found[i]) for i in (1, 3, 4, 5, 6))
            east = (int(found[8]) * 60 + int(found[9])) * (60 if found[7] == b"+" else -60)
            second = calendar.timegm((year, _MONTHS[found[2]], day, hour, minute, sec)) - east
            if len(self._seconds) > 1000:
                self._seconds.clear()
            self._seconds[text] = second
        return second
