"""The access log: one line an record, written by a thread of its own.

Threads. Who has served a request only appends to a deque, so that no disk can hold up or fail it;
the log thread formats, writes, owns the file and closes it. While there are lines it looks for more every
`FLUSH` seconds and need not be woken; when there are none it waits until it is. If it falls too far
behind, lines are dropped and counted; so are those that it still has when a stop has waited long
enough for it, which are taken away from it. The file may be renamed at any time, as log rotation does: the
thread looks once a second, and when told to, whether the name still is that of the file it has open.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from enum import Enum

from policies.settings import Log
from realproxy.messages.record import RequestRecord
from realproxy.observe.log_format import format_combined, format_json

MOST_WAITING = 100_000
"""Lines that may wait to be written."""
CLOSE_PATIENCE = 5.0
"""Seconds that a stop waits for a disk that hangs."""
AT_ONCE = 1000
"""Lines that are written at once."""
FLUSH = 0.02
"""Seconds that a line waits for company. Not long, so that no great heap of lines holds up the others."""
LOOK = 1.0
"""Seconds after which the name of the file is looked up again."""
IDLE = 60.0
"""Seconds that the thread waits to be woken."""


class _Order(Enum):
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

    Attributes
    ----------
    dropped : int
        Lines that were lost, or that nobody can tell to be written.
    """

    def __init__(self, settings: Log) -> None:
        self._format = format_json if settings.format == "json" else format_combined
        self._waiting: deque[RequestRecord | _Order] = deque()
        self._in_hand: list[str] = []
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._asleep = False
        self._path = None if settings.file == "-" else settings.file
        self._fd = os.dup(sys.stdout.fileno()) if self._path is None else _open(self._path)
        self._next_look = 0.0
        self._torn = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="proxy-log", daemon=True)
        self._thread.start()

    def write(self, record: RequestRecord) -> None:
        """Queue a line for an record that has ended; never waits, never fails."""
        waiting = self._waiting
        if len(waiting) < MOST_WAITING:
            waiting.append(record)
            if self._asleep:
                self._asleep = False
                self._wake.set()
        else:
            self.dropped += 1

    def reopen(self) -> None:
        """Go on in the file that has the name now."""
        self._tell(_Order.REOPEN)

    def close(self) -> None:
        """Write what is waiting, for `CLOSE_PATIENCE` at most, end the thread, and say what was lost."""
        self._tell(_Order.END)
        self._thread.join(CLOSE_PATIENCE)
        if self._thread.is_alive():  # the disk hangs
            self.dropped += self._take_away()
        if self.dropped:
            said = f"proxytwin: the access log {self._path or '-'} has lost lines: {self.dropped}"
            print(said, file=sys.stderr, flush=True)

    def _take_away(self) -> int:
        """Leave the thread nothing but the end, should it ever go on; returns how many lines it had."""
        count = len(self._in_hand)
        with contextlib.suppress(IndexError):
            while True:
                count += isinstance(self._waiting.popleft(), RequestRecord)
        self._tell(_Order.END)
        return count

    def _tell(self, order: _Order) -> None:
        self._waiting.append(order)
        self._wake.set()
        self._hurry.set()

    def _run(self) -> None:
        ended = False
        while not ended:
            self._sleep()
            self._hurry.wait(FLUSH)
            self._hurry.clear()
            ended = self._drain()
        os.close(self._fd)

    def _sleep(self) -> None:
        """Wait until there is something to write."""
        self._asleep = True  # before this looks into the deque, as a writer asks after it has appended
        if not self._waiting:
            self._wake.wait(IDLE)
        self._asleep = False
        self._wake.clear()

    def _drain(self) -> bool:
        """Write all that waits; returns whether that was to be the end."""
        while self._waiting:
            lines, order = self._gather()
            self._follow_name(now=order is _Order.REOPEN)
            self._flush(lines)
            self._in_hand = []
            if order is _Order.END:
                return True
        return False

    def _gather(self) -> tuple[list[str], _Order | None]:
        """The next lines, up to an order or as many as are written at once."""
        lines = self._in_hand
        waiting, wall = self._waiting, time.time() - time.monotonic()
        while waiting and len(lines) < AT_ONCE:
            item = waiting.popleft()
            if isinstance(item, _Order):
                return lines, item
            lines.append(self._format(item, wall + item.ended))
        return lines, None

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
