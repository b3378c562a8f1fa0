"""Requests for one object, gathered around one fetch. The decisions are `policies.http_cache.collapsing`'s.

Threads. `Collapser` has one lock around its flights and the answers that arrive; the store's lock
may be taken inside it. A `CollapsedWriter` belongs to the worker that fetches.
"""

from __future__ import annotations

import contextlib
import copy
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from policies.http_cache.collapsing import Decision, Flight, FlightResult, Flights, after
from policies.http_cache.freshness import Answer
from policies.http_cache.groups import read_groups
from policies.http_cache.reuse import Use
from policies.http_cache.vary import Variant
from realproxy.cache.entry_headers import stored_head
from realproxy.cache.fanout import Fanout
from realproxy.cache.purge import Purge, origin_of
from realproxy.cache.shared_response import BodyState, Reader, SharedResponse
from realproxy.cache.store import CacheStore, Lookup
from realproxy.downstream.connection import DownstreamConnection, State
from realproxy.errors import LocalReply
from realproxy.http1 import CHUNKED, UNTIL_CLOSE, Line, ResponseHead
from realproxy.runtime.blocking import BlockedThreads


class Collapser:
    """Collapses the requests for one object into one fetch (nginx: ``proxy_cache_lock``).

    Parameters
    ----------
    store : CacheStore
        Where answers go.
    patience : float
        Seconds in which the fastest client must read on, where a body is too long to be stored.
    waits : BlockedThreads
        Where workers that wait for clients are counted.

    Attributes
    ----------
    collapsed, asked_again : int
        Requests that were answered with what another one fetched, or had to be looked at again;
        counted by the follow thread.
    """

    fanout: Fanout

    def __init__(self, store: CacheStore, patience: float, waits: BlockedThreads) -> None:
        self._store, self.patience, self.waits = store, patience, waits
        self._lock = threading.Lock()
        self._flights: Flights[Reader] = Flights()
        self._in_progress: dict[bytes, list[SharedResponse]] = {}
        self.collapsed = self.asked_again = 0

    def join(self, reader: Reader) -> CollapsedWriter | Lookup | Decision:
        """What a request does whose object is not stored, or not fit for use.

        Returns
        -------
        CollapsedWriter
            It fetches for all.
        Lookup
            It has been stored meanwhile.
        Decision
            ``ALONE``; or ``WAIT``, and then the client is not the caller's any more.
        """
        now = time.monotonic()
        with self._lock:
            found = self._store.lookup(reader.key, reader.question, reader.head.fields.text)
            if found.use is not Use.ASK:
                return found
            before, reader.client.state = reader.client.state, State.FOLLOWING
            if self._follow(reader, now):
                return Decision.WAIT
            turn, flight = self._flights.ask(reader.key, reader, now, leads=reader.leads)
            reader.flight = flight if turn is Decision.WAIT else None
        if turn is Decision.WAIT:
            self.fanout.wait(reader)
            return turn
        reader.client.state = before
        return CollapsedWriter(self, flight, reader) if flight is not None else turn

    def take_lead(self, reader: Reader) -> CollapsedWriter | None:
        """What a request that has waited fetches for others, if it is its turn to."""
        flight, reader.flight = reader.flight, None
        return CollapsedWriter(self, flight, reader) if flight is not None else None

    @property
    def waiting(self) -> int:
        """Requests that wait for a fetch whose answer has not begun."""
        with self._lock:
            return self._flights.waiting

    def leave(self, reader: Reader) -> bool:
        """Take a request out of its flight; False if that has landed."""
        with self._lock:
            flight = reader.flight
            if flight is None or not self._flights.leave(flight, reader):
                return False
            reader.flight = None
            return True

    def invalidate(self, key: bytes) -> None:
        """The object has changed: what is on its way may be what it was before."""
        with self._lock:
            self._flights.invalidate(key)
            self._in_progress.pop(key, None)

    def invalidate_groups(self, key: bytes, groups: Iterable[str]) -> None:
        """Groups of the origin of `key` have become invalid. RFC 9875, 3"""
        origin, names = origin_of(key), frozenset(groups)
        self._invalidate_where(
            lambda other, of: origin_of(other) == origin and (of is None or not names.isdisjoint(of))
        )

    def purged(self, purge: Purge) -> None:
        """Something was purged."""
        self._invalidate_where(
            lambda key, of: purge.matches(key, of or ()) or (of is None and purge.tag is not None)
        )

    def _invalidate_where(self, falls: Callable[[bytes, Sequence[str] | None], bool]) -> None:
        """Overtake what falls, by key and groups; those of what has not begun to arrive are not known."""
        with self._lock:
            for key in self._flights:
                if isinstance(key, bytes) and falls(key, None):
                    self._flights.invalidate(key)
            for key, shared in list(self._in_progress.items()):
                self._in_progress[key] = [one for one in shared if not falls(key, one.groups)]
                if not self._in_progress[key]:
                    del self._in_progress[key]

    def shareable(self, key: bytes) -> None:
        """An answer for `key` could be stored."""
        with self._lock:
            self._flights.shareable(key)

    def complete_alone(self, flight: Flight[Reader]) -> bool:
        """End a fetch whose response is stored, unless a request waits for it; returns whether none does."""
        with self._lock:
            if flight.waiting:
                return False
            self._flights.complete(flight, FlightResult.SHARED, time.monotonic())
        return True

    def complete(
        self,
        flight: Flight[Reader],
        ended: FlightResult,
        shared: SharedResponse | None,
        refusal: LocalReply | None,
    ) -> None:
        """A fetch has ended, or its answer has begun, for those who wait for it."""
        fits: list[Reader] = []
        rest: list[Reader] = []
        again: dict[Decision, list[Reader]] = {turn: [] for turn in Decision}
        now = time.monotonic()
        with self._lock:
            newest = self._flights.is_newest(flight)
            for reader in self._flights.complete(flight, ended, now):
                reader.flight = None
                may_take = shared is not None and reader.may_take(shared, now)
                (fits if may_take else rest).append(reader)
            if shared is not None and newest:
                self._in_progress.setdefault(shared.key, []).append(shared)
            for reader in sorted(rest, key=lambda reader: not reader.leads):
                reader.refusal = refusal
                reader.failures += ended is FlightResult.FAILED
                again[self._decide(reader, ended, shared, now)].append(reader)
        if shared is not None and fits:
            self.fanout.give(fits, shared)
        if shared is not None or ended is FlightResult.FAILED:
            again[Decision.WAIT].clear()  # they wait already, for one of them who fetches
        for turn, readers in again.items():
            if readers:
                self.fanout.ask_again(readers, turn)

    def _decide(
        self, reader: Reader, ended: FlightResult, shared: SharedResponse | None, now: float
    ) -> Decision:
        """What a request does next that cannot be given what it waited for."""
        if self.fanout.closing:
            return Decision.FAIL
        turn = after(ended, reader.failures)
        if turn is Decision.WAIT and (shared is not None or ended is FlightResult.FAILED):
            if self._follow(reader, now):
                return Decision.WAIT
            turn, reader.flight = self._flights.ask(reader.key, reader, now, leads=reader.leads)
        return turn

    def _follow(self, reader: Reader, now: float) -> bool:
        """Have a request answered with what is on its way, if that does for it."""
        for shared in self._in_progress.get(reader.key, ()):
            if reader.may_take(shared, now):
                self.fanout.give([reader], shared)
                return True
        return False

    def forget(self, shared: SharedResponse) -> None:
        """An answer has arrived, or will not: nobody else is to follow it."""
        with self._lock:
            others = self._in_progress.get(shared.key, [])
            if shared in others:
                others.remove(shared)
                if not others:
                    del self._in_progress[shared.key]


