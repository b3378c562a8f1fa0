"""A client that hardly gives or takes anything holds a thread for as long as it likes: not below a rate.

Only the time in which the client keeps us waiting counts. A `MinRate` belongs to the client's owner.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

GRACE = 5.0
"""Seconds of waiting that everybody has, whatever the rate."""
STEP = 1.0
"""Seconds after which a write that is stuck looks at the clock."""


class MinRate:
    """What a client has moved of one message, and how long it was waited for.

    Parameters
    ----------
    rate : float
        Bytes per second at least.
    patience : float
        Seconds without a byte at most.
    """

    __slots__ = ("_moved", "_patience", "_rate", "_waited")

    def __init__(self, rate: float, patience: float) -> None:
        self._rate, self._patience = rate, patience
        self._moved, self._waited = 0, 0.0

    def fresh(self) -> MinRate:
        """One for another message of the same client."""
        return MinRate(self._rate, self._patience)

    def restart(self) -> None:
        """Another message begins."""
        self._moved, self._waited = 0, 0.0

    def moved(self, count: int) -> None:
        """So many bytes have gone over."""
        self._moved += count

    def waited(self, seconds: float) -> None:
        """The client was waited for."""
        self._waited += seconds

    @property
    def time_left(self) -> float:
        """Seconds that the client may still keep us waiting, if nothing moves."""
        return min(self._patience, GRACE + self._moved / self._rate - self._waited)

    def send(self, sock: socket.socket, pieces: Sequence[bytes | memoryview]) -> int:
        """Send all of `pieces` and return their length.

        Parameters
        ----------
        sock : socket.socket
            Blocking, and gives up a write after `STEP` (SO_SNDTIMEO).
        pieces : sequence of bytes or memoryview
            What to send.

        Raises
        ------
        BlockingIOError
            If the client is too slow.
        OSError
            If it is gone.
        """
        data = memoryview(b"".join(pieces))
        total = len(data)
        stuck = time.monotonic()
        while data:
            before = time.monotonic()
            try:
                sent = sock.send(data)
                stuck = time.monotonic()
            except BlockingIOError:
                sent = 0
            now = time.monotonic()
            self.waited(now - before)
            self.moved(sent)
            data = data[sent:]
            if data and (self.time_left <= 0 or now - stuck > self._patience):
                raise BlockingIOError
        return total
