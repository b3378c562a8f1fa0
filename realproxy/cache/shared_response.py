"""One response that several clients read while it arrives, and what each of these clients has read.

Threads. The thread that fetches the response adds to it, the fan-out thread reads it; one lock protects the
pieces. Only the fan-out thread uses `SharedResponse.caught_up`. A `Reader` belongs to the thread that runs
the request until `Collapser.join` parks it, and then to the fan-out thread. The lock of the collapser
protects its `flight`.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from enum import Enum
from typing import Protocol

from policies.http_cache.collapsing import Decision, Flight
from policies.http_cache.freshness import Request
from policies.http_cache.reuse import Use, reuse
from policies.http_cache.vary import selects
from realproxy.cache.entry import CacheEntry
from realproxy.cache.shared_fetch import Parked
from realproxy.errors import Aborted, LocalReply, Termination
from realproxy.runtime.blocking import BlockedThreads

_PARTLY = frozenset({b"range", b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since"})
"""Fields of a request whose response may be less than the whole."""

WINDOW = 4 * 2**20
"""Bytes that are kept of a body that is too long to store. A reader that is further behind is cut off."""
GRACE = 1.0
"""Seconds that the fetch of such a body may wait, in total, for readers that would be cut off."""
PIECES_AT_ONCE = 32
"""Pieces that one read returns at most."""


class BodyState(Enum):
    """How much of a body has arrived."""

    ON_ITS_WAY = "more will come"
    WHOLE = "all of it has arrived"
    BROKEN = "no more will come"


class SharedResponse:
    """A response while it arrives. The clients that may have it read it at their own speed.

    `entry` is the response without its body; its head states `framing`, the length of the body or `CHUNKED`.
    If the body is too long to store, the fastest reader may read nothing for `patience` seconds. `waits`
    counts the thread that fetches while it waits for readers.
    """

    def __init__(
        self, key: bytes, entry: CacheEntry, framing: int, patience: float, waits: BlockedThreads
    ) -> None:
        self.key, self.entry, self.framing = key, entry, framing
        self._patience, self._waits = patience, waits
        self.caught_up: set[Reader] = set()  # readers that have all that has arrived
        self.size = 0  # bytes of the body that have arrived
        self.state = BodyState.ON_ITS_WAY
        self._changed = threading.Condition()
        self._pieces: list[bytes] = []
        self._starts: list[int] = []
        self._offsets: dict[Reader, int] = {}
        self._grace = GRACE
        self._sliding = False

    def usable_for(self, reader: Reader, now: float) -> bool:
        """Whether the store could answer the request with this response."""
        entry, asked = self.entry, reader.head.fields.text
        if not selects(entry.variant, asked):
            return False
        return reuse(entry.answer, reader.question, entry.age(now)) in (Use.FRESH, Use.STALE)

    # --- called by the thread that fetches ------------------------------------------------------

    def write(self, piece: bytes) -> None:
        """Append to the body; raises `Aborted` if it is too long to store and nobody reads on."""
        with self._changed:
            self._starts.append(self.size)
            self._pieces.append(piece)
            self.size += len(piece)
            if self._sliding:
                with self._waits.blocking():
                    self._slide()

    def keep_only_window(self) -> None:
        """The body is too long to store: from now on keep only the last `WINDOW` bytes."""
        with self._changed:
            self._sliding = True

    def finish(self) -> bytes:
        """The body is complete; returns it, unless only a window was kept."""
        with self._changed:
            self.state = BodyState.WHOLE
            if not self._sliding:
                self._pieces, self._starts = [b"".join(self._pieces)], [0]
            return self._pieces[0] if self._pieces else b""

    def fail(self) -> None:
        """No more will come; no effect on a complete body."""
        with self._changed:
            if self.state is BodyState.ON_ITS_WAY:
                self.state = BodyState.BROKEN

    def _slide(self) -> None:
        """Wait for slow readers until the grace is used up, then drop the pieces before the window."""
        start, begin = self.size - WINDOW, time.monotonic()
        offsets = self._offsets
        self._changed.wait_for(lambda: min(offsets.values(), default=start) >= start, self._grace)
        self._grace = max(0.0, self._grace - (time.monotonic() - begin))
        if not self._changed.wait_for(lambda: max(offsets.values(), default=start) >= start, self._patience):
            raise Aborted(Termination.CLIENT_SLOW)
        if not offsets:
            raise Aborted
        dropped = bisect_right(self._starts, start) - 1
        if dropped > 0:
            del self._pieces[:dropped], self._starts[:dropped]

    # --- called by the owner of a reader --------------------------------------------------------

    def set_offset(self, reader: Reader, offset: int) -> None:
        """Add a reader, or note how far it has read."""
        with self._changed:
            self._offsets[reader] = offset

    def remove(self, reader: Reader) -> None:
        """The reader reads no more."""
        with self._changed:
            self._offsets.pop(reader, None)
            self._changed.notify()

    def read(self, reader: Reader) -> tuple[list[memoryview], BodyState]:
        """The next pieces for a reader, `PIECES_AT_ONCE` at most; raises `Aborted` if they were dropped."""
        offset = reader.offset
        with self._changed:
            self._offsets[reader] = offset
            if self._sliding:
                self._changed.notify()
            if offset == self.size:
                return [], self.state
            first = bisect_right(self._starts, offset) - 1
            if first < 0:
                raise Aborted(Termination.CLIENT_SLOW)
            found = [memoryview(piece) for piece in self._pieces[first : first + PIECES_AT_ONCE]]
            found[0] = found[0][offset - self._starts[first] :]
            return found, self.state


class Gathering(Protocol):
    """The part of the `Collapser` that the fan-out thread needs."""

    name: str
    """Of the store."""
    collapsed: int
    """Requests that were answered with another request's fetch; counted by the fan-out thread."""

    def leave(self, reader: Reader) -> bool:
        """Take a request out of its flight; False if that is complete."""


