"""Sends one fetched response to all clients that wait for it, while it arrives.

Threads. From the moment in which a worker has enlisted it, a client in state FOLLOWING belongs to the
thread of `Fanout`. It goes back to the workers (`_ask_again`) or to the front. Other threads only
queue calls. The thread waits only in epoll, so waiting clients need no worker, and a client that
reads slowly delays no other.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from policies.http_cache.collapsing import Decision, FlightResult, after
from realproxy.cache.cache_status import status_field
from realproxy.cache.shared_response import BodyState, Reader, SharedResponse
from realproxy.downstream.connection import DownstreamConnection, Owner, State
from realproxy.errors import Aborted, Termination
from realproxy.http1 import CHUNKED, UNTIL_CLOSE
from realproxy.messages.headers import connection_field
from realproxy.messages.record import RequestRecord
from realproxy.runtime.event_loop import EventLoop
from realproxy.runtime.isolation import isolated
from realproxy.runtime.sockets import JOIN_BELOW

TICK = 0.25
"""Seconds between two sweeps for clients that do not read."""
ROUNDS = 4
"""Reads from a body that one client is sent before others get their turn."""


class Fanout:
    """Sends responses, in the thread of one event loop, to clients that waited for another client's fetch.

    Parameters
    ----------
    owner : Owner
        Takes clients back.
    submit : callable
        Takes a client whose request is to be worked on again.
    log : callable
        Takes an exchange that has ended.
    idle_timeout : float
        Seconds that a client may be without reading.

    Attributes
    ----------
    tally : Counter
        Answers and ends, like `Worker.tally`.
    """

    def __init__(
        self,
        owner: Owner,
        submit: Callable[[DownstreamConnection], None],
        log: Callable[[RequestRecord], None],
        idle_timeout: float,
    ) -> None:
        self._owner, self._submit, self._log, self.idle_timeout = owner, submit, log, idle_timeout
        self.tally: Counter[str] = Counter()
        self._waiting: set[Reader] = set()
        self._blocked: set[Reader] = set()
        self._ready: list[Reader] = []
        self._loop = EventLoop("proxy-follow")
        self._loop.at_stop.append(self._end_all)
        self._loop.call(lambda: self._sweep(time.monotonic()))

    # --- called by workers ----------------------------------------------------------------------

    def wait(self, follower: Reader) -> None:
        """A client waits for a flight."""
        self._loop.call(partial(self._wait, follower))

    def give(self, followers: Sequence[Reader], arriving: SharedResponse) -> None:
        """An answer has begun that does for these."""
        self._loop.call(partial(self._begin, followers, arriving))

    def take_over(self, follower: Reader, arriving: SharedResponse) -> None:
        """Go on with a client that does not read as fast as the body arrives."""
        self._loop.call(partial(self._continue, follower, arriving))

    def more(self, arriving: SharedResponse) -> None:
        """More of a body has come, or its end."""
        self._loop.call(partial(self._more, arriving))

    def ask_again(self, followers: Sequence[Reader], turn: Decision) -> None:
        """Have workers look at requests once more."""
        self._loop.call(partial(self._ask_again, followers, turn))

    @property
    def closing(self) -> bool:
        """Whether nothing is to be begun any more."""
        return self._owner.aborting

    def stop(self) -> None:
        """End the thread, and the requests that still wait."""
        self._loop.stop()

    # --- the thread -----------------------------------------------------------------------------

    def _end_all(self) -> None:
        waiting = [follower for follower in self._waiting if follower.gathering.leave(follower)]
        for follower in [*self._blocked, *self._ready, *waiting]:
            isolated(self._end, follower, Termination.STOPPED)

    def _wait(self, follower: Reader) -> None:
        self._waiting.add(follower)
        self._loop.at(follower.until, partial(self._time_out, follower))

    def _time_out(self, follower: Reader, _now: float) -> None:
        """Have a client that has waited long enough fetch for itself."""
        self._waiting.discard(follower)
        if follower.gathering.leave(follower):
            self._ask_again([follower], Decision.ALONE)

    def _sweep(self, now: float) -> None:
        """Cut off clients that do not read, or read too slowly."""
        self._loop.at(now + TICK, self._sweep)
        for follower in list(self._blocked):
            _count_wait(follower, now)
            pace = follower.client.pace
            if now - follower.active > self.idle_timeout or (pace is not None and pace.left <= 0):
                self._end(follower, Termination.CLIENT_SLOW)

    def _ask_again(self, followers: Iterable[Reader], turn: Decision) -> None:
        for follower in followers:
            follower.turn, follower.arriving = turn, None
            client = follower.client
            if self.closing:
                self._end(follower, Termination.STOPPED)
                continue
            client.suspended = follower
            client.state = State.WORKING
            follower.gathering.asked_again += 1
            self._submit(client)
        self._owner.wake()  # which starts threads, should they be missing

    # --- sending --------------------------------------------------------------------------------

    def _begin(self, followers: Iterable[Reader], arriving: SharedResponse) -> None:
        now = time.monotonic()
        for follower in followers:
            if follower.whole_only:
                self._wait_for_end(follower, arriving)
                continue
            follower.arriving = arriving
            follower.framing, follower.active = arriving.framing, now
            exchange, head = follower.exchange, follower.head
            exchange.status = arriving.status
            exchange.cache += "; collapsed"
            follower.keep = follower.keep and not follower.client.leaving
            added = status_field(exchange.cache) + connection_field(head, follower.keep)
            age = max(0.0, now - arriving.born)
            follower.held = [memoryview(b"%bAge: %d\r\n%b\r\n" % (arriving.head, age, added))]
            arriving.enter(follower)
            follower.gathering.collapsed += 1
            self._push(follower)

    def _wait_for_end(self, follower: Reader, arriving: SharedResponse) -> None:
        arriving.following.add(follower)
        if arriving.arrival is not BodyState.ON_ITS_WAY:
            arriving.following.discard(follower)
            follower.failures += arriving.arrival is BodyState.BROKEN
            ended = FlightResult.SHARED if arriving.arrival is BodyState.WHOLE else FlightResult.FAILED
            self._ask_again([follower], after(ended, follower.failures))

    def _continue(self, follower: Reader, arriving: SharedResponse) -> None:
        follower.arriving, follower.active = arriving, time.monotonic()
        self._push(follower)

    def _more(self, arriving: SharedResponse) -> None:
        following, arriving.following = arriving.following, set()
        for follower in following:
            if follower.arriving is None:
                self._wait_for_end(follower, arriving)
            else:
                self._push(follower)

    def _push(self, follower: Reader) -> None:
        """Send what there is, as long as the client takes it."""
        if not isolated(self._send_on, follower) and not follower.over:
            isolated(self._end, follower, Termination.UPSTREAM_BROKEN)

    def _send_on(self, follower: Reader) -> None:
        try:
            if not follower.answering:
                self._fill(follower)  # so that a small answer goes as one
            for _ in range(ROUNDS):
                if not self._send(follower):
                    self._watch(follower, True)
                    return
                if not self._fill(follower):
                    return
        except Aborted as cut:
            if follower.answering:
                self._end(follower, cut.end)
            else:
                self._start_over(follower)
        except OSError:
            self._end(follower, Termination.CLIENT_GONE)
        else:
            self._watch(follower, False)  # or it would be pushed twice, and ended twice
            self._push_soon(follower)

    def _push_soon(self, follower: Reader) -> None:
        """Go on sending once others have had their turn."""
        if not self._ready:
            self._loop.call(self._push_ready)
        self._ready.append(follower)

    def _push_ready(self) -> None:
        ready, self._ready = self._ready, []
        for follower in ready:
            self._push(follower)

    def _start_over(self, follower: Reader) -> None:
        """The fetch has failed, but the client has not seen anything of it."""
        self._watch(follower, False)
        if follower.arriving is not None:
            follower.arriving.leave(follower)
        follower.held, follower.at, follower.arriving = [], 0, None
        follower.failures += 1
        self._ask_again([follower], after(FlightResult.FAILED, follower.failures))

    def _send(self, follower: Reader) -> bool:
        """Send what is held; returns whether all of it could be."""
        held, sock, pace = follower.held, follower.client.sock, follower.client.pace
        while held:
            more = socket.MSG_MORE if len(held) > 1 else 0
            try:
                sent = sock.send(held[0], socket.MSG_DONTWAIT | more)
            except BlockingIOError:
                return False
            follower.active, follower.answering = time.monotonic(), True
            if pace is not None:
                pace.moved(sent)
            if sent < len(held[0]):
                held[0] = held[0][sent:]
            else:
                del held[0]
        return True

    def _fill(self, follower: Reader) -> bool:
        """Take more of the body; returns whether there is something to send."""
        arriving, held = follower.arriving, follower.held
        assert arriving is not None
        pieces, arrival = arriving.read(follower)
        if pieces:
            size = sum(map(len, pieces))
            follower.at += size
            if follower.framing == CHUNKED:
                pieces = [memoryview(b"%x\r\n" % size), *pieces, memoryview(b"\r\n")]
            held += pieces
            if len(held) > 1 and sum(map(len, held)) <= JOIN_BELOW:
                follower.held = [memoryview(b"".join(held))]
        elif arrival is BodyState.BROKEN:
            raise Aborted(Termination.UPSTREAM_BROKEN)
        elif arrival is BodyState.WHOLE and follower.framing == CHUNKED:
            held.append(memoryview(b"0\r\n\r\n"))
            follower.framing = 0
        elif held:
            return True
        elif arrival is BodyState.WHOLE:
            self._end(follower, Termination.DONE)
            return False
        else:
            return self._await_more(follower, arriving)
        return True

    def _await_more(self, follower: Reader, arriving: SharedResponse) -> bool:
        """Have a client told of what comes next; returns whether it has come just now."""
        self._watch(follower, False)
        arriving.following.add(follower)
        if arriving.arrival is BodyState.ON_ITS_WAY and arriving.size == follower.at:
            return False
        arriving.following.discard(follower)
        return True

    def _watch(self, follower: Reader, on: bool) -> None:
        if on and not follower.watched:
            self._loop.watch(follower.client.sock, select.EPOLLOUT, partial(self._writable, follower))
            self._blocked.add(follower)
            follower.waited_from = time.monotonic()
        elif follower.watched and not on:
            self._loop.forget(follower.client.sock)
            self._blocked.discard(follower)
        follower.watched = on

    def _writable(self, follower: Reader, _events: int, now: float) -> None:
        _count_wait(follower, now)
        self._push(follower)

    def _end(self, follower: Reader, end: Termination) -> None:
        """The exchange is over, well or not; its client goes back to the front."""
        follower.over = True
        self._watch(follower, False)
        client, exchange, arriving = follower.client, follower.exchange, follower.arriving
        if arriving is not None:
            arriving.following.discard(follower)
            arriving.leave(follower)
        exchange.end, exchange.ended = end, time.monotonic()
        exchange.sent = max(0, follower.at - sum(map(len, follower.held)))
        self.tally[end] += 1
        self.tally[str(exchange.status)] += 1
        if end is Termination.DONE and follower.keep:
            self._owner.give_back(client)
        elif end is Termination.DONE:
            self._owner.linger(client)
        else:
            if follower.framing == UNTIL_CLOSE:
                client.reset_on_close()
            self._owner.close(client)
        self._log(exchange)


def _count_wait(follower: Reader, now: float) -> None:
    """Tell the pace of a client how long it was waited for."""
    if follower.client.pace is not None:
        follower.client.pace.waited(now - follower.waited_from)
        follower.waited_from = now
