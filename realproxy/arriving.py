"""An answer that is given to several clients while it arrives.

Threads. The worker that fetches it adds, the thread that follows it reads: one lock around the
pieces. `following` is the follower thread's own.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from enum import Enum

from policies.directives import Header
from policies.freshness import Answer, Request
from policies.reuse import Use, reuse
from policies.variants import Variant, selects
from realproxy.exchange import Cut, End
from realproxy.follower import Follower
from realproxy.waits import Waits

WINDOW = 4 * 2**20
"""Bytes kept of a body that is too long to be stored: who is further behind is cut off."""
GRACE = 1.0
"""Seconds, over the whole of such a body, in which the others wait for those who are behind."""
AT_ONCE = 32
"""Pieces that are read at once."""


class Arrival(Enum):
    """How far a body has come."""

    ON_ITS_WAY = "more will come"
    WHOLE = "all of it is there"
    BROKEN = "no more will come"


class Arriving:
    """An answer on its way, for all who may be given it.

    Parameters
    ----------
    key : bytes
        In the store.
    status : int
        Of the answer.
    head : bytes
        Open at its end, without Age, Cache-Status and Connection.
    framing : int
        The length of the body or `CHUNKED`.
    answer : policies.freshness.Answer
        How it may be used.
    variant : policies.variants.Variant
        Which requests select it.
    born : float
        When its age was zero, on the monotonic clock.
    patience : float
        Seconds in which the fastest client must read on, where the body is too long to be kept.
    waits : Waits
        Where the worker that fetches it is counted while it waits for clients.

    Attributes
    ----------
    groups : tuple of str
        What it belongs to. RFC 9875
    following : set
        Clients that have been sent all that is there.
    """

    def __init__(
        self, key: bytes, status: int, head: bytes, framing: int, answer: Answer, variant: Variant,
        born: float, patience: float, waits: Waits,
    ) -> None:  # fmt: skip
        self._waits = waits
        self.key, self.status, self.head, self.framing, self.answer = key, status, head, framing, answer
        self.variant, self.born, self._patience = variant, born, patience
        self.groups: tuple[str, ...] = ()
        self.following: set[Follower] = set()
        self._changed = threading.Condition()
        self._pieces: list[bytes] = []
        self._starts: list[int] = []
        self._places: dict[Follower, int] = {}
        self._grace = GRACE
        self._sliding = False
        self.size = 0
        self.arrival = Arrival.ON_ITS_WAY

    def suits(self, request: Request, asked: Header, now: float) -> bool:
        """Whether a request could be given it out of the store."""
        if not selects(self.variant, asked):
            return False
        return reuse(self.answer, request, max(0.0, now - self.born)) in (Use.FRESH, Use.STALE)

    # --- the worker that fetches it -------------------------------------------------------------

    def add(self, piece: bytes) -> None:
        """More of the body; raises `Cut` if it is too long to be kept and nobody reads on."""
        with self._changed:
            self._starts.append(self.size)
            self._pieces.append(piece)
            self.size += len(piece)
            if self._sliding:
                with self._waits.unknown():
                    self._slide()

    def give_up_keeping(self) -> None:
        """It is too long to be stored: from now on only a window of it is kept."""
        with self._changed:
            self._sliding = True

    def finish(self) -> bytes:
        """All of it has come; returns the body."""
        with self._changed:
            self.arrival = Arrival.WHOLE
            if not self._sliding:
                self._pieces, self._starts = [b"".join(self._pieces)], [0]
            return self._pieces[0] if self._pieces else b""

    def fail(self) -> None:
        """No more will come; does nothing once it is whole."""
        with self._changed:
            if self.arrival is Arrival.ON_ITS_WAY:
                self.arrival = Arrival.BROKEN

    def _slide(self) -> None:
        """Drop what lies behind the window, once all have read it, or the fastest and time is up."""
        start, begun = self.size - WINDOW, time.monotonic()
        places = self._places
        self._changed.wait_for(lambda: min(places.values(), default=start) >= start, self._grace)
        self._grace = max(0.0, self._grace - (time.monotonic() - begun))
        if not self._changed.wait_for(lambda: max(places.values(), default=start) >= start, self._patience):
            raise Cut(End.CLIENT_SLOW)
        if not places:
            raise Cut
        gone = bisect_right(self._starts, start) - 1
        if gone > 0:
            del self._pieces[:gone], self._starts[:gone]

    # --- those who send it on -------------------------------------------------------------------

    def enter(self, reader: Follower) -> None:
        """One more client reads."""
        with self._changed:
            self._places[reader] = 0

    def leave(self, reader: Follower) -> None:
        """A client reads no longer."""
        with self._changed:
            self._places.pop(reader, None)
            self._changed.notify()

    def reach(self, reader: Follower, at: int) -> None:
        """A client that is sent the body by the worker itself has come to byte `at`."""
        with self._changed:
            self._places[reader] = at

    def read(self, reader: Follower) -> tuple[list[memoryview], Arrival]:
        """What comes next for a client, at most `AT_ONCE` pieces; raises `Cut` if it is gone."""
        at = reader.at
        with self._changed:
            self._places[reader] = at
            if self._sliding:
                self._changed.notify()
            if at == self.size:
                return [], self.arrival
            first = bisect_right(self._starts, at) - 1
            if first < 0:
                raise Cut(End.CLIENT_SLOW)
            found = [memoryview(piece) for piece in self._pieces[first : first + AT_ONCE]]
            found[0] = found[0][at - self._starts[first] :]
            return found, self.arrival
