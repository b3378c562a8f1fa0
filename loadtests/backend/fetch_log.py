"""The fetches of a replica: requests that no proxy's cache served, with their times.

Threads: every connection's thread calls `begin` and `end`. One lock owns the rows.
"""

from __future__ import annotations

import threading
from collections import deque

MOST = 1_000_000
"""Highest number of fetches in the log; beyond it, the oldest are dropped."""

Row = list[float]
"""An object's number, and begin and end of the fetch on the monotonic clock; the end is infinite at first."""


class FetchedObjects:
    """The fetches of one replica."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: deque[Row] = deque(maxlen=MOST)

    def begin(self, number: int, moment: float) -> Row:
        """Record the begin of a fetch; returns the row for `end`."""
        row = [number, moment, float("inf")]
        with self._lock:
            self._rows.append(row)
        return row

    def end(self, row: Row, moment: float) -> None:
        """Record the end of a fetch."""
        with self._lock:
            row[2] = moment

    def take(self, now: float) -> list[Row]:
        """All rows since the last call; a fetch that is not finished ends `now`."""
        with self._lock:
            rows, self._rows = self._rows, deque(maxlen=MOST)
            return [[number, begin, min(end, now)] for number, begin, end in rows]


def object_number(target: str) -> int:
    """Number of the object in a target, or -1: ``/objects/7`` is 7."""
    last = target.rpartition("/")[2]
    return int(last) if last.isdecimal() and len(last) < 16 else -1
