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
from realproxy.messages.tally import Tally
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
    tally : Tally
        What the fan-out thread has counted.
    """

    def __init__(
        self,
        owner: Owner,
        submit: Callable[[DownstreamConnection], None],
        log: Callable[[RequestRecord], None],
        idle_timeout: float,
    ) -> None:
        self._owner, self._submit, self._log, self.idle_timeout = owner, submit, log, idle_timeout
        self.tally = Tally()
        self._waiting: set[Reader] = set()
        self._blocked: set[Reader] = set()
        self._ready: list[Reader] = []
        self._loop = EventLoop("proxy-follow")
        self._loop.at_stop.append(self._end_all)
        self._loop.call(lambda: self._sweep(time.monotonic()))

    # --- called by workers ----------------------------------------------------------------------

    def wait(self, reader: Reader) -> None:
        """A client waits for a flight."""
        self._loop.call(partial(self._wait, reader))

    def give(self, readers: Sequence[Reader], shared: SharedResponse) -> None:
        """An answer has begun that does for these."""
        self._loop.call(partial(self._begin, readers, shared))

    def take_over(self, reader: Reader, shared: SharedResponse) -> None:
        """Go on with a client that does not read as fast as the body arrives."""
        self._loop.call(partial(self._continue, reader, shared))

    def more(self, shared: SharedResponse) -> None:
        """More of a body has come, or its end."""
        self._loop.call(partial(self._more, shared))

    def ask_again(self, readers: Sequence[Reader], turn: Decision) -> None:
        """Have workers look at requests once more."""
        self._loop.call(partial(self._ask_again, readers, turn))

    @property
    def closing(self) -> bool:
        """Whether nothing is to be begun any more."""
        return self._owner.aborting

    def stop(self) -> None:
        """End the thread, and the requests that still wait."""
        self._loop.stop()

    # --- the thread -----------------------------------------------------------------------------

    def _end_all(self) -> None:
        waiting = [reader for reader in self._waiting if reader.collapser.leave(reader)]
        for reader in [*self._blocked, *self._ready, *waiting]:
            isolated(self._end, reader, Termination.STOPPED)

    def _wait(self, reader: Reader) -> None:
        self._waiting.add(reader)
        self._loop.at(reader.until, partial(self._time_out, reader))

    def _time_out(self, reader: Reader, _now: float) -> None:
        """Have a client that has waited long enough fetch for itself."""
        self._waiting.discard(reader)
        if reader.collapser.leave(reader):
            self._ask_again([reader], Decision.ALONE)

    def _sweep(self, now: float) -> None:
        """Cut off clients that do not read, or read too slowly."""
        self._loop.at(now + TICK, self._sweep)
        for reader in list(self._blocked):
            _count_wait(reader, now)
            pace = reader.client.pace
            if now - reader.active > self.idle_timeout or (pace is not None and pace.time_left <= 0):
                self._end(reader, Termination.CLIENT_SLOW)

    def _ask_again(self, readers: Iterable[Reader], turn: Decision) -> None:
        for reader in readers:
            reader.decision, reader.shared = turn, None
            client, request = reader.client, reader.request
            if self.closing:
                self._end(reader, Termination.STOPPED)
                continue
            reader.has_waited = True
            request.keep, client.suspended = reader.keep, request
            client.state = State.WORKING
            reader.collapser.asked_again += 1
            self._submit(client)
        self._owner.wake()  # which starts threads, should they be missing

    # --- sending --------------------------------------------------------------------------------

    def _begin(self, readers: Iterable[Reader], shared: SharedResponse) -> None:
        now = time.monotonic()
        for reader in readers:
            if reader.whole_only:
                self._wait_for_end(reader, shared)
                continue
            reader.shared = shared
            reader.framing, reader.active = shared.framing, now
            record, head = reader.record, reader.head
            record.status = shared.status
            record.cache += "; collapsed"
            reader.keep = reader.keep and not reader.client.leaving
            added = status_field(record.cache) + connection_field(head, reader.keep)
            age = max(0.0, now - shared.born)
            reader.held = [memoryview(b"%bAge: %d\r\n%b\r\n" % (shared.head, age, added))]
            shared.enter(reader)
            reader.collapser.collapsed += 1
            self._push(reader)

    def _wait_for_end(self, reader: Reader, shared: SharedResponse) -> None:
        shared.caught_up.add(reader)
        if shared.arrival is not BodyState.ON_ITS_WAY:
            shared.caught_up.discard(reader)
            reader.failures += shared.arrival is BodyState.BROKEN
            ended = FlightResult.SHARED if shared.arrival is BodyState.WHOLE else FlightResult.FAILED
            self._ask_again([reader], after(ended, reader.failures))

    def _continue(self, reader: Reader, shared: SharedResponse) -> None:
        reader.shared, reader.active = shared, time.monotonic()
        self._push(reader)

    def _more(self, shared: SharedResponse) -> None:
        readers, shared.caught_up = shared.caught_up, set()
        for reader in readers:
            if reader.shared is None:
                self._wait_for_end(reader, shared)
            else:
                self._push(reader)

    def _push(self, reader: Reader) -> None:
        """Send what there is, as long as the client takes it."""
        if not isolated(self._send_on, reader) and not reader.over:
            isolated(self._end, reader, Termination.UPSTREAM_BROKEN)

    def _send_on(self, reader: Reader) -> None:
        try:
            if not reader.answering:
                self._fill(reader)  # so that a small answer goes as one
            for _ in range(ROUNDS):
                if not self._send(reader):
                    self._watch(reader, True)
                    return
                if not self._fill(reader):
                    return
        except Aborted as cut:
            if reader.answering:
                self._end(reader, cut.end)
            else:
                self._start_over(reader)
        except OSError:
            self._end(reader, Termination.CLIENT_GONE)
        else:
            self._watch(reader, False)  # or it would be pushed twice, and ended twice
            self._push_soon(reader)

    def _push_soon(self, reader: Reader) -> None:
        """Go on sending once others have had their turn."""
        if not self._ready:
            self._loop.call(self._push_ready)
        self._ready.append(reader)

    def _push_ready(self) -> None:
        ready, self._ready = self._ready, []
        for reader in ready:
            self._push(reader)

    def _start_over(self, reader: Reader) -> None:
        """The fetch has failed, but the client has not seen anything of it."""
        self._watch(reader, False)
        if reader.shared is not None:
            reader.shared.leave(reader)
        reader.held, reader.at, reader.shared = [], 0, None
        reader.failures += 1
        self._ask_again([reader], after(FlightResult.FAILED, reader.failures))

    def _send(self, reader: Reader) -> bool:
        """Send what is held; returns whether all of it could be."""
        held, sock, pace = reader.held, reader.client.sock, reader.client.pace
        while held:
            more = socket.MSG_MORE if len(held) > 1 else 0
            try:
                sent = sock.send(held[0], socket.MSG_DONTWAIT | more)
            except BlockingIOError:
                return False
            reader.active, reader.answering = time.monotonic(), True
            if pace is not None:
                pace.moved(sent)
            if sent < len(held[0]):
                held[0] = held[0][sent:]
            else:
                del held[0]
        return True

    def _fill(self, reader: Reader) -> bool:
        """Take more of the body; returns whether there is something to send."""
        shared, held = reader.shared, reader.held
        assert shared is not None
        pieces, arrival = shared.read(reader)
        if pieces:
            size = sum(map(len, pieces))
            reader.at += size
            if reader.framing == CHUNKED:
                pieces = [memoryview(b"%x\r\n" % size), *pieces, memoryview(b"\r\n")]
            held += pieces
            if len(held) > 1 and sum(map(len, held)) <= JOIN_BELOW:
                reader.held = [memoryview(b"".join(held))]
        elif arrival is BodyState.BROKEN:
            raise Aborted(Termination.UPSTREAM_BROKEN)
        elif arrival is BodyState.WHOLE and reader.framing == CHUNKED:
            held.append(memoryview(b"0\r\n\r\n"))
            reader.framing = 0
        elif held:
            return True
        elif arrival is BodyState.WHOLE:
            self._end(reader, Termination.DONE)
            return False
        else:
            return self._await_more(reader, shared)
        return True

    def _await_more(self, reader: Reader, shared: SharedResponse) -> bool:
        """Have a client told of what comes next; returns whether it has come just now."""
        self._watch(reader, False)
        shared.caught_up.add(reader)
        if shared.arrival is BodyState.ON_ITS_WAY and shared.size == reader.at:
            return False
        shared.caught_up.discard(reader)
        return True

    def _watch(self, reader: Reader, on: bool) -> None:
        if on and not reader.watched:
            self._loop.watch(reader.client.sock, select.EPOLLOUT, partial(self._writable, reader))
            self._blocked.add(reader)
            reader.waited_from = time.monotonic()
        elif reader.watched and not on:
            self._loop.forget(reader.client.sock)
            self._blocked.discard(reader)
        reader.watched = on

    def _writable(self, reader: Reader, _events: int, now: float) -> None:
        _count_wait(reader, now)
        self._push(reader)

    def _end(self, reader: Reader, end: Termination) -> None:
        """The exchange is over, well or not; its client goes back to the front."""
        reader.over = True
        self._watch(reader, False)
        client, record, shared = reader.client, reader.record, reader.shared
        if shared is not None:
            shared.caught_up.discard(reader)
            shared.leave(reader)
        client.send_filters.clear()
        reader.request.ended_elsewhere()
        record.finish(end)
        record.sent = max(0, reader.at - sum(map(len, reader.held)))
        self.tally.add(record)
        if end is Termination.DONE and reader.keep:
            self._owner.give_back(client)
        elif end is Termination.DONE:
            self._owner.linger(client)
        else:
            if reader.framing == UNTIL_CLOSE:
                client.reset_on_close()
            self._owner.close(client)
        self._log(record)


def _count_wait(reader: Reader, now: float) -> None:
    """Tell the pace of a client how long it was waited for."""
    if reader.client.pace is not None:
        reader.client.pace.waited(now - reader.waited_from)
        reader.waited_from = now
