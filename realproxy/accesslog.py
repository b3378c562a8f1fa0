"""The access log: one line an exchange, written by a thread of its own.

Threads. Workers and the relay only append to a queue, so that no disk can hold up or fail a
request; the log thread formats, writes and owns the file. If it falls too far behind, lines are
dropped and counted.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from datetime import UTC, datetime

from policies.settings import Log
from realproxy.exchange import Exchange

MOST_WAITING = 100_000
"""Lines that may wait to be written."""
FLUSH = 0.2
"""Seconds that a line waits for company, at most."""


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
        self._queue: queue.SimpleQueue[tuple[Exchange, float] | None] = queue.SimpleQueue()
        self._fd = os.dup(sys.stdout.fileno()) if settings.file == "-" else _open(settings.file)
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="proxy-log", daemon=True)
        self._thread.start()

    def write(self, exchange: Exchange) -> None:
        """Queue a line; never waits, never fails."""
        if self._queue.qsize() < MOST_WAITING:
            self._queue.put((exchange, time.time()))
        else:
            self.dropped += 1

    def close(self) -> None:
        """Write what is waiting and end the thread."""
        self._queue.put(None)
        self._thread.join()
        os.close(self._fd)

    def _run(self) -> None:
        going = True
        while going:
            lines: list[str] = []
            item = self._queue.get()
            until = time.monotonic() + FLUSH
            while True:
                if item is None:
                    going = False
                    break
                lines.append(self._format(*item))
                left = until - time.monotonic()
                if left <= 0 or len(lines) >= 1000:
                    break
                try:
                    item = self._queue.get(timeout=left)
                except queue.Empty:
                    break
            self._flush(lines)

    def _flush(self, lines: list[str]) -> None:
        data = "".join(lines).encode("utf-8", "replace")
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            self.dropped += len(lines)


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)


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
        "reused": exchange.reused,
        "cache": exchange.cache or None,
        "end": exchange.end,
        "detail": exchange.detail or None,
        "user": exchange.user or None,
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
