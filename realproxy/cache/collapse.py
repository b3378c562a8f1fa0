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
from realproxy.cache.shared_response import Reader, SharedResponse
from realproxy.cache.store import CacheStore, Lookup
from realproxy.downstream.connection import DownstreamConnection, State
from realproxy.errors import LocalReply
from realproxy.http1 import CHUNKED, UNTIL_CLOSE, Line, ResponseHead
from realproxy.runtime.blocking import BlockedThreads


class Collapser:
    """Who fetches what, and who waits for it.

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

    following: Fanout

    def __init__(self, store: CacheStore, patience: float, waits: BlockedThreads) -> None:
        self._store, self.patience, self.waits = store, patience, waits
        self._lock = threading.Lock()
        self._flights: Flights[Reader] = Flights()
        self._arriving: dict[bytes, list[SharedResponse]] = {}
        self.collapsed = self.asked_again = 0

    def enlist(self, follower: Reader) -> CollapsedWriter | Lookup | Decision:
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
            found = self._store.lookup(follower.key, follower.request, follower.head.fields.text, again=True)
            if found.use is not Use.ASK:
                return found
            follower.client.state = State.FOLLOWING
            if self._follow(follower, now):
                return Decision.WAIT
            turn, flight = self._flights.ask(follower.key, follower, now, leads=follower.leads)
            follower.flight = flight if turn is Decision.WAIT else None
        if turn is Decision.WAIT:
            self.following.wait(follower)
            return turn
        follower.client.state = State.WORKING
        return CollapsedWriter(self, flight, follower) if flight is not None else turn

    def lead(self, follower: Reader) -> CollapsedWriter | None:
        """What a request that has waited fetches for others, if it is its turn to."""
        flight, follower.flight = follower.flight, None
        return CollapsedWriter(self, flight, follower) if flight is not None else None

    @property
    def waiting(self) -> int:
        """Requests that wait for a fetch whose answer has not begun."""
        with self._lock:
            return self._flights.waiting

    def leave(self, follower: Reader) -> bool:
        """Take a request out of its flight; False if that has landed."""
        with self._lock:
            flight = follower.flight
            if flight is None or not self._flights.leave(flight, follower):
                return False
            follower.flight = None
            return True

    def overtaken(self, key: bytes) -> None:
        """The object has changed: what is on its way may be what it was before."""
        with self._lock:
            self._flights.invalidate(key)
            self._arriving.pop(key, None)

    def overtaken_groups(self, key: bytes, groups: Iterable[str]) -> None:
        """Groups of the origin of `key` have become invalid. RFC 9875, 3"""
        origin, names = origin_of(key), frozenset(groups)
        self._overtake(
            lambda other, of: origin_of(other) == origin and (of is None or not names.isdisjoint(of))
        )

    def purged(self, purge: Purge) -> None:
        """Something was purged."""
        self._overtake(lambda key, of: purge.takes(key, of or ()) or (of is None and purge.tag is not None))

    def _overtake(self, falls: Callable[[bytes, Sequence[str] | None], bool]) -> None:
        """Overtake what falls, by key and groups; those of what has not begun to arrive are not known."""
        with self._lock:
            for key in self._flights:
                if isinstance(key, bytes) and falls(key, None):
                    self._flights.invalidate(key)
            for key, arriving in list(self._arriving.items()):
                self._arriving[key] = [one for one in arriving if not falls(key, one.groups)]
                if not self._arriving[key]:
                    del self._arriving[key]

    def shareable(self, key: bytes) -> None:
        """An answer for `key` could be stored."""
        with self._lock:
            self._flights.shareable(key)

    def land(
        self,
        flight: Flight[Reader],
        ended: FlightResult,
        arriving: SharedResponse | None,
        refusal: LocalReply | None,
    ) -> None:
        """A fetch has ended, or its answer has begun, for those who wait for it."""
        fits: list[Reader] = []
        rest: list[Reader] = []
        again: dict[Decision, list[Reader]] = {turn: [] for turn in Decision}
        now = time.monotonic()
        with self._lock:
            newest = self._flights.is_newest(flight)
            for follower in self._flights.complete(flight, ended, now):
                follower.flight = None
                suited = arriving is not None and follower.suited(arriving, now)
                (fits if suited else rest).append(follower)
            if arriving is not None and newest:
                self._arriving.setdefault(arriving.key, []).append(arriving)
            for follower in sorted(rest, key=lambda follower: not follower.leads):
                follower.refusal = refusal
                follower.failures += ended is FlightResult.FAILED
                again[self._after(follower, ended, arriving, now)].append(follower)
        if arriving is not None and fits:
            self.following.give(fits, arriving)
        if arriving is not None or ended is FlightResult.FAILED:
            again[Decision.WAIT].clear()  # they wait already, for one of them who fetches
        for turn, followers in again.items():
            if followers:
                self.following.ask_again(followers, turn)

    def _after(
        self, follower: Reader, ended: FlightResult, arriving: SharedResponse | None, now: float
    ) -> Decision:
        """What a request does next that cannot be given what it waited for."""
        if self.following.closing:
            return Decision.FAIL
        turn = after(ended, follower.failures)
        if turn is Decision.WAIT and (arriving is not None or ended is FlightResult.FAILED):
            if self._follow(follower, now):
                return Decision.WAIT
            turn, follower.flight = self._flights.ask(follower.key, follower, now, leads=follower.leads)
        return turn

    def _follow(self, follower: Reader, now: float) -> bool:
        """Have a request answered with what is on its way, if that does for it."""
        for arriving in self._arriving.get(follower.key, ()):
            if follower.suited(arriving, now):
                self.following.give([follower], arriving)
                return True
        return False

    def forget(self, arriving: SharedResponse) -> None:
        """An answer has arrived, or will not: nobody else is to follow it."""
        with self._lock:
            others = self._arriving.get(arriving.key, [])
            if arriving in others:
                others.remove(arriving)
                if not others:
                    del self._arriving[arriving.key]


class CollapsedWriter:
    """The one fetch for all who ask; takes the place of its client as the receiver of the answer.

    Parameters
    ----------
    gathering : Collapser
    flight : Flight
        What it ends.
    follower : Reader
        Its own client: if that does not read as fast as the answer arrives, it goes on as one who
        follows.

    Attributes
    ----------
    away : bool
        Whether the client belongs to the follow thread now.
    arriving : SharedResponse or None
        The answer, once it may be shared.
    """

    def __init__(self, gathering: Collapser, flight: Flight[Reader], follower: Reader) -> None:
        self._gathering, self._flight, self._follower = gathering, flight, follower
        self._landed = False
        self.away = False
        self.arriving: SharedResponse | None = None

    # --- for the recording ----------------------------------------------------------------------

    def begin(
        self, head: ResponseHead, lines: Sequence[Line], answer: Answer, variant: Variant, born: float
    ) -> None:
        """The answer's head is there, and may be given to others as soon as anything of it comes."""
        start = stored_head(head.status, head.reason, lines, head.framing)
        patience, waits = self._gathering.patience, self._gathering.waits
        self.arriving = SharedResponse(
            self._follower.key, head.status, start, head.framing, answer, variant, born, patience, waits
        )
        self.arriving.groups = read_groups(head.fields.text("cache-groups"))
        self.arriving.enter(self._follower)
        self._follower.framing = head.framing
        if head.framing == CHUNKED and self._follower.head.minor == 0:
            self._follower.framing, self._follower.keep = UNTIL_CLOSE, False
        self.land(FlightResult.SHARED)

    def add(self, piece: bytes) -> None:
        """More of the body has come; raises `Cut` if it is for nobody."""
        arriving = self.arriving
        assert arriving is not None
        arriving.add(piece)
        if arriving.following:
            self._gathering.following.more(arriving)

    def give_up_keeping(self) -> None:
        """The body turns out too long to be stored."""
        assert self.arriving is not None
        self._gathering.forget(self.arriving)
        self.arriving.give_up_keeping()

    def finish(self) -> bytes:
        """The whole body is there; returns it. It must be stored before `close` is called."""
        assert self.arriving is not None
        return self.arriving.finish()

    def close(self) -> None:
        """Nothing more will come, well or not; nobody else is to follow."""
        arriving = self.arriving
        if arriving is not None:
            arriving.fail()
            if not self.away:
                arriving.leave(self._follower)
            self._gathering.forget(arriving)
            if arriving.following:
                self._gathering.following.more(arriving)

    def land(self, ended: FlightResult, refusal: LocalReply | None = None) -> None:
        """It is known how this ends for those who wait; only the first call counts."""
        if not self._landed:
            self._landed = True
            self._gathering.land(self._flight, ended, self.arriving, refusal)

    # --- for the fetch --------------------------------------------------------------------------

    def send(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Send `pieces` to the client: without waiting if others follow."""
        total = sum(map(len, pieces))
        client, arriving = self._follower.client, self.arriving
        if self.away:
            return total
        if arriving is None:
            return client.send(pieces)
        left = send_now(client, pieces)
        if left:
            self._hand_over(left, arriving)
        else:
            self._follower.at = arriving.size
            arriving.reach(self._follower, arriving.size)
        return total

    @property
    def leaving(self) -> bool:
        """See `DownstreamConnection`."""
        return self._follower.client.leaving

    def reset_on_close(self) -> None:
        """Let the end be seen as an error."""
        if not self.away:
            self._follower.client.reset_on_close()

    def _hand_over(self, left: list[memoryview], arriving: SharedResponse) -> None:
        follower = self._follower
        self.away = True
        follower.exchange = copy.copy(follower.exchange)  # the fetch goes on with its own
        follower.held, follower.at, follower.answering = left, arriving.size, True
        follower.client.state = State.FOLLOWING
        self._gathering.following.take_over(follower, arriving)


def gathering_of(follower: Reader) -> Collapser:
    """Where a request waits."""
    gathering = follower.gathering
    assert isinstance(gathering, Collapser)
    return gathering


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
