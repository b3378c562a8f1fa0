"""An answer that is given to several clients while it arrives, and the requests that wait for it.

Threads. The worker that fetches an answer adds, the follow thread reads: one lock around the pieces.
`SharedResponse.caught_up` is the follow thread's own. A `Reader` belongs to the worker that enlists it
until then, and to the follow thread after that; its `flight` is changed under the lock of whoever
collapses the requests.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from enum import Enum
from typing import Protocol

from policies.http_cache.collapsing import Decision, Flight
from policies.http_cache.directives import Header
from policies.http_cache.freshness import Answer, Request
from policies.http_cache.reuse import Use, reuse
from policies.http_cache.vary import Variant, selects
from realproxy.downstream.connection import DownstreamConnection, Suspended
from realproxy.errors import Aborted, LocalReply, Termination
from realproxy.http1 import RequestHead
from realproxy.messages.record import RequestRecord
from realproxy.runtime.blocking import BlockedThreads

_PARTLY = frozenset({b"range", b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since"})
"""Fields for which an answer may be less than the whole."""

WINDOW = 4 * 2**20
"""Bytes kept of a body that is too long to be stored: who is further behind is cut off."""
GRACE = 1.0
"""Seconds, over the whole of such a body, in which the others wait for those who are behind."""
AT_ONCE = 32
"""Pieces that are read at once."""


class BodyState(Enum):
    """How far a body has come."""

    ON_ITS_WAY = "more will come"
    WHOLE = "all of it is there"
    BROKEN = "no more will come"


class SharedResponse:
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
    answer : policies.http_cache.freshness.Answer
        How it may be used.
    variant : policies.http_cache.vary.Variant
        Which requests select it.
    born : float
        When its age was zero, on the monotonic clock.
    patience : float
        Seconds in which the fastest client must read on, where the body is too long to be kept.
    waits : BlockedThreads
        Where the worker that fetches it is counted while it waits for clients.

    Attributes
    ----------
    groups : tuple of str
        What it belongs to. RFC 9875
    caught_up : set
        Clients that have been sent all that is there.
    """

    def __init__(
        self, key: bytes, status: int, head: bytes, framing: int, answer: Answer, variant: Variant,
        born: float, patience: float, waits: BlockedThreads,
    ) -> None:  # fmt: skip
        self._waits = waits
        self.key, self.status, self.head, self.framing, self.answer = key, status, head, framing, answer
        self.variant, self.born, self._patience = variant, born, patience
        self.groups: tuple[str, ...] = ()
        self.caught_up: set[Reader] = set()
        self._changed = threading.Condition()
        self._pieces: list[bytes] = []
        self._starts: list[int] = []
        self._places: dict[Reader, int] = {}
        self._grace = GRACE
        self._sliding = False
        self.size = 0
        self.arrival = BodyState.ON_ITS_WAY

    def suits(self, request: Request, asked: Header, now: float) -> bool:
        """Whether a request could be given it out of the store."""
        if not selects(self.variant, asked):
            return False
        return reuse(self.answer, request, max(0.0, now - self.born)) in (Use.FRESH, Use.STALE)

    # --- the worker that fetches it -------------------------------------------------------------

    def add(self, piece: bytes) -> None:
        """More of the body; raises `Aborted` if it is too long to be kept and nobody reads on."""
        with self._changed:
            self._starts.append(self.size)
            self._pieces.append(piece)
            self.size += len(piece)
            if self._sliding:
                with self._waits.blocking():
                    self._slide()

    def give_up_keeping(self) -> None:
        """It is too long to be stored: from now on only a window of it is kept."""
        with self._changed:
            self._sliding = True

    def finish(self) -> bytes:
        """All of it has come; returns the body."""
        with self._changed:
            self.arrival = BodyState.WHOLE
            if not self._sliding:
                self._pieces, self._starts = [b"".join(self._pieces)], [0]
            return self._pieces[0] if self._pieces else b""

    def fail(self) -> None:
        """No more will come; does nothing once it is whole."""
        with self._changed:
            if self.arrival is BodyState.ON_ITS_WAY:
                self.arrival = BodyState.BROKEN

    def _slide(self) -> None:
        """Drop what lies behind the window, once all have read it, or the fastest and time is up."""
        start, begun = self.size - WINDOW, time.monotonic()
        places = self._places
        self._changed.wait_for(lambda: min(places.values(), default=start) >= start, self._grace)
        self._grace = max(0.0, self._grace - (time.monotonic() - begun))
        if not self._changed.wait_for(lambda: max(places.values(), default=start) >= start, self._patience):
            raise Aborted(Termination.CLIENT_SLOW)
        if not places:
            raise Aborted
        gone = bisect_right(self._starts, start) - 1
        if gone > 0:
            del self._pieces[:gone], self._starts[:gone]

    # --- those who send it on -------------------------------------------------------------------

    def enter(self, reader: Reader) -> None:
        """One more client reads."""
        with self._changed:
            self._places[reader] = 0

    def leave(self, reader: Reader) -> None:
        """A client reads no longer."""
        with self._changed:
            self._places.pop(reader, None)
            self._changed.notify()

    def reach(self, reader: Reader, at: int) -> None:
        """A client that is sent the body by the worker itself has come to byte `at`."""
        with self._changed:
            self._places[reader] = at

    def read(self, reader: Reader) -> tuple[list[memoryview], BodyState]:
        """What comes next for a client, at most `AT_ONCE` pieces; raises `Aborted` if it is gone."""
        at = reader.at
        with self._changed:
            self._places[reader] = at
            if self._sliding:
                self._changed.notify()
            if at == self.size:
                return [], self.arrival
            first = bisect_right(self._starts, at) - 1
            if first < 0:
                raise Aborted(Termination.CLIENT_SLOW)
            found = [memoryview(piece) for piece in self._pieces[first : first + AT_ONCE]]
            found[0] = found[0][at - self._starts[first] :]
            return found, self.arrival


