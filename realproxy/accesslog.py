"""The access log: one line an exchange, written by a thread of its own.

Threads. Workers and the relay only append to a queue, so that no disk can hold up or fail a
request; the log thread formats, writes and owns the file. If it falls too far behind, lines are
dropped and counted. The file may be renamed at any time, as log rotation does: the thread looks
once a second, and when told to, whether the name still is that of the file it has open.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
from datetime import UTC, datetime
from enum import Enum

from policies.settings import Log
from realproxy.exchange import Exchange

MOST_WAITING = 100_000
"""Lines that may wait to be written."""
CLOSE_PATIENCE = 5.0
"""Seconds that a stop waits for a disk that hangs."""
FLUSH = 0.2
"""Seconds that a line waits for company, at most."""
LOOK = 1.0
"""Seconds after which the name of the file is looked up again."""


class Order(Enum):
    """What the log thread is told between lines."""

    REOPEN = "look for the file again"
    END = "write what is there, and end"


class AccessLog:
    """Writes exchanges to a file.

    Parameters
    ----------
    settings : policies.settings.Log
        Its table.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """

    def __init__(self, settings: Log) -> None:
        self._format = format_json if settings.format == "json" else format_combined
        self._queue: queue.SimpleQueue[tuple[Exchange, float] | Order] = queue.SimpleQueue()
        self._path = None if settings.file == "-" else settings.file
        self._fd = os.dup(sys.stdout.fileno()) if self._path is None else _open(self._path)
        self._next_look = 0.0
        self._torn = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="proxy-log", daemon=True)
        self._thread.start()

    def write(self, exchange: Exchange) -> None:
        """Queue a line; never waits, never fails."""
        if self._queue.qsize() < MOST_WAITING:
            self._queue.put((exchange, time.time()))
        else:
            self.dropped += 1

    def reopen(self) -> None:
        """Go on in the file that has the name now."""
        self._queue.put(Order.REOPEN)

    def close(self) -> None:
        """Write what is waiting, for `CLOSE_PATIENCE` at most, and end the thread."""
        self._queue.put(Order.END)
        self._thread.join(CLOSE_PATIENCE)
        if not self._thread.is_alive():  # else the disk hangs: the descriptor is the thread's until the end
            os.close(self._fd)

    def _run(self) -> None:
        order = None
        while order is not Order.END:
            lines, order = self._gather()
            self._follow_name(now=order is Order.REOPEN)
            self._flush(lines)

    def _gather(self) -> tuple[list[str], Order | None]:
        """The next lines, up to an order or as many as come soon."""
        lines: list[str] = []
        item = self._queue.get()
        until = time.monotonic() + FLUSH
        while not isinstance(item, Order):
            lines.append(self._format(*item))
            left = until - time.monotonic()
            if left <= 0 or len(lines) >= 1000:
                return lines, None
            try:
                item = self._queue.get(timeout=left)
            except queue.Empty:
                return lines, None
        return lines, item

    def _follow_name(self, *, now: bool) -> None:
        """Open the file anew if another one, or none, has its name."""
        if self._path is None or not (now or time.monotonic() >= self._next_look):
            return
        self._next_look = time.monotonic() + LOOK
        with contextlib.suppress(OSError):  # else it goes on in the file that it has
            if not _is_at(self._fd, self._path):
                opened, self._fd = self._fd, _open(self._path)
                os.close(opened)
                self._torn = False

    def _flush(self, lines: list[str]) -> None:
        mending = b"\n" if self._torn and lines else b""
        data = mending + "".join(lines).encode("utf-8", "replace")
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:  # such as a full disk: what does not fit is lost, and counted
            self.dropped += len(lines) - max(0, data.count(b"\n", 0, written) - len(mending))
        if written:
            self._torn = data[written - 1] != 10


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _is_at(fd: int, path: str) -> bool:
    """Whether an open file still has this name."""
    mine = os.fstat(fd)
    try:
        there = os.stat(path)  # noqa: PTH116 - one call, beside fstat
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def _ms(start: float, end: float) -> float | None:
    return round((end - start) * 1000, 3) if start and end else None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def format_json(exchange: Exchange, wall: float) -> str:
    """One JSON object: who asked what, what came of it, and where the time went (milliseconds)."""
    head = exchange.head
    fields = {
        "time": datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds"),
        "client": exchange.client,
        "side": exchange.side,
        "method": head.method if head else None,
        "host": _text(head.authority) if head else None,
        "target": _text(head.target) if head else None,
        "status": exchange.status or None,
        "bytes": exchange.sent,
        "received": exchange.received,
        "route": exchange.route,
        "service": exchange.service or None,
        "upstream": exchange.upstream or None,
        "attempts": exchange.attempts,
        "fault": exchange.fault or None,
        "reused": exchange.reused,
        "cache": exchange.cache or None,
        "end": exchange.end,
        "detail": exchange.detail or None,
        "user": exchange.user or None,
        "trace": exchange.trace or None,
        "queue_ms": _ms(exchange.arrived, exchange.picked),
        "connect_ms": round(exchange.connecting * 1000, 3) if exchange.asked else None,
        "first_byte_ms": _ms(exchange.asked, exchange.answered),
        "total_ms": _ms(exchange.arrived, exchange.ended),
        "referer": _text(head.fields.get(b"referer")) if head else None,
        "user_agent": _text(head.fields.get(b"user-agent")) if head else None,
    }
    return json.dumps(fields) + "\n"


def _quoted(value: bytes | None) -> str:
    if not value:
        return "-"
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte not in (34, 92) else f"\\x{byte:02x}" for byte in value
    )


def format_combined(exchange: Exchange, wall: float) -> str:
    """The combined format of Apache and nginx."""
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(wall))
    head = exchange.head
    line = f"{head.method} {_quoted(head.target)} HTTP/1.{head.minor}" if head else "-"
    referer = _quoted(head.fields.get(b"referer") if head else None)
    agent = _quoted(head.fields.get(b"user-agent") if head else None)
    user = _quoted(exchange.user.encode())
    return (
        f'{exchange.client} - {user} [{when}] "{line}" {exchange.status or "-"} {exchange.sent} '
        f'"{referer}" "{agent}"\n'
    )
