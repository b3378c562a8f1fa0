"""Two upstreams for one request: the first answer counts, the other is cancelled.

Runs in the worker that owns the client; it owns both connections until one has won.
"""

from __future__ import annotations

import select
import time
from collections.abc import Container, Sequence

from realproxy.errors import Termination, UpstreamError
from realproxy.net.tls import TlsSocket
from realproxy.upstream.connection import UpstreamConnection
from realproxy.upstream.pool import ConnectionPool
from realproxy.upstream.target import UpstreamTarget


class _Try:
    """One of two requests, on a connection that may not be there yet.

    Parameters
    ----------
    connection : UpstreamConnection
        Closed by `HedgedWait`, unless it wins.
    until : float
        When it is too late for an answer, on the monotonic clock.
    request : bytes
        What to send once it is connected; empty if that has been done.
    """

    __slots__ = ("connection", "request", "until")

    def __init__(self, connection: UpstreamConnection, until: float, request: bytes = b"") -> None:
        self.connection, self.until, self.request = connection, until, request

    def ready(self, events: Container[int]) -> bool:
        """Whether it can go on, by the descriptors that something has happened to."""
        sock = self.connection.sock
        if sock.fileno() not in events:
            return False
        return bool(self.request) or not isinstance(sock, TlsSocket) or sock.has_news()

    def step(self, pool: ConnectionPool, ready: bool) -> bool:
        """What was waited for has come, or (not `ready`) the time is over.

        Returns
        -------
        bool
            Whether the answer begins.

        Raises
        ------
        UpstreamError
            When it has failed.
        """
        if not ready:
            raise UpstreamError(504, Termination.UPSTREAM_SLOW, "the upstream did not answer in time")
        if not self.request:
            self.connection.receive()
            return True
        pool.finish_connect(self.connection)
        self.connection.send([self.request])
        self.request = b""
        return False


class HedgedWait:
    """The wait for the first answer of two.

    Parameters
    ----------
    pool : ConnectionPool
        Of upstream connections.
    way : UpstreamTarget
        Knows where else to ask, and is told what came of it.
    timeout : float
        Seconds that each upstream has for the first bytes of its answer.
    """

    def __init__(self, pool: ConnectionPool, way: UpstreamTarget, timeout: float) -> None:
        self._pool, self._way, self._timeout = pool, way, timeout
        self._legs: list[_Try] = []

    def first_answer(self, first: UpstreamConnection, after: float) -> UpstreamConnection:
        """Wait for the first bytes of an answer.

        Parameters
        ----------
        first : UpstreamConnection
            Has been sent the request.
        after : float
            Seconds that it has alone.

        Returns
        -------
        UpstreamConnection
            The one with the answer; the other is closed.

        Raises
        ------
        UpstreamError
            If neither answers; both are closed.
        """
        now = time.monotonic()
        leg = _Try(first, now + self._timeout)
        self._legs = [leg]
        try:
            if not any(ready for _, ready in self._wait(now + min(after, self._timeout))):
                self._begin_second()
            while True:
                for leg, ready in self._wait(min(leg.until for leg in self._legs)):
                    if self._step(leg, ready):
                        return leg.connection
        finally:
            for leg in self._legs:
                self._pool.close(leg.connection)

    def _begin_second(self) -> None:
        addresses, request = self._way.hedge()
        try:
            connection = self._pool.connect_async(addresses)
        except UpstreamError:
            self._way.drop(True)
            return
        self._legs.append(_Try(connection, time.monotonic() + self._timeout, request))

    def _step(self, leg: _Try, ready: bool) -> bool:
        """Let a leg go on; returns whether it has won. Raises `UpstreamError` if it was the last one."""
        is_first = leg is self._legs[0]
        try:
            if not leg.step(self._pool, ready):
                return False
        except UpstreamError:
            if len(self._legs) == 1:
                raise
            self._legs.remove(leg)
            self._pool.close(leg.connection)
            self._tell(is_first, True)
            return False
        self._legs.remove(leg)
        if self._legs:
            self._tell(not is_first, None)
        return True

    def _tell(self, first_is_out: bool, failed: bool | None) -> None:
        """One of the two is out of the race: it has failed, or (None) is cancelled."""
        if first_is_out:
            self._way.swap(failed)
        else:
            self._way.drop(failed)

    def _wait(self, until: float) -> Sequence[tuple[_Try, bool]]:
        """Wait for something to do; returns the legs that can go on, and those whose time is over."""
        poller = select.poll()
        for leg in self._legs:
            poller.register(leg.connection.sock, select.POLLOUT if leg.request else select.POLLIN)
        while True:
            with self._pool.waits.blocking():
                events = dict(poller.poll(max(until - time.monotonic(), 0.0) * 1000))
            now = time.monotonic()
            legs = [(leg, leg.ready(events)) for leg in self._legs]
            found = [(leg, ready) for leg, ready in legs if ready or leg.until <= now]
            if found or now >= until:
                return found
