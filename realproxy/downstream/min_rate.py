"""The minimum rate (``limits.min_rate``): a slow client may not hold a worker for as long as it likes.

Only the time during which the proxy waits for the client counts. The client's owner owns its `MinRate`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

GRACE = 5.0
"""Seconds of waiting that every client may use, whatever the rate."""
STEP = 1.0
"""Seconds after which a blocked write returns to check the time."""


class MinRate:
    """The bytes that a client has moved of one message, and the time that the proxy has waited for it.

    `rate` is the minimum in bytes per second, `idle_timeout` the longest wait in seconds without a byte.
    """

    __slots__ = ("_idle_timeout", "_moved", "_rate", "_waited")

    def __init__(self, rate: float, idle_timeout: float) -> None:
        self._rate, self._idle_timeout = rate, idle_timeout
        self._moved, self._waited = 0, 0.0

    def fresh(self) -> MinRate:
        """A new `MinRate` with the same limits, for a message that moves at the same time."""
        return MinRate(self._rate, self._idle_timeout)

    def restart(self) -> None:
        """Begin another message."""
        self._moved, self._waited = 0, 0.0

    def moved(self, count: int) -> None:
        """Count bytes that were sent or received."""
        self._moved += count

    def waited(self, seconds: float) -> None:
        """Count time that the proxy has waited for the client."""
        self._waited += seconds

    @property
    def time_left(self) -> float:
        """Seconds that the proxy may still wait for the client if no byte moves."""
        return min(self._idle_timeout, GRACE + self._moved / self._rate - self._waited)

    def send(self, sock: socket.socket, pieces: Sequence[bytes | memoryview]) -> int:
        """Send all of `pieces` and return their length in bytes.

        `sock` is blocking, with a time limit of `STEP` for a write (SO_SNDTIMEO). Raises `BlockingIOError`
        if the client is too slow, and `OSError` if the client has closed the connection.
        """
        data = memoryview(b"".join(pieces))
        total = len(data)
        last_progress = time.monotonic()
        while data:
            before = time.monotonic()
            try:
                sent = sock.send(data)
                last_progress = time.monotonic()
            except BlockingIOError:
                sent = 0
            now = time.monotonic()
            self.waited(now - before)
            self.moved(sent)
            data = data[sent:]
            if data and (self.time_left <= 0 or now - last_progress > self._idle_timeout):
                raise BlockingIOError
        return total