class Reader:
    """A request that waits for another request's fetch, and then reads the shared response.

    The request that fetches has a `Reader` too: if its client does not take the response as fast as it
    arrives, the fan-out thread goes on with it. Times are on the monotonic clock.
    """

    __slots__ = (
        "apart", "client", "collapser", "decision", "failures", "flight", "framing", "has_begun",
        "has_waited", "head", "is_over", "keep", "key", "last_progress", "leads", "offset", "pending",
        "question", "record", "refusal", "request", "shared", "until", "waited_from", "watched", "whole_only",
    )  # fmt: skip

    def __init__(
        self, collapser: Gathering, request: Parked, key: bytes, question: Request, until: float
    ) -> None:
        self.collapser, self.request, self.key, self.question = collapser, request, key, question
        self.until = until  # the request then fetches for itself
        self.client, self.head, self.keep = request.client, request.head, request.keep
        self.record = request.record  # a copy, if the fetch goes on with the request's own
        partly = not _PARTLY.isdisjoint(self.head.fields.names)
        # Others may have what the request would fetch: the whole response, and nothing private.
        self.leads = not partly and question.unstorable is None and b"authorization" not in self.head.fields
        # The request can only be answered with a complete body: it wants a part of it, or takes no chunks.
        self.whole_only = partly or self.head.minor == 0
        self.flight: Flight[Reader] | None = None  # waited for, or to be led
        self.has_waited = False  # it is to be looked up again
        self.failures = 0  # fetches that failed while the request waited
        self.apart = 0  # fetches that brought a response for another request alone
        self.decision = Decision.WAIT  # what the request does when it is looked up again
        self.refusal: LocalReply | None = None  # how the last fetch failed
        self.shared: SharedResponse | None = None
        self.offset = 0  # bytes taken from the shared body
        self.pending: list[memoryview] = []  # taken, but not sent yet
        self.has_begun = False  # the client has been sent something
        self.framing = 0  # of the body towards the client
        self.last_progress = 0.0  # the client took something
        self.watched = False  # the fan-out thread waits until the client can be written to
        self.waited_from = 0.0  # the client's `MinRate` has not counted the wait since then
        self.is_over = False  # the connection may carry another request already
