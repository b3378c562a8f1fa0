"""Two upstreams for one request: the first answer counts, the other is cancelled.

Runs in the worker that owns the client; it owns both connections until one has won.
"""

from __future__ import annotations

import select
import time
from collections.abc import Container, Sequence

from realproxy.errors import End, UpstreamTrouble
from realproxy.net.tls import TlsSocket
from realproxy.upstream.connection import Connection
from realproxy.upstream.pool import Pool
from realproxy.upstream.target import Way


class _Leg:
    """One of two requests, on a connection that may not be there yet.

    Parameters
    ----------
    connection : Connection
        Closed by `Hedging`, unless it wins.
    until : float
        When it is too late for an answer, on the monotonic clock.
    request : bytes
        What to send once it is connected; empty if that has been done.
    """

    __slots__ = ("connection", "request", "until")

    def __init__(self, connection: Connection, until: float, request: bytes = b"") -> None:
        self.connection, self.until, self.request = connection, until, request

    def ready(self, events: Container[int]) -> bool:
        """Whether it can go on, by the descriptors that something has happened to."""
        sock = self.connection.sock
        if sock.fileno() not in events:
            return False
        return bool(self.request) or not isinstance(sock, TlsSocket) or sock.has_news()

    def step(self, pool: Pool, ready: bool) -> bool:
        """What was waited for has come, or (not `ready`) the time is over.

        Returns
        -------
        bool
            Whether the answer begins.

        Raises
        ------
        UpstreamTrouble
            When it has failed.
        """
        if not ready:
            raise UpstreamTrouble(504, End.UPSTREAM_SLOW, "the upstream did not answer in time")
        if not self.request:
            self.connection.receive()
            return True
        pool.connected(self.connection)
        self.connection.send([self.request])
        self.request = b""
        return False


class Hedging:
    """The wait for the first answer of two.

    Parameters
    ----------
    pool : Pool
        Of upstream connections.
    way : Way
        Knows where else to ask, and is told what came of it.
    timeout : float
        Seconds that each upstream has for the first bytes of its answer.
    """

    def __init__(self, pool: Pool, way: Way, timeout: float) -> None:
        self._pool, self._way, self._timeout = pool, way, timeout
        self._legs: list[_Leg] = []

    def first_answer(self, first: Connection, after: float) -> Connection:
        """Wait for the first bytes of an answer.

        Parameters
        ----------
        first : Connection
            Has been sent the request.
        after : float
            Seconds that it has alone.

        Returns
        -------
        Connection
            The one with the answer; the other is closed.

        Raises
        ------
        UpstreamTrouble
            If neither answers; both are closed.
        """
        now = time.monotonic()
        leg = _Leg(first, now + self._timeout)
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
            connection = self._pool.begin(addresses)
        except UpstreamTrouble:
            self._way.drop(True)
            return
        self._legs.append(_Leg(connection, time.monotonic() + self._timeout, request))

    def _step(self, leg: _Leg, ready: bool) -> bool:
        """Let a leg go on; returns whether it has won. Raises `UpstreamTrouble` if it was the last one."""
        is_first = leg is self._legs[0]
        try:
            if not leg.step(self._pool, ready):
                return False
        except UpstreamTrouble:
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

    def _wait(self, until: float) -> Sequence[tuple[_Leg, bool]]:
        """Wait for something to do; returns the legs that can go on, and those whose time is over."""
        poller = select.poll()
        for leg in self._legs:
            poller.register(leg.connection.sock, select.POLLOUT if leg.request else select.POLLIN)
        while True:
            with self._pool.waits.unknown():
                events = dict(poller.poll(max(until - time.monotonic(), 0.0) * 1000))
            now = time.monotonic()
            legs = [(leg, leg.ready(events)) for leg in self._legs]
            found = [(leg, ready) for leg, ready in legs if ready or leg.until <= now]
            if found or now >= until:
                return found
