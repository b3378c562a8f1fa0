"""The pool of connections to upstreams: kept alive, one pool for all addresses.

Threads. A connection is owned by the worker that took it until it is put back or closed; idle
ones belong to the pool. Deques and sets are changed by single operations only, which the
interpreter makes atomic, so the pool has no lock.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence

from policies.settings import Limits
from realproxy.errors import Termination, UpstreamError
from realproxy.net.address import Address, Detour
from realproxy.net.dial import connect
from realproxy.net.resolver import Resolver
from realproxy.runtime.blocking import BlockedThreads
from realproxy.runtime.sockets import set_time_limits
from realproxy.upstream.connection import UpstreamConnection
from realproxy.upstream.transport import Beginning

MOST_IDLE = 256
"""Connections to one address that are kept while unused."""


class ConnectionPool:
    """Connections to upstreams, kept for the next request; the last one used goes first.

    Parameters
    ----------
    limits : Limits
        From the settings.
    waits : BlockedThreads
        Where waiting workers are counted.

    Attributes
    ----------
    resolver : Resolver
        Of names, for all that is dialled.
    unwatch : callable
        Has the front look no more at a connection that it took by `acquire_idle` before.
    """

    def __init__(self, limits: Limits, waits: BlockedThreads) -> None:
        self._limits, self.waits = limits, waits
        self.resolver = Resolver(limits.connect_timeout)
        self._idle: dict[Address, deque[UpstreamConnection]] = {}
        self._in_use: set[UpstreamConnection] = set()
        self._closed = False
        self.unwatch: Callable[[UpstreamConnection], None] = _not_watched

    def adopt(self, limits: Limits) -> None:
        """Keep other limits from now on."""
        self._limits = limits
        self.resolver.timeout = limits.connect_timeout

    def acquire(self, addresses: Sequence[Address], *, fresh: bool = False) -> UpstreamConnection:
        """A connection, idle or new.

        Parameters
        ----------
        addresses : sequence of Address
            Where to. Connections are kept under the first; the others are for when it cannot be
            reached.
        fresh : bool
            Never an idle one.

        Raises
        ------
        UpstreamError
            502 if it cannot be reached, 504 if not in time, 503 after `close_all`.
        """
        if self._closed:
            raise UpstreamError(503, Termination.STOPPED, "the proxy is stopping")
        kept = None if fresh else self._pop_unwatched(addresses[0])
        if kept is not None:
            return kept
        with self.waits.blocking():
            sock = self._dial(addresses)
        set_time_limits(sock, self._limits.answer_timeout, self._limits.answer_timeout)
        return self._use(UpstreamConnection(sock, addresses[0], self.waits))

    def _use(self, connection: UpstreamConnection) -> UpstreamConnection:
        """Take note of a new connection; raises `UpstreamError` if no more are taken by now."""
        self._in_use.add(connection)
        if self._closed:  # meanwhile: `abort` may not have met it
            self.close(connection)
            raise UpstreamError(503, Termination.STOPPED, "the proxy is stopping")
        return connection

    def _pop_idle(self, address: Address) -> UpstreamConnection | None:
        idle = self._idle.get(address)
        oldest = time.monotonic() - self._limits.upstream_idle
        while idle:
            try:
                connection = idle.pop()
            except IndexError:
                break
            if connection.idle_since >= oldest and connection.is_alive():
                connection.reused = True
                self._in_use.add(connection)
                return connection
            connection.sock.close()
        return None

    def _pop_unwatched(self, address: Address) -> UpstreamConnection | None:
        connection = self._pop_idle(address)
        if connection is not None and connection.watched:
            self.unwatch(connection)
        return connection

    def acquire_idle(self, address: Address) -> UpstreamConnection | None:
        """An idle connection, if there is one that needs no more than its socket; for the front thread."""
        return None if self._closed or isinstance(address, (Beginning, Detour)) else self._pop_idle(address)

    def connect_async(self, addresses: Sequence[Address]) -> UpstreamConnection:
        """Like `acquire`, but a new connection is not waited for: it can be written to once it is there.

        Before anything is sent on it, `finish_connect` must be called.
        """
        if isinstance(addresses[0], (Beginning, Detour)):
            return self.acquire(addresses)  # there is more to it than a connection
        if self._closed:
            raise UpstreamError(503, Termination.STOPPED, "the proxy is stopping")
        kept = self._pop_unwatched(addresses[0])
        if kept is not None:
            return kept
        with self.waits.blocking():
            host, port = self.resolver.resolve(addresses[0])[0]
        try:
            sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:  # no descriptors
            reason = (error.strerror or str(error)).lower()
            raise UpstreamError(503, Termination.OVERLOADED, f"no socket: {reason}") from None
        sock.setblocking(False)
        sock.connect_ex((host, port))  # what is wrong is known when it can be written to
        return self._use(UpstreamConnection(sock, addresses[0], self.waits))

    def finish_connect(self, connection: UpstreamConnection) -> None:
        """A connection that was begun can be written to; raises `UpstreamError` if it has failed."""
        sock = connection.sock
        try:
            sock.getpeername()
        except OSError:
            raise UpstreamError(
                502, Termination.UPSTREAM_UNREACHABLE, f"{connection.address[0]}: unreachable"
            ) from None
        sock.setblocking(True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        set_time_limits(sock, self._limits.answer_timeout, self._limits.answer_timeout)

    def _dial(self, addresses: Sequence[Address]) -> socket.socket:
        first = addresses[0]
        if isinstance(first, Detour):
            return first.dial()
        if isinstance(first, Beginning):
            return first.begin(self._dial([first.address]), self._limits.connect_timeout)
        return connect([*self.resolver.resolve(first), *addresses[1:]], self._limits.connect_timeout)

    def release(self, connection: UpstreamConnection) -> None:
        """Keep a connection whose answer was read to its end."""
        if isinstance(connection.address, Beginning) and not connection.address.kept:
            self.close(connection)
            return
        idle = self._idle.get(connection.address)
        if idle is None:
            idle = self._idle.setdefault(connection.address, deque())
        connection.idle_since = time.monotonic()
        connection.buffer = b""
        self._in_use.discard(connection)
        if connection.deadline is not None:
            connection.deadline = None
            set_time_limits(connection.sock, connection.timeout, connection.timeout)
        if self._closed or len(idle) >= MOST_IDLE:
            connection.sock.close()
        else:
            idle.append(connection)

    def close(self, connection: UpstreamConnection) -> None:
        """Close a connection that cannot carry another request."""
        self._in_use.discard(connection)
        connection.sock.close()

    def detach(self, connection: UpstreamConnection) -> socket.socket:
        """Let a connection go to a new owner, who closes it; returns its socket."""
        self._in_use.discard(connection)
        return connection.sock

    def reap(self, now: float) -> None:
        """Close what has been idle for too long; called now and then by one thread."""
        oldest = now - self._limits.upstream_idle
        for address, idle in self._idle.copy().items():
            while idle:
                try:
                    connection = idle.popleft()
                except IndexError:
                    break
                if connection.idle_since >= oldest:
                    idle.appendleft(connection)
                    break
                connection.sock.close()
            if not idle and len(self._idle) > 1024:
                self._idle.pop(address, None)

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return sum(len(idle) for idle in list(self._idle.values()))

    def abort(self) -> None:
        """Break the connections in use, so that their owners notice; no others are taken."""
        self._closed = True
        self.resolver.stop()
        for connection in list(self._in_use):
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def close_all(self) -> None:
        """Close all idle connections, now and when they are put back; no others are taken."""
        self._closed = True
        self.resolver.stop()
        for idle in list(self._idle.values()):
            while idle:
                idle.pop().sock.close()


def _not_watched(connection: UpstreamConnection) -> None:
    """Nobody watches: there is no front."""
