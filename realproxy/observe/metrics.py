"""Counts and times of requests, kept while they are served: for /metrics, /stats and the live page.

Threads. Each thread writes a `Metrics` of its own; any thread may read it. Rows are only added, and the
copy of a row is one operation of the interpreter. A copy may be one request behind.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from typing import Any

from realproxy.messages.record import RequestRecord

BOUNDS = (
    0.0002, 0.0003, 0.0005, 0.0007, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05,
    0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 30.0, 60.0,
)  # fmt: skip
"""Upper bounds of a histogram's buckets, in seconds."""
TIMERS = ("queue", "connect", "first_byte", "total")
"""The times that are counted, as in the access log."""
LABELS = ("side", "route", "service", "upstream", "status", "cache")
MOST_ROWS = 2000
"""Combinations of labels that have their own row; further ones share one."""
RECENT = 64
"""Records that each thread keeps."""

_NAMES = [*map(str, BOUNDS), "inf"]
_WIDTH = 1 + len(_NAMES)
_QUEUE, _CONNECT, _FIRST_BYTE, _TOTAL = (2 + number * _WIDTH for number in range(len(TIMERS)))
_OTHER = ("other", None, "", "", 0, "")

Key = tuple[str, int | None, str, str, int, str]


class Metrics:
    """Counts requests by `LABELS`; `recent` holds the last records."""

    __slots__ = ("_rows", "recent")

    def __init__(self) -> None:
        self._rows: dict[Key, list[float]] = {}
        self.recent: deque[RequestRecord] = deque(maxlen=RECENT)

    def record(self, record: RequestRecord) -> None:
        """Count a request that has ended."""
        reverse = record.side == "reverse"  # elsewhere clients choose the upstream, without limit
        cache = record.cache
        key = (
            record.side, record.route, record.service, record.upstream if reverse else "",
            record.status, _outcome(cache) if cache else "",
        )  # fmt: skip
        row = self._rows.get(key)
        if row is None:
            empty: list[float] = [0] * (2 + len(TIMERS) * _WIDTH)
            row = self._rows.setdefault(key if len(self._rows) < MOST_ROWS else _OTHER, empty)
        row[0] += 1
        row[1] += record.sent
        arrived, asked, answered = record.arrived, record.asked, record.answered
        _note(row, _QUEUE, record.picked - arrived)
        if asked:
            _note(row, _CONNECT, record.connecting)
            if answered:
                _note(row, _FIRST_BYTE, answered - asked)
        _note(row, _TOTAL, record.ended - arrived)
        self.recent.append(record)

    def rows(self) -> dict[Key, list[float]]:
        """A copy of all counts."""
        return {key: row.copy() for key, row in self._rows.copy().items()}

    def merge(self, other: Metrics) -> None:
        """Add the counts of a thread that has ended."""
        for key, row in other.rows().items():
            mine = self._rows.get(key)
            self._rows[key] = row if mine is None else [a + b for a, b in zip(mine, row, strict=True)]
        self.recent.extend(other.recent)


class ThreadMetrics:
    """Counts the requests of all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own = threading.local()
        self._living: dict[threading.Thread, Metrics] = {}
        self._ended = Metrics()

    def record(self, record: RequestRecord) -> None:
        """Count a request that has ended in the calling thread."""
        try:
            metrics = self._own.metrics
        except AttributeError:
            metrics = self._own.metrics = self._begin()
        metrics.record(record)

    def _begin(self) -> Metrics:
        metrics = Metrics()
        with self._lock:
            self._merge_ended()
            self._living[threading.current_thread()] = metrics
        return metrics

    def all(self) -> list[Metrics]:
        """The metrics of each living thread, and those of all threads that have ended."""
        with self._lock:
            self._merge_ended()
            return [self._ended, *self._living.values()]

    def _merge_ended(self) -> None:
        for thread in [thread for thread in self._living if not thread.is_alive()]:
            self._ended.merge(self._living.pop(thread))


def _outcome(cache: str) -> str:
    """A value of Cache-Status as one word."""
    if cache.startswith("hit"):
        return "hit"
    return "collapsed" if "; collapsed" in cache else "miss"


def _note(row: list[float], column: int, seconds: float) -> None:
    row[column] += seconds
    row[column + 1 + bisect_left(BOUNDS, seconds)] += 1


def traffic(meters: Iterable[Metrics]) -> list[dict[str, Any]]:
    """The sums of several threads, as plain data: a row for each combination of `LABELS` (texts).

    A row has ``count``, ``bytes`` of bodies sent to clients, and for each of `TIMERS` the ``count``, the
    ``sum`` in seconds and the ``buckets``. A bucket counts times up to its bound and above the one before;
    empty buckets are left out.
    """
    together = Metrics()
    for meter in meters:
        together.merge(meter)
    return [
        {
            **{label: "" if part is None else str(part) for label, part in zip(LABELS, key, strict=True)},
            "count": row[0],
            "bytes": row[1],
            **{timer: _histogram(row, 2 + number * _WIDTH) for number, timer in enumerate(TIMERS)},
        }
        for key, row in together.rows().items()
    ]


def _histogram(row: list[float], column: int) -> dict[str, Any]:
    counts = row[column + 1 : column + _WIDTH]
    buckets = {name: count for name, count in zip(_NAMES, counts, strict=True) if count}
    return {"count": sum(counts), "sum": row[column], "buckets": buckets}


def recent(meters: Iterable[Metrics], wall: float) -> list[dict[str, Any]]:
    """The last requests of all threads, the latest first; `wall` is when the monotonic clock was 0."""
    records = [record for meter in meters for record in meter.recent.copy()]
    records.sort(key=lambda record: -record.ended)
    return [
        {
            "time": round(wall + record.ended, 3),
            "client": record.client,
            "side": record.side,
            "method": record.head.method if record.head else "",
            "host": record.head.authority.decode("latin-1") if record.head else "",
            "target": record.head.target.decode("latin-1")[:200] if record.head else "",
            "status": record.status,
            "bytes": record.sent,
            "received": record.received,
            "service": record.service,
            "upstream": record.upstream,
            "cache": record.cache,
            "end": record.end,
            "total_ms": round((record.ended - record.arrived) * 1000, 3),
        }
        for record in records[:RECENT]
    ]
