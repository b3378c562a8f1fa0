"""Sends one fetched response to all clients that wait for it, while it arrives.

Threads. A client in state FOLLOWING belongs to the fan-out thread. It goes back to the workers
(`_look_up_again`) or to the event loop. Other threads only queue calls. The thread waits in epoll alone, so
clients that wait need no worker, and a client that reads slowly delays no other.
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
from realproxy.messages.record import RequestRecord, Tally
from realproxy.runtime.event_loop import EventLoop
from realproxy.runtime.isolation import isolated
from realproxy.runtime.sockets import JOIN_BELOW

TICK = 0.25
"""Seconds between two sweeps for clients that do not read."""
ROUNDS = 4
"""Reads from a body for one client, before the other clients are served."""


class Fanout:
    """Sends responses, in the thread of one event loop, to clients that waited for another client's fetch.

    `owner` takes clients back, and `submit` takes those whose request a worker is to look up again. `log`
    takes the record of a request that has ended. A client may read nothing for `idle_timeout` seconds.
    """

    def __init__(
        self, owner: Owner, submit: Callable[[DownstreamConnection], None],
        log: Callable[[RequestRecord], None], idle_timeout: float,
    ) -> None:  # fmt: skip
        self._owner, self._submit, self._log, self.idle_timeout = owner, submit, log, idle_timeout
        self.tally = Tally()  # written by the fan-out thread
        self._waiting: set[Reader] = set()
        self._blocked: set[Reader] = set()
        self._ready: list[Reader] = []
        self._loop = EventLoop("proxy-follow")
        self._loop.at_stop.append(self._end_all)
        self._loop.call(lambda: self._sweep(time.monotonic()))

    # --- called by other threads ----------------------------------------------------------------

    def wait(self, reader: Reader) -> None:
        """Park a request that waits for a flight."""
        self._loop.call(partial(self._wait, reader))

    def begin(self, readers: Sequence[Reader], shared: SharedResponse) -> None:
        """Answer parked requests with a response that has begun."""
        self._loop.call(partial(self._begin, readers, shared))

    def take_over(self, reader: Reader, shared: SharedResponse) -> None:
        """Go on with a client that takes its response more slowly than the body arrives."""
        self._loop.call(partial(self._continue, reader, shared))

    def notify(self, shared: SharedResponse) -> None:
        """More of a body has arrived, or its end."""
        self._loop.call(partial(self._push_all, shared))

    def look_up_again(self, readers: Sequence[Reader], decision: Decision) -> None:
        """Have workers look up the requests again, with what was decided about them."""
        self._loop.call(partial(self._look_up_again, readers, decision))

    @property
    def closing(self) -> bool:
        """Whether the proxy aborts what is under way."""
        return self._owner.aborting

    def stop(self) -> None:
        """End the requests that still wait, and the thread."""
        self._loop.stop()

    # --- the fan-out thread ---------------------------------------------------------------------

    def _end_all(self) -> None:
        waiting = [reader for reader in self._waiting if reader.collapser.leave(reader)]
        for reader in [*self._blocked, *self._ready, *waiting]:
            isolated(self._end, reader, Termination.STOPPED)

    def _wait(self, reader: Reader) -> None:
        self._waiting.add(reader)
        self._loop.at(reader.until, partial(self._time_out, reader))

    def _time_out(self, reader: Reader, _now: float) -> None:
        """The request has waited long enough: it fetches for itself."""
        self._waiting.discard(reader)
        if reader.collapser.leave(reader):
            self._look_up_again([reader], Decision.ALONE)

    def _sweep(self, now: float) -> None:
        """Cut off clients that do not read, or read too slowly."""
        self._loop.at(now + TICK, self._sweep)
        for reader in list(self._blocked):
            _count_wait(reader, now)
            pace = reader.client.pace
            if now - reader.last_progress > self.idle_timeout or (pace is not None and pace.time_left <= 0):
                self._end(reader, Termination.CLIENT_SLOW)

    def _look_up_again(self, readers: Iterable[Reader], decision: Decision) -> None:
        for reader in readers:
            reader.decision, reader.shared = decision, None
            client, request = reader.client, reader.request
            if self.closing:
                self._end(reader, Termination.STOPPED)
                continue
            reader.has_waited = True
            request.keep, client.suspended = reader.keep, request
            client.state = State.WORKING
            self._submit(client)
        self._owner.wake()  # the event loop starts threads, if too few are left

    # --- sending --------------------------------------------------------------------------------

    def _begin(self, readers: Iterable[Reader], shared: SharedResponse) -> None:
        now = time.monotonic()
        for reader in readers:
            if reader.whole_only:
                self._wait_for_end(reader, shared)
                continue
            reader.shared = shared
            reader.framing, reader.last_progress = shared.framing, now
            record, entry = reader.record, shared.entry
            record.status = entry.status
            record.cache += "; collapsed"
            reader.keep = reader.keep and not reader.client.leaving
            added = status_field(record.cache, reader.collapser.name)
            added += connection_field(reader.head, reader.keep)
            head = b"%bAge: %d\r\n%b\r\n" % (entry.head, entry.age(now), added)
            reader.pending = [memoryview(reader.request.edit(head))]
            shared.set_offset(reader, 0)
            reader.collapser.collapsed += 1
            self._push(reader)

    def _wait_for_end(self, reader: Reader, shared: SharedResponse) -> None:
        shared.caught_up.add(reader)
        if shared.state is not BodyState.ON_ITS_WAY:
            shared.caught_up.discard(reader)
            reader.failures += shared.state is BodyState.BROKEN
            ended = FlightResult.SHARED if shared.state is BodyState.WHOLE else FlightResult.FAILED
            self._look_up_again([reader], after(ended, reader.failures))

    def _continue(self, reader: Reader, shared: SharedResponse) -> None:
        reader.shared, reader.last_progress = shared, time.monotonic()
        self._push(reader)

    def _push_all(self, shared: SharedResponse) -> None:
        readers, shared.caught_up = shared.caught_up, set()
        for reader in readers:
            if reader.shared is None:
                self._wait_for_end(reader, shared)
            else:
                self._push(reader)

    def _push(self, reader: Reader) -> None:
        """Send what has arrived, as long as the client takes it. A fault of the program costs one client."""
        if not isolated(self._send_on, reader) and not reader.is_over:
            isolated(self._end, reader, Termination.UPSTREAM_BROKEN)

    def _send_on(self, reader: Reader) -> None:
        try:
            if not reader.has_begun:
                self._fill(reader)  # so that a small response is sent at once
            for _ in range(ROUNDS):
                if not self._send(reader):
                    self._watch(reader, True)
                    return
                if not self._fill(reader):
                    return
        except Aborted as aborted:
            if reader.has_begun:
                self._end(reader, aborted.end)
            else:
                self._start_over(reader)
        except OSError:
            self._end(reader, Termination.CLIENT_GONE)
        else:
            self._watch(reader, False)  # else it would be pushed twice, and ended twice
            if not self._ready:
                self._loop.call(self._push_ready)
            self._ready.append(reader)  # it goes on once the other clients are served

    def _push_ready(self) -> None:
        ready, self._ready = self._ready, []
        for reader in ready:
            self._push(reader)

    def _start_over(self, reader: Reader) -> None:
        """The fetch has failed before the client was sent anything."""
        self._watch(reader, False)
        if reader.shared is not None:
            reader.shared.remove(reader)
        reader.pending, reader.offset, reader.shared = [], 0, None
        reader.failures += 1
        self._look_up_again([reader], after(FlightResult.FAILED, reader.failures))

    def _send(self, reader: Reader) -> bool:
        """Send what is pending; returns whether the client took all of it."""
        pending, sock, pace = reader.pending, reader.client.sock, reader.client.pace
        while pending:
            more = socket.MSG_MORE if len(pending) > 1 else 0
            try:
                sent = sock.send(pending[0], socket.MSG_DONTWAIT | more)
            except BlockingIOError:
                return False
            reader.last_progress, reader.has_begun = time.monotonic(), True
            if pace is not None:
                pace.moved(sent)
            if sent < len(pending[0]):
                pending[0] = pending[0][sent:]
            else:
                del pending[0]
        return True

    def _fill(self, reader: Reader) -> bool:
        """Take more of the body; returns whether there is something to send."""
        shared, pending = reader.shared, reader.pending
        assert shared is not None
        pieces, state = shared.read(reader)
        if pieces:
            size = sum(map(len, pieces))
            reader.offset += size
            if reader.framing == CHUNKED:
                pieces = [memoryview(b"%x\r\n" % size), *pieces, memoryview(b"\r\n")]
            pending += pieces
            if len(pending) > 1 and sum(map(len, pending)) <= JOIN_BELOW:
                reader.pending = [memoryview(b"".join(pending))]
        elif state is BodyState.BROKEN:
            raise Aborted(Termination.UPSTREAM_BROKEN)
        elif state is BodyState.WHOLE and reader.framing == CHUNKED:
            pending.append(memoryview(b"0\r\n\r\n"))
            reader.framing = 0
        elif pending:
            return True
        elif state is BodyState.WHOLE:
            self._end(reader, Termination.DONE)
            return False
        else:
            return self._await_more(reader, shared)
        return True

    def _await_more(self, reader: Reader, shared: SharedResponse) -> bool:
        """Have `notify` wake the reader; returns whether more has arrived just now."""
        self._watch(reader, False)
        shared.caught_up.add(reader)
        if shared.state is BodyState.ON_ITS_WAY and shared.size == reader.offset:
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
        """End the request; its client goes back to the event loop."""
        reader.is_over = True
        self._watch(reader, False)
        client, record, shared = reader.client, reader.record, reader.shared
        if shared is not None:
            shared.caught_up.discard(reader)
            shared.remove(reader)
        client.send_filters.clear()
        reader.request.ended_elsewhere()
        record.finish(end)
        record.sent = max(0, reader.offset - sum(map(len, reader.pending)))
        self.tally.add(record)
        if end is Termination.DONE and reader.keep:
            self._owner.keep_alive_or_submit(client)
        elif end is Termination.DONE:
            self._owner.linger(client)
        else:
            if reader.framing == UNTIL_CLOSE:
                client.reset_on_close()
            self._owner.close(client)
        self._log(record)


def _count_wait(reader: Reader, now: float) -> None:
    """Count the time that the fan-out thread has waited for the client against its minimum rate."""
    if reader.client.pace is not None:
        reader.client.pace.waited(now - reader.waited_from)
        reader.waited_from = now
