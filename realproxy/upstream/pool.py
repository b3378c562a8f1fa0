"""The pool of connections to upstreams: idle ones are kept for the next request to the same endpoint.

Threads. The thread that acquired a connection owns it until it releases or closes the connection. The pool
owns the idle ones. Deques and sets are changed only by single operations, which the interpreter makes
atomic, so the pool has no lock.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

from policies.settings import Limits
from realproxy.errors import Termination, UpstreamError
from realproxy.net.address import Address
from realproxy.net.dial import no_socket, start_connect
from realproxy.net.resolver import Resolver
from realproxy.runtime.blocking import BlockedThreads
from realproxy.runtime.sockets import set_time_limits
from realproxy.upstream.connection import UpstreamConnection
from realproxy.upstream.endpoint import Endpoint

MOST_IDLE = 256
"""Idle connections that are kept for one endpoint."""
MOST_KEYS = 1024
"""Endpoints without idle connections that `reap` leaves in the table."""


class ConnectionPool:
    """Connections to upstreams; the one that was released last is used first.

    `resolver` is for the names of all endpoints. `unwatch` makes the event loop stop watching a connection.
    """

    def __init__(self, limits: Limits, waits: BlockedThreads) -> None:
        self._limits, self.waits = limits, waits
        self.resolver = Resolver(limits.connect_timeout)
        self._idle: dict[Address, deque[UpstreamConnection]] = {}
        self._in_use: set[UpstreamConnection] = set()
        self._closed = threading.Event()
        self.unwatch: Callable[[UpstreamConnection], None] = lambda _: None

    def adopt(self, limits: Limits) -> None:
        """Use these limits from now on."""
        self._limits = limits
        self.resolver.timeout = limits.connect_timeout

    def acquire(
        self, endpoint: Endpoint, *, fresh: bool = False, seconds: float = math.inf
    ) -> UpstreamConnection:
        """A connection, idle or new, within so many `seconds`; always a new one if `fresh`.

        Raises `UpstreamError`: 502 if the endpoint cannot be reached, 504 if not in time, 503 after
        `abort` or `close_all`.
        """
        self._check_open()
        idle = None if fresh else self._pop_unwatched(endpoint)
        if idle is not None:
            return idle
        with self.waits.blocking():
            sock = endpoint.dial(self.resolver, min(self._limits.connect_timeout, seconds))
        with contextlib.ExitStack() as undo:
            undo.callback(sock.close)
            set_time_limits(sock, self._limits.answer_timeout, self._limits.answer_timeout)
            undo.pop_all()
        return self._add(UpstreamConnection(sock, endpoint, self.waits))

    def pause(self, seconds: float) -> None:
        """Wait so long, or until `abort` or `close_all`, which `acquire` then tells of."""
        with self.waits.blocking():
            self._closed.wait(seconds)

    def acquire_idle(self, endpoint: Endpoint) -> UpstreamConnection | None:
        """An idle connection to a plain endpoint, or None; never waits."""
        return self._pop_idle(endpoint) if endpoint.plain and not self._closed.is_set() else None

    def connect_async(self, endpoint: Endpoint) -> UpstreamConnection:
        """Like `acquire`, but a new connection to a plain endpoint is only begun.

        Wait until the socket is writable, then call `finish_connect`, then send.
        """
        if not endpoint.plain:
            return self.acquire(endpoint)
        self._check_open()
        idle = self._pop_unwatched(endpoint)
        if idle is not None:
            return idle
        with self.waits.blocking():
            address = self.resolver.in_turn(endpoint.addresses[0])[0]
        try:
            sock, _ = start_connect(address)  # `finish_connect` meets a failure
        except OSError as error:
            raise no_socket(error) from None
        return self._add(UpstreamConnection(sock, endpoint, self.waits))

    def finish_connect(self, connection: UpstreamConnection) -> None:
        """The socket is writable: finish the connection; raises `UpstreamError` 502 if it has failed."""
        sock = connection.sock
        try:
            sock.getpeername()
        except OSError:
            host = connection.endpoint.addresses[0][0]
            raise UpstreamError(502, Termination.UPSTREAM_UNREACHABLE, f"{host}: unreachable") from None
        sock.setblocking(True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        set_time_limits(sock, self._limits.answer_timeout, self._limits.answer_timeout)

    def release(self, connection: UpstreamConnection) -> None:
        """Keep a connection whose response was read to its end."""
        endpoint = connection.endpoint
        if not endpoint.kept:
            self.close(connection)
            return
        idle = self._idle.get(endpoint.key)
        if idle is None:
            idle = self._idle.setdefault(endpoint.key, deque())
        connection.idle_since = time.monotonic()
        connection.buffer = b""
        self._in_use.discard(connection)
        connection.deadline = None
        if connection.limited:
            connection.limited = False
            try:
                set_time_limits(connection.sock, self._limits.answer_timeout, self._limits.answer_timeout)
            except OSError:
                connection.sock.close()
                return
        if self._closed.is_set() or len(idle) >= MOST_IDLE:
            connection.sock.close()
            return
        idle.append(connection)
        if self._closed.is_set():  # meanwhile: `close_all` may have missed it
            _close_each(idle)

    def close(self, connection: UpstreamConnection) -> None:
        """Close a connection that cannot carry another request."""
        self._in_use.discard(connection)
        connection.sock.close()

    def detach(self, connection: UpstreamConnection) -> socket.socket:
        """Give a connection's socket to a new owner, which closes it."""
        self._in_use.discard(connection)
        return connection.sock

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise UpstreamError(503, Termination.STOPPED, "the proxy is stopping")

    def _add(self, connection: UpstreamConnection) -> UpstreamConnection:
        self._in_use.add(connection)
        if self._closed.is_set():  # meanwhile: `abort` may have missed the new connection
            self.close(connection)
            self._check_open()
        return connection

    def _pop_idle(self, endpoint: Endpoint) -> UpstreamConnection | None:
        idle = self._idle.get(endpoint.key)
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

    def _pop_unwatched(self, endpoint: Endpoint) -> UpstreamConnection | None:
        connection = self._pop_idle(endpoint)
        if connection is not None and connection.watched:
            self.unwatch(connection)
        return connection

    def reap(self, now: float) -> None:
        """Close the connections that have been idle for too long; only one thread calls this."""
        oldest = now - self._limits.upstream_idle
        for key, idle in self._idle.copy().items():
            while idle:
                try:
                    connection = idle.popleft()
                except IndexError:
                    break
                if connection.idle_since >= oldest:
                    idle.appendleft(connection)
                    break
                connection.sock.close()
            if not idle and len(self._idle) > MOST_KEYS:
                self._idle.pop(key, None)

    @property
    def idle(self) -> int:
        """Idle connections."""
        return sum(len(idle) for idle in list(self._idle.values()))

    def abort(self) -> None:
        """Shut down the connections in use, so that their owners notice. No more can be acquired."""
        self._closed.set()
        self.resolver.stop()
        for connection in list(self._in_use):
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def close_all(self) -> None:
        """Close idle connections, now and when they are released. No more can be acquired."""
        self._closed.set()
        self.resolver.stop()
        for idle in list(self._idle.values()):
            _close_each(idle)


def _close_each(idle: deque[UpstreamConnection]) -> None:
    with contextlib.suppress(IndexError):
        while True:
            idle.pop().sock.close()
