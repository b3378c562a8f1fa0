"""Which objects a replica was asked for, and when: what a proxy's cache did not answer.

Threads: every connection's thread calls `begin` and `end`. One lock owns the rows.
"""

from __future__ import annotations

import threading
from collections import deque

MOST = 1_000_000
"""Fetches that are kept until somebody asks for them; the oldest go first."""

Row = list[float]
"""An object's number, and two moments of the monotonic clock; the second is infinite at first."""


class FetchedObjects:
    """The fetches of one replica."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: deque[Row] = deque(maxlen=MOST)

    def begin(self, number: int, moment: float) -> Row:
        """An object is asked for; the row is for `end`."""
        row = [number, moment, float("inf")]
        with self._lock:
            self._rows.append(row)
        return row

    def end(self, row: Row, moment: float) -> None:
        """The work is done."""
        with self._lock:
            row[2] = moment

    def take(self, now: float) -> list[Row]:
        """All rows since this was last called; what is not done yet ends `now`."""
        with self._lock:
            rows, self._rows = self._rows, deque(maxlen=MOST)
            return [[number, begin, min(end, now)] for number, begin, end in rows]


def object_number(target: str) -> int:
    """Number of the object that a test client asks for, or -1: ``/objects/7`` is 7."""
    last = target.rpartition("/")[2]
    return int(last) if last.isdecimal() and len(last) < 16 else -1