class CollapsedWriter:
    """The one fetch for all who ask; takes the place of its client as the receiver of the answer.

    Parameters
    ----------
    collapser : Collapser
    flight : Flight
        What it ends.
    reader : Reader
        Its own client: if that does not read as fast as the answer arrives, it goes on as one who
        follows.

    Attributes
    ----------
    away : bool
        Whether the client belongs to the follow thread now.
    shared : SharedResponse or None
        The answer, once it may be shared.
    """

    def __init__(self, collapser: Collapser, flight: Flight[Reader], reader: Reader) -> None:
        self._collapser, self._flight, self._reader = collapser, flight, reader
        self._completed = False
        self.away = False
        self.shared: SharedResponse | None = None

    # --- for the cache writer ----------------------------------------------------------------------

    def begin(
        self, head: ResponseHead, lines: Sequence[Line], answer: Answer, variant: Variant, born: float
    ) -> None:
        """The answer's head is there, and may be given to others as soon as anything of it comes."""
        start = stored_head(head.status, head.reason, lines, head.framing)
        patience, waits = self._collapser.patience, self._collapser.waits
        self.shared = SharedResponse(
            self._reader.key, head.status, start, head.framing, answer, variant, born, patience, waits
        )
        self.shared.groups = read_groups(head.fields.text("cache-groups"))
        self.shared.enter(self._reader)
        self._reader.framing = head.framing
        if head.framing == CHUNKED and self._reader.head.minor == 0:
            self._reader.framing, self._reader.keep = UNTIL_CLOSE, False
        self.complete(FlightResult.SHARED)

    def give_whole(
        self,
        body: bytes,
        head: ResponseHead,
        lines: Sequence[Line],
        answer: Answer,
        variant: Variant,
        born: float,
    ) -> None:
        """All of the response is there and stored: those who wait are given it, if any does."""
        if not self._completed and self._collapser.complete_alone(self._flight):
            self._completed = True
        if not self._completed:
            self.begin(head, lines, answer, variant, born)
            self.add(body)
            self.finish()

    def add(self, piece: bytes) -> None:
        """More of the body has come; raises `Aborted` if nobody reads it."""
        shared = self.shared
        assert shared is not None
        shared.add(piece)
        if shared.caught_up:
            self._collapser.fanout.more(shared)

    def give_up_keeping(self) -> None:
        """The body turns out too long to be stored."""
        assert self.shared is not None
        self._collapser.forget(self.shared)
        self.shared.give_up_keeping()

    def finish(self) -> bytes:
        """The whole body is there; returns it. It must be stored before `close` is called."""
        assert self.shared is not None
        return self.shared.finish()

    def close(self) -> None:
        """Nothing more will come, well or not; nobody else is to follow."""
        shared = self.shared
        if shared is not None:
            shared.fail()
            if not self.away:
                shared.leave(self._reader)
            self._collapser.forget(shared)
            if shared.caught_up:
                self._collapser.fanout.more(shared)

    def complete(self, ended: FlightResult, refusal: LocalReply | None = None) -> None:
        """It is known how this ends for those who wait; only the first call counts."""
        if not self._completed:
            self._completed = True
            self._collapser.complete(self._flight, ended, self.shared, refusal)

    # --- for the fetch --------------------------------------------------------------------------

    def send(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Send `pieces` to the client: without waiting if others follow."""
        total = sum(map(len, pieces))
        client, shared = self._reader.client, self.shared
        if self.away:
            return total
        if shared is None:
            return client.send(pieces)
        left = send_now(client, pieces)
        if left:
            self._hand_over(left, shared)
        else:
            self._reader.at = shared.size
            shared.reach(self._reader, shared.size)
        return total

    def reset_on_close(self) -> None:
        """Let the end be seen as an error."""
        if not self.away:
            self._reader.client.reset_on_close()

    def _hand_over(self, left: list[memoryview], shared: SharedResponse) -> None:
        reader = self._reader
        self.away = True
        reader.record = copy.copy(reader.record)  # the fetch goes on with its own
        reader.held, reader.at, reader.answering = left, shared.size, True
        if shared.arrival is BodyState.WHOLE:
            reader.framing = 0 if reader.framing == CHUNKED else reader.framing  # the last chunk is in `left`
        reader.client.state = State.FOLLOWING
        self._collapser.fanout.take_over(reader, shared)


def send_now(client: DownstreamConnection, pieces: Sequence[bytes | memoryview]) -> list[memoryview]:
    """Send what a client takes without waiting; returns a copy of the rest."""
    left = memoryview(pieces[0] if len(pieces) == 1 else b"".join(pieces))
    total = len(left)
    with contextlib.suppress(OSError):  # it does not read now, or is gone: the follow thread finds out
        while left:
            left = left[client.sock.send(left, socket.MSG_DONTWAIT) :]
    if client.pace is not None:
        client.pace.moved(total - len(left))
    return [memoryview(bytes(left))] if left else []
