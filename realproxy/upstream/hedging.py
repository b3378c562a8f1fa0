"""Hedging: two upstreams get one request; the first response counts, the other request is cancelled.

Runs in the worker that owns the client. It owns both connections until one has won.
"""

from __future__ import annotations

import select
import time
from collections.abc import Container, Sequence

from realproxy.errors import Termination, UpstreamError
from realproxy.net.tls import TlsSocket
from realproxy.upstream.connection import UpstreamConnection
from realproxy.upstream.pool import ConnectionPool
from realproxy.upstream.service import Alternatives


class _Try:
    """One of the two requests, on a connection that may not be made yet.

    `HedgedWait` closes the connection unless the try wins. `deadline` is for the first bytes of the response,
    on the monotonic clock. `request` is to be sent once there is a connection, and empty afterwards.
    """

    __slots__ = ("connection", "deadline", "request")

    def __init__(self, connection: UpstreamConnection, deadline: float, request: bytes = b"") -> None:
        self.connection, self.deadline, self.request = connection, deadline, request

    def ready(self, events: Container[int]) -> bool:
        """Whether it can go on, given the descriptors with events."""
        sock = self.connection.sock
        if sock.fileno() not in events:
            return False
        return bool(self.request) or not isinstance(sock, TlsSocket) or sock.is_readable()

    def step(self, pool: ConnectionPool, ready: bool) -> bool:
        """Go on if `ready`, else the time is over; whether the response begins. Raises `UpstreamError`."""
        if not ready:
            raise UpstreamError(504, Termination.UPSTREAM_SLOW, "the upstream did not answer in time")
        if not self.request:
            self.connection.receive()
            return True
        pool.finish_connect(self.connection)
        self.connection.send([self.request])
        self.request = b""
        return False


def hedged_wait(
    after: float, first: UpstreamConnection, pool: ConnectionPool, target: Alternatives, timeout: float
) -> UpstreamConnection:
    """Wait as `FirstResponse` says; after `after` seconds a second upstream is asked too."""
    return HedgedWait(pool, target, timeout).first_response(first, after)


class HedgedWait:
    """The wait for the first of two responses. `target` picks the second upstream, and is told of both."""

    def __init__(self, pool: ConnectionPool, target: Alternatives, timeout: float) -> None:
        self._pool, self._target, self._timeout = pool, target, timeout
        self._tries: list[_Try] = []
        self._hedged = False

    def first_response(self, first: UpstreamConnection, after: float) -> UpstreamConnection:
        """Wait for the first bytes of a response; returns the connection that has them.

        The request was sent on `first`; the second request follows `after` so many seconds. The other
        connection is closed; both are if this raises `UpstreamError`.
        """
        now = time.monotonic()
        self._tries = [_Try(first, now + self._timeout)]
        try:
            if not any(ready for _, ready in self._wait(now + min(after, self._timeout))):
                self._start_second()
            while True:
                for one, ready in self._wait(min(one.deadline for one in self._tries)):
                    if self._step(one, ready):
                        return one.connection
        finally:
            for one in self._tries:
                self._pool.close(one.connection)

    def _start_second(self) -> None:
        self._hedged = True  # two upstreams have the request: it is not sent to one of them once more
        endpoint, request = self._target.hedge()
        try:
            connection = self._pool.connect_async(endpoint)
        except UpstreamError:
            self._target.drop(True)
            return
        self._tries.append(_Try(connection, time.monotonic() + self._timeout, request))

    def _step(self, one: _Try, ready: bool) -> bool:
        """Let a try go on; returns whether it has won. Raises `UpstreamError` if the last one fails."""
        is_first = one is self._tries[0]
        try:
            if not one.step(self._pool, ready):
                return False
        except UpstreamError as trouble:
            if len(self._tries) == 1:
                trouble.retry_safe = trouble.retry_safe and not self._hedged
                raise
            self._tries.remove(one)
            self._pool.close(one.connection)
            self._report(is_first, True)
            return False
        self._tries.remove(one)
        if self._tries:
            self._report(not is_first, None)
        return True

    def _report(self, first: bool, failed: bool | None) -> None:
        """Tell the target that the first or the second try has failed, or (None) is cancelled."""
        if first:
            self._target.swap(failed)
        else:
            self._target.drop(failed)

    def _wait(self, deadline: float) -> Sequence[tuple[_Try, bool]]:
        """Wait until `deadline` at most; returns tries that are ready (True) or out of time (False)."""
        poller = select.poll()
        for one in self._tries:
            poller.register(one.connection.sock, select.POLLOUT if one.request else select.POLLIN)
        while True:
            with self._pool.waits.blocking():
                events = dict(poller.poll(max(deadline - time.monotonic(), 0.0) * 1000))
            now = time.monotonic()
            tries = [(one, one.ready(events)) for one in self._tries]
            found = [(one, ready) for one, ready in tries if ready or one.deadline <= now]
            if found or now >= deadline:
                return found