class Collapsing(Protocol):
    """Where requests for one object wait for one fetch."""

    collapsed: int
    """Requests that were answered with what another one fetched; counted by the fan-out thread."""
    asked_again: int
    """Requests that were looked up again; counted by the fan-out thread."""

    def leave(self, reader: Reader) -> bool:
        """Take a request out of its flight; False if that is complete."""


class Parked(Suspended, Protocol):
    """A request that waits: what its phases go on with, should it be looked up again."""

    client: DownstreamConnection
    record: RequestRecord
    head: RequestHead
    keep: bool


class Reader:
    """What a request waits with for another request's fetch, and reads the response with.

    Attributes
    ----------
    collapser : Collapsing
        Where it waits.
    request : Parked
        The request itself.
    client : DownstreamConnection
        The client that asks.
    record : RequestRecord
        The request's, or a copy if the fetch goes on with the request's own.
    head : RequestHead
        The request's.
    keep : bool
        Whether the client's connection may live on.
    key : bytes
        Of the object in the store.
    question : policies.http_cache.freshness.Request
        What the request allows the cache.
    leads : bool
        Whether what it would fetch may do for others: all of it, and nothing of the client's own.
    whole_only : bool
        Whether it can only be answered once all of the body is there: it wants a part of it, has
        conditions, or cannot be sent chunks.
    until : float
        When it has waited long enough, on the monotonic clock.
    flight : Flight or None
        What it waits for, or is to fetch for others.
    has_waited : bool
        Whether it has waited, and is to be looked up again.
    failures : int
        Fetches that it has seen fail.
    decision : Decision
        What the request does next, once it is looked up again.
    refusal : LocalReply or None
        How the last fetch failed.
    shared : SharedResponse or None
        What it reads.
    at : int
        Bytes of that body that it was given.
    held : list of memoryview
        What it was given and has not been sent.
    answering : bool
        Whether anything was sent.
    framing : int
        Of the body towards the client.
    active : float
        When the client last took something, on the monotonic clock.
    watched : bool
        Whether the fan-out waits until the client can be written to.
    waited_from : float
        While it does: what its `MinRate` has not counted begins here, on the monotonic clock.
    over : bool
        Whether the exchange has ended; the connection may carry another request by then.
    """

    __slots__ = (
        "active", "answering", "at", "client", "collapser", "decision", "failures", "flight", "framing",
        "has_waited", "head", "held", "keep", "key", "leads", "over", "question", "record", "refusal",
        "request", "shared", "until", "waited_from", "watched", "whole_only",
    )  # fmt: skip

    def __init__(
        self, collapser: Collapsing, request: Parked, key: bytes, question: Request, until: float
    ) -> None:
        self.collapser, self.request, self.key, self.question = collapser, request, key, question
        self.client, self.record, self.head, self.keep = (
            request.client, request.record, request.head, request.keep,
        )  # fmt: skip
        partly = not _PARTLY.isdisjoint(self.head.fields.names)
        self.until = until
        self.whole_only = partly or self.head.minor == 0
        self.leads = not partly and question.unstorable is None and b"authorization" not in self.head.fields
        self.flight: Flight[Reader] | None = None
        self.has_waited = False
        self.failures = 0
        self.decision = Decision.WAIT
        self.refusal: LocalReply | None = None
        self.shared: SharedResponse | None = None
        self.at = 0
        self.answering = False
        self.held: list[memoryview] = []
        self.framing = 0
        self.active = 0.0
        self.watched = self.over = False
        self.waited_from = 0.0

    def may_take(self, shared: SharedResponse, now: float) -> bool:
        """Whether it could be given this response out of the store."""
        return shared.suits(self.question, self.head.fields.text, now)
