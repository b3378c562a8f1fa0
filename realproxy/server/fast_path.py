"""The fast path: requests that the event loop's thread ends itself, because nothing has to be waited for.

A hand-over to a worker and back costs more than a simple request does. So the loop's thread begins
with every request: it runs the same phases as a worker, but never waits. Most requests end here: fresh
hits, and small responses of upstreams to which a connection is kept. A request that would have to wait
goes on in a worker, at the phase it has reached.

Threads. All belongs to the loop's thread; a request and its client are a worker's once they are
submitted.
"""

from __future__ import annotations

import math
import time

from realproxy.downstream.connection import DownstreamConnection, State
from realproxy.errors import Termination
from realproxy.http1 import Malformed
from realproxy.proxying.context import Outcome, RequestContext
from realproxy.proxying.worker import ThreadState
from realproxy.runtime.isolation import report
from realproxy.server.connection_loop import ConnectionLoop
from realproxy.server.http_server import HttpServer
from realproxy.server.worker_pool import WorkerPool

# To name a member by its class is slow before Python 3.12.
_AWAITING = State.AWAITING
_NEXT, _WORKER, _AWAITED = Outcome.NEXT, Outcome.WORKER, Outcome.AWAITED
_PARKED, _SENDING = Outcome.PARKED, Outcome.SENDING


class FastPath:
    """Runs requests in the thread of `loop`, and leaves those that have to wait to `workers`.

    `server` takes new requests; it may be replaced at any time. `awaited` holds the requests that await an
    upstream without a thread.
    """

    def __init__(self, loop: ConnectionLoop, workers: WorkerPool, server: HttpServer) -> None:
        self._loop = loop
        self.server = server
        self._slots = workers.slots
        self._thread = ThreadState(self._slots)
        self.awaited: dict[int, RequestContext] = {}
        workers.count_with(self._thread)

    @property
    def answered(self) -> int:
        """Requests that needed no worker."""
        return sum(self._thread.tally.statuses.copy().values())

    def takes(self, client: DownstreamConnection) -> bool:
        """Begin with a request whose head has arrived; returns whether no worker is needed for now."""
        if client.trouble is not None or client.pace is not None or not client.inline:
            return False
        server, thread = self.server, self._thread
        client.state, thread.serving = _AWAITING, server.serve
        try:
            request = server.read_request(client, thread, may_block=False)
        except Malformed as error:
            client.trouble, thread.serving = error, None
            return False
        except Exception as fault:  # noqa: BLE001
            thread.serving = None
            report(fault)
            self._loop.close(client)
            return True
        return self._go_on(request)

    def go_on_sending(self, client: DownstreamConnection, *, expired: bool = False) -> None:
        """The client reads on, or (`expired`) has not done so in time."""
        request, client.suspended = client.suspended, None
        assert isinstance(request, RequestContext)
        if expired:
            client.unsent = []
            request.outcome, request.record.end = Outcome.CLOSE, Termination.CLIENT_SLOW
        self._go_on(request)

    def upstream_spoke(self, fd: int) -> None:
        """Something has happened on a connection that a response is awaited on."""
        request = self.awaited.pop(fd, None)
        if request is not None and not self._go_on(request):
            self._loop.submit(request.client)

    def sweep(self, now: float) -> float:
        """Have workers say so where an upstream has had its time; returns when a deadline is over next."""
        due = math.inf
        for fd, request in list(self.awaited.items()):
            if request.until > now:
                if request.round_trip is not None and request.round_trip.due is not None:
                    due = min(due, request.until)
            else:
                del self.awaited[fd]
                if request.round_trip is not None:
                    request.round_trip.is_late = True
                self._to_worker(request)
                self._loop.submit(request.client)
        return due

    def end(self) -> None:
        """Let go of what is still awaited; the loop is closing all clients."""
        for request in self.awaited.values():
            request.abandon()
        self.awaited.clear()

    def _go_on(self, request: RequestContext) -> bool:
        """Do what can be done, and see to the client; returns whether no worker is needed for now.

        A fault of the program costs this client its connection, as it does in a worker, and not the
        loop its thread.
        """
        server = request.generation
        self._thread.serving = server.serve
        try:
            outcome = server.advance(request)
        except Exception as fault:  # noqa: BLE001
            outcome = Outcome.CLOSE
            report(fault)
        if outcome is _WORKER:
            self._to_worker(request)
            self._thread.serving = None  # not before the request is in `under_way`
            return False
        if outcome is _AWAITED:
            self._await(request)
            self._thread.serving = None
            return True
        if outcome is _SENDING:
            request.generation.under_way.add(request)
            request.client.suspended = request
        self._thread.serving = None
        if request.has_slot:
            request.has_slot = False
            self._slots.release()
        if outcome is _SENDING:
            self._loop.await_reader(request.client)
            return True
        if outcome is _NEXT:
            self._loop.keep_alive_inline(request.client)
        elif outcome is Outcome.LINGER:
            self._loop.linger(request.client)
        elif outcome is not _PARKED:
            self._loop.close(request.client)
        return True

    def _await(self, request: RequestContext) -> None:
        """Have the loop report when the upstream says something."""
        trip = request.round_trip
        assert trip is not None
        assert trip.connection is not None
        connection = trip.connection
        self.awaited[connection.sock.fileno()] = request
        request.generation.under_way.add(request)
        if not request.until:
            request.until = time.monotonic() + trip.limits.answer_timeout
            if trip.due is not None:
                request.until = min(request.until, trip.due)
                self._loop.due = min(self._loop.due, request.until)
        if not connection.watched:
            self._loop.watch(connection)

    def _to_worker(self, request: RequestContext) -> None:
        """Leave a request to a worker, which will wait for the upstream itself."""
        request.generation.under_way.add(request)
        trip = request.round_trip
        if trip is not None and trip.connection is not None and trip.connection.watched:
            self._loop.unwatch(trip.connection)
        request.client.suspended = request
