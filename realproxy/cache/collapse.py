"""Request collapsing: one request fetches an object, the others wait for it and share its response.

`policies.http_cache.collapsing` decides.

Threads. One lock protects the flights and the responses in progress; the store's lock may be taken inside
it. A `CollapsedWriter` belongs to the thread that fetches.
"""

from __future__ import annotations

import contextlib
import copy
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from policies.http_cache.collapsing import Decision, Flight, FlightResult, Flights, after
from policies.http_cache.freshness import Request
from policies.http_cache.reuse import Use
from realproxy.cache.entry import CacheEntry
from realproxy.cache.fanout import Fanout
from realproxy.cache.purge import Purge, origin_of
from realproxy.cache.shared_fetch import Parked, WaitingRequest
from realproxy.cache.shared_response import BodyState, Reader, SharedResponse
from realproxy.cache.store import CacheStore, Lookup
from realproxy.downstream.connection import DownstreamConnection, State
from realproxy.errors import LocalReply
from realproxy.http1 import CHUNKED, UNTIL_CLOSE
from realproxy.runtime.blocking import BlockedThreads

_RETRIED = frozenset({FlightResult.FAILED, FlightResult.APART})
"""Ends after which one of the waiting requests fetches again for all."""


class Collapser:
    """Collapses the requests for one object into one fetch (nginx: ``proxy_cache_lock``).

    If a body is too long to store, its fastest reader may read nothing for `patience` seconds.
    """

    fanout: Fanout
    """Set before the first request."""

    def __init__(self, store: CacheStore, patience: float, waits: BlockedThreads) -> None:
        self._store, self.patience, self.waits = store, patience, waits
        self.name = store.name
        self._lock = threading.Lock()
        self._flights: Flights[Reader] = Flights()
        self._in_progress: dict[bytes, list[SharedResponse]] = {}
        self.reader: Callable[[Parked, bytes, Request, float], WaitingRequest] = partial(Reader, self)
        self.collapsed = 0  # requests answered with another request's fetch; written by the fan-out thread

    def join(self, reader: Reader) -> CollapsedWriter | Lookup | Decision:
        """Decide about a request whose object is not stored, or not usable.

        Returns a `CollapsedWriter` if the request fetches for all, a `Lookup` if the object was stored
        meanwhile, else ``ALONE``, or ``WAIT``: then the fan-out thread owns the client.
        """
        now = time.monotonic()
        with self._lock:
            found = self._store.lookup(reader.key, reader.question, reader.head.fields.text)
            if found.use is not Use.ASK:
                return found
            before, reader.client.state = reader.client.state, State.FOLLOWING
            if self._share_in_progress(reader, now):
                return Decision.WAIT
            decision, flight = self._flights.ask(reader.key, reader, now, leads=reader.leads)
            reader.flight = flight if decision is Decision.WAIT else None
        if decision is Decision.WAIT:
            self.fanout.wait(reader)
            return decision
        reader.client.state = before
        return CollapsedWriter(self, flight, reader) if flight is not None else decision

    def take_lead(self, reader: Reader) -> CollapsedWriter | None:
        """For a request that has waited: what it fetches for the others with, if it is to do that."""
        flight, reader.flight = reader.flight, None
        return CollapsedWriter(self, flight, reader) if flight is not None else None

    @property
    def waiting(self) -> int:
        """Requests that wait for a response that has not begun."""
        with self._lock:
            return self._flights.waiting

    def leave(self, reader: Reader) -> bool:
        """Take a request out of its flight; False if that is complete."""
        with self._lock:
            flight = reader.flight
            if flight is None or not self._flights.leave(flight, reader):
                return False
            reader.flight = None
            return True

    # --- invalidation: responses on their way may be older than the change ------------------------

    def invalidate(self, key: bytes) -> None:
        """Later requests for `key` do not share what is on its way."""
        with self._lock:
            self._flights.invalidate(key)
            self._in_progress.pop(key, None)

    def invalidate_groups(self, key: bytes, groups: Iterable[str]) -> None:
        """The same for these groups of the origin of `key`. RFC 9875, 3"""
        origin, names = origin_of(key), frozenset(groups)
        self._invalidate_where(
            lambda other, of: origin_of(other) == origin and (of is None or not names.isdisjoint(of))
        )

    def purged(self, purge: Purge) -> None:
        """The same for what an operator has purged."""
        self._invalidate_where(
            lambda key, of: purge.matches(key, of or ()) or (of is None and purge.tag is not None)
        )

    def _invalidate_where(self, matches: Callable[[bytes, Sequence[str] | None], bool]) -> None:
        """Invalidate by key and groups; the groups of a response that has not begun are None: not known."""
        with self._lock:
            for key in self._flights:
                if isinstance(key, bytes) and matches(key, None):
                    self._flights.invalidate(key)
            for key, shared in list(self._in_progress.items()):
                self._in_progress[key] = [one for one in shared if not matches(key, one.entry.groups)]
                if not self._in_progress[key]:
                    del self._in_progress[key]

    # --- the end of a fetch ---------------------------------------------------------------------

    def shareable(self, key: bytes) -> None:
        """A response for `key` could be stored."""
        with self._lock:
            self._flights.shareable(key)

    def complete_unawaited(self, flight: Flight[Reader]) -> bool:
        """End a fetch whose response is stored, unless a request waits for it; returns whether none does."""
        with self._lock:
            if flight.waiting:
                return False
            self._flights.complete(flight, FlightResult.SHARED, time.monotonic())
        return True

    def complete(
        self, flight: Flight[Reader], ended: FlightResult, shared: SharedResponse | None,
        refusal: LocalReply | None,
    ) -> None:  # fmt: skip
        """End a flight: its response has begun, or will not come. Decide about the requests that wait."""
        usable: list[Reader] = []
        others: list[Reader] = []
        again: dict[Decision, list[Reader]] = {decision: [] for decision in Decision}
        now = time.monotonic()
        with self._lock:
            newest = self._flights.is_newest(flight)
            for reader in self._flights.complete(flight, ended, now):
                reader.flight = None
                fits = shared is not None and shared.usable_for(reader, now)
                (usable if fits else others).append(reader)
            if shared is not None and newest:
                self._in_progress.setdefault(shared.key, []).append(shared)
            for reader in sorted(others, key=lambda reader: not reader.leads):
                reader.refusal = refusal
                reader.failures += ended is FlightResult.FAILED
                reader.apart += ended is FlightResult.APART
                again[self._decide(reader, ended, shared, now)].append(reader)
        if shared is not None and usable:
            self.fanout.begin(usable, shared)
        if shared is not None or ended in _RETRIED:
            again[Decision.WAIT].clear()  # they wait already, for another response or a new flight
        for decision, readers in again.items():
            if readers:
                self.fanout.look_up_again(readers, decision)

    def _decide(
        self, reader: Reader, ended: FlightResult, shared: SharedResponse | None, now: float
    ) -> Decision:
        """What a request does that cannot use the response that it waited for."""
        if self.fanout.closing:
            return Decision.FAIL
        decision = after(ended, reader.failures, reader.apart)
        if decision is Decision.WAIT and (shared is not None or ended in _RETRIED):
            if self._share_in_progress(reader, now):
                return Decision.WAIT
            decision, reader.flight = self._flights.ask(reader.key, reader, now, leads=reader.leads)
        return decision

    def _share_in_progress(self, reader: Reader, now: float) -> bool:
        """Answer a request with a response that has begun, if it can use one."""
        for shared in self._in_progress.get(reader.key, ()):
            if shared.usable_for(reader, now):
                self.fanout.begin([reader], shared)
                return True
        return False

    def forget(self, shared: SharedResponse) -> None:
        """A response is complete, or broken off: later requests do not share it."""
        with self._lock:
            others = self._in_progress.get(shared.key, [])
            if shared in others:
                others.remove(shared)
                if not others:
                    del self._in_progress[shared.key]


