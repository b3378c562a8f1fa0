"""Clients that wait for another's fetch, and are sent what it brings while it arrives.

Threads. A client in state FOLLOWING belongs to the one thread of `Fanout`, from the moment in
which a worker has enlisted it; it goes back to the workers (`_ask_again`) or to the front. Other
threads only put messages into the queue. Nothing here waits but for the epoll set, so however
many wait, no worker is held, and who reads slowly delays nobody.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import queue
import select
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count

from policies.http_cache.collapsing import Decision, FlightResult, after
from realproxy.cache.cache_status import status_field
from realproxy.cache.shared_response import BodyState, Reader, SharedResponse
from realproxy.downstream.connection import DownstreamConnection, Owner, State
from realproxy.errors import Aborted, Termination
from realproxy.http1 import CHUNKED, UNTIL_CLOSE
from realproxy.messages.headers import connection_field
from realproxy.messages.record import RequestRecord
from realproxy.runtime.isolation import isolated
from realproxy.runtime.sockets import JOIN_BELOW

TICK = 0.25
"""Seconds between two sweeps for clients that do not read."""
ROUNDS = 4
"""Reads from a body that one client is sent before others get their turn."""

END_PATIENCE = 5.0
"""Seconds that the thread has to end."""


class Fanout:
    """The thread that sends answers to those who waited for another's fetch.

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
        self._messages: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._waiting: list[tuple[float, int, Reader]] = []
        self._numbers = count()
        self._blocked: dict[int, Reader] = {}
        self._ready: deque[Reader] = deque()
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._waking = threading.Lock()
        """Held around the use of `_wake`: a worker that is late must not write to another's descriptor."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="proxy-follow", daemon=True)
        self._thread.start()

    # --- called by workers ----------------------------------------------------------------------

    def wait(self, follower: Reader) -> None:
        """A client waits for a flight."""
        self._put(partial(self._wait, follower))

    def give(self, followers: Sequence[Reader], arriving: SharedResponse) -> None:
        """An answer has begun that does for these."""
        self._put(partial(self._begin, followers, arriving))

    def take_over(self, follower: Reader, arriving: SharedResponse) -> None:
        """Go on with a client that does not read as fast as the body arrives."""
        self._put(partial(self._continue, follower, arriving))

    def more(self, arriving: SharedResponse) -> None:
        """More of a body has come, or its end."""
        self._put(partial(self._more, arriving))

    def ask_again(self, followers: Sequence[Reader], turn: Decision) -> None:
        """Have workers look at requests once more."""
        self._put(partial(self._ask_again, followers, turn))

    @property
    def closing(self) -> bool:
        """Whether nothing is to be begun any more."""
        return self._owner.aborting

    def stop(self) -> None:
        """End the thread; clients that still wait are closed."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(END_PATIENCE)
        self._epoll.close()
        with self._waking:
            os.close(self._wake)
            self._wake = -1

    def _put(self, message: Callable[[], None]) -> None:
        self._messages.put(message)
        with self._waking:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        next_sweep = 0.0
        while not self._stopping:
            now = time.monotonic()
            patience = min(TICK, self._waiting[0][0] - now) if self._waiting else TICK
            for fd, _ in self._epoll.poll(0 if self._ready else max(0.0, patience), 256):
                if fd == self._wake:
                    self._take_messages()
                elif (follower := self._blocked.get(fd)) is not None:
                    _count_wait(follower, time.monotonic())
                    self._push(follower)
            for _ in range(len(self._ready)):
                self._push(self._ready.popleft())
            isolated(self._time_out, time.monotonic())
            if now >= next_sweep:
                next_sweep = now + TICK
                isolated(self._sweep, time.monotonic())
        self._take_messages()
        waiting = [follower for _, _, follower in self._waiting if follower.gathering.leave(follower)]
        for follower in [*self._blocked.values(), *self._ready, *waiting]:
            isolated(self._end, follower, Termination.STOPPED)

    def _take_messages(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        for _ in range(self._messages.qsize()):
            isolated(self._messages.get())

    def _wait(self, follower: Reader) -> None:
        heapq.heappush(self._waiting, (follower.until, next(self._numbers), follower))

    def _time_out(self, now: float) -> None:
        """Let those who have waited long enough ask for themselves."""
        while self._waiting and self._waiting[0][0] <= now:
            follower = heapq.heappop(self._waiting)[2]
            if follower.gathering.leave(follower):
                self._ask_again([follower], Decision.ALONE)

    def _sweep(self, now: float) -> None:
        """Cut off those who do not read, or too slowly."""
        for follower in list(self._blocked.values()):
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
            self._ready.append(follower)

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
        fd = follower.client.fd
        if on and not follower.watched:
            self._epoll.register(fd, select.EPOLLOUT)
            self._blocked[fd] = follower
            follower.waited_from = time.monotonic()
        elif follower.watched and not on:
            self._epoll.unregister(fd)
            del self._blocked[fd]
        follower.watched = on

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
