"""The access log: one line for each request, written by the log thread.

Threads. A thread that has served a request only appends the record to a deque, so no disk can delay
or fail it. The log thread formats and writes the lines, and owns the file. It writes every `FLUSH`
seconds while there are lines, and otherwise sleeps until it is woken. Lines are dropped and counted
if too many wait, or if the log thread has not written them `CLOSE_PATIENCE` after a stop. Log rotation
may rename the file at any time: the log thread checks the name once a second, and when told to.
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
from realproxy.runtime.isolation import report

MOST_WAITING = 100_000
"""Lines that may wait to be written."""
CLOSE_PATIENCE = 5.0
"""Seconds that a stop waits for the log thread, whose disk may hang."""
AT_ONCE = 1000
"""Lines that one write takes at most."""
FLUSH = 0.02
"""Seconds between two writes. More lines at once would delay requests: formatting holds the interpreter."""
CHECK = 1.0
"""Seconds between two checks of the file's name."""
IDLE = 60.0
"""Seconds that the thread sleeps if no other thread wakes it."""


class _Order(Enum):
    """An order to the log thread, which takes effect between two lines."""

    REOPEN = "check the file's name"
    END = "write the lines before this, and end"


class AccessLog:
    """Writes records to a file; raises `OSError` if it cannot be opened. `dropped` lines may be lost."""

    def __init__(self, settings: Log) -> None:
        self._format = format_json if settings.format == "json" else format_combined
        self._waiting: deque[RequestRecord | _Order] = deque()
        self._in_hand: list[str] = []
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._path = None if settings.file == "-" else settings.file
        self._fd = os.dup(sys.stdout.fileno()) if self._path is None else _open(self._path)
        self._asleep, self._torn, self._next_check, self.dropped = False, False, 0.0, 0
        self._thread = threading.Thread(target=self._run, name="proxy-log", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # there are too many threads
            os.close(self._fd)
            raise

    def write(self, record: RequestRecord) -> None:
        """Queue the line of a request that has ended; never waits, never fails."""
        waiting = self._waiting
        if len(waiting) < MOST_WAITING:
            waiting.append(record)
            if self._asleep:
                self._asleep = False
                self._wake.set()
        else:
            self.dropped += 1

    def reopen(self) -> None:
        """Continue in the file that has the name now."""
        self._tell(_Order.REOPEN)

    def close(self) -> None:
        """Write the waiting lines, for `CLOSE_PATIENCE` at most, and print the number of lost lines."""
        self._tell(_Order.END)
        self._thread.join(CLOSE_PATIENCE)
        if self._thread.is_alive():  # the disk hangs: if the thread ever wakes, it must only end
            self.dropped += len(self._in_hand)
            with contextlib.suppress(IndexError):
                while True:
                    self.dropped += isinstance(self._waiting.popleft(), RequestRecord)
            self._tell(_Order.END)
        if self.dropped:
            message = f"proxytwin: the access log {self._path or '-'} has lost lines: {self.dropped}"
            print(message, file=sys.stderr, flush=True)

    def _tell(self, order: _Order) -> None:
        self._waiting.append(order)
        self._wake.set()
        self._hurry.set()

    def _run(self) -> None:
        ended = False
        while not ended:
            self._asleep = True  # set before this checks the deque: a writer appends, then checks the flag
            if not self._waiting:
                self._wake.wait(IDLE)
            self._asleep = False
            self._wake.clear()
            self._hurry.wait(FLUSH)
            self._hurry.clear()
            ended = self._drain()
        os.close(self._fd)

    def _drain(self) -> bool:
        """Write everything that waits; returns whether the thread must end."""
        while self._waiting:
            lines, order = self._gather()
            self._follow_name(now=order is _Order.REOPEN)
            self._flush(lines)
            self._in_hand = []
            if order is _Order.END:
                return True
        return False

    def _gather(self) -> tuple[list[str], _Order | None]:
        """The next lines, up to an order or `AT_ONCE`."""
        lines, waiting = self._in_hand, self._waiting
        # A thread that loses the processor between its two looks at clocks makes the wall's time too small.
        wall = max(time.time() - time.monotonic() for _ in range(3))
        while waiting and len(lines) < AT_ONCE:
            item = waiting.popleft()
            if isinstance(item, _Order):
                return lines, item
            try:
                lines.append(self._format(item, wall + item.ended))
            except Exception as fault:  # noqa: BLE001 - it costs this line, not the log its thread
                report(fault)
                self.dropped += 1
        return lines, None

    def _follow_name(self, *, now: bool) -> None:
        """Open the name again if it is not the open file's any more."""
        if self._path is None or not (now or time.monotonic() >= self._next_check):
            return
        self._next_check = time.monotonic() + CHECK
        with contextlib.suppress(OSError):  # if this fails, go on in the open file
            if not _is_at(self._fd, self._path):
                opened, self._fd = self._fd, _open(self._path)
                os.close(opened)
                self._torn = False

    def _flush(self, lines: list[str]) -> None:
        newline = b"\n" if self._torn and lines else b""
        data = newline + "".join(lines).encode("utf-8", "replace")
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:  # such as a full disk: the other lines are lost
            self.dropped += len(lines) - max(0, data.count(b"\n", 0, written) - len(newline))
        if written:
            self._torn = data[written - 1] != 10


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _is_at(fd: int, path: str) -> bool:
    """Whether an open file still has a name."""
    opened = os.fstat(fd)
    try:
        named = os.stat(path)  # noqa: PTH116 - one call, beside fstat
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