class CollapsedWriter:
    """The receiver of a response that is fetched for several requests, in the place of the client.

    `reader` is the request that fetches. As soon as its client does not take all at once, the fan-out
    thread owns that client (`away`), and the fetch goes on without it. `shared` is None until the response
    may be shared.
    """

    def __init__(self, collapser: Collapser, flight: Flight[Reader], reader: Reader) -> None:
        self._collapser, self._flight, self._reader = collapser, flight, reader
        self._completed = False
        self.away = False
        self.shared: SharedResponse | None = None

    # --- for the cache writer -------------------------------------------------------------------

    def begin(self, entry: CacheEntry, framing: int) -> None:
        """Share a response whose head has arrived; `entry` is the response without its body."""
        collapser, reader = self._collapser, self._reader
        shared = SharedResponse(reader.key, entry, framing, collapser.patience, collapser.waits)
        self.shared = shared
        shared.set_offset(reader, 0)
        reader.framing = framing
        if framing == CHUNKED and reader.head.minor == 0:
            reader.framing, reader.keep = UNTIL_CLOSE, False
        self.complete(FlightResult.SHARED)

    def complete_unawaited(self) -> bool:
        """End the fetch of a response that is stored, unless a request waits for it."""
        self._completed = self._completed or self._collapser.complete_unawaited(self._flight)
        return self._completed

    def write(self, piece: bytes) -> None:
        """Append to the body; raises `Aborted` if nobody reads it and it is too long to store."""
        shared = self.shared
        assert shared is not None
        shared.write(piece)
        if shared.caught_up:
            self._collapser.fanout.notify(shared)

    def stop_storing(self) -> None:
        """The body is too long to store, so requests from now on do not share it."""
        assert self.shared is not None
        self._collapser.forget(self.shared)
        self.shared.keep_only_window()

    def finish(self) -> bytes:
        """The body is complete; returns it. Store it before `close`."""
        assert self.shared is not None
        return self.shared.finish()

    def close(self) -> None:
        """Nothing more will come, whether the body is complete or not."""
        shared = self.shared
        if shared is not None:
            shared.fail()
            if not self.away:
                shared.remove(self._reader)
            self._collapser.forget(shared)
            if shared.caught_up:
                self._collapser.fanout.notify(shared)

    def complete(self, ended: FlightResult, refusal: LocalReply | None = None) -> None:
        """End the flight for the requests that wait; only the first call counts."""
        if not self._completed:
            self._completed = True
            self._collapser.complete(self._flight, ended, self.shared, refusal)

    # --- for the phases -------------------------------------------------------------------------

    def send(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Send `pieces` to the client; without a wait, if the response is shared."""
        total = sum(map(len, pieces))
        client, shared = self._reader.client, self.shared
        if self.away:
            return total
        if shared is None:
            return client.send(pieces)
        unsent = send_now(client, pieces)
        if unsent:
            self._hand_over(unsent, shared)
        else:
            self._reader.offset = shared.size
            shared.set_offset(self._reader, shared.size)
        return total

    def reset_on_close(self) -> None:
        """As `DownstreamConnection.reset_on_close`, if the client is still here."""
        if not self.away:
            self._reader.client.reset_on_close()

    def _hand_over(self, unsent: list[memoryview], shared: SharedResponse) -> None:
        reader = self._reader
        self.away = True
        reader.record = copy.copy(reader.record)  # the fetch goes on with its own
        reader.pending, reader.offset, reader.has_begun = unsent, shared.size, True
        if shared.state is BodyState.WHOLE and reader.framing == CHUNKED:
            reader.framing = 0  # the last chunk is in `unsent`
        reader.client.state = State.FOLLOWING
        self._collapser.fanout.take_over(reader, shared)


def send_now(client: DownstreamConnection, pieces: Sequence[bytes | memoryview]) -> list[memoryview]:
    """Send what a client takes without a wait; returns a copy of the rest."""
    unsent = memoryview(pieces[0] if len(pieces) == 1 else b"".join(pieces))
    total = len(unsent)
    with contextlib.suppress(OSError):  # the client does not read now, or is gone: the fan-out finds out
        while unsent:
            unsent = unsent[client.sock.send(unsent, socket.MSG_DONTWAIT) :]
    if client.pace is not None:
        client.pace.moved(total - len(unsent))
    return [memoryview(bytes(unsent))] if unsent else []
