"""Connections: `connect` waits for one; a `Dial` is begun and finished in the thread of a `Loop`.

Threads. A `Dial` and its sockets belong to that thread. Names are looked up by the threads of
the `Resolver`, which hand what they found back to it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from realproxy.errors import Termination, UpstreamError
from realproxy.net.address import Address
from realproxy.net.resolver import Resolver, is_literal


class Loop(Protocol):
    """The thread in which dials happen, and what they ask of it; `call` may come from any thread."""

    def call(self, function: Callable[[], None]) -> bool:
        """Have the thread call something soon; returns False, and does not, once it has stopped."""

    def at(self, when: float, function: Callable[[float], None]) -> None:
        """Have something called with the time, not before `when` on the monotonic clock."""

    def watch(self, sock: socket.socket, events: int, handler: Callable[[int, float], None]) -> None:
        """Have the handler called with the events of a socket, and the time."""

    def forget(self, sock: socket.socket) -> None:
        """Wait for nothing of a socket any more; comes before its close."""


class AsyncResolver:
    """Names to addresses, without holding up the thread of a loop.

    Parameters
    ----------
    loop : Loop
        Whose thread asks, and is told.
    resolver : Resolver
        Looks up.
    """

    def __init__(self, loop: Loop, resolver: Resolver) -> None:
        self._loop, self._resolver = loop, resolver

    def resolve(self, address: Address, found: Callable[[list[Address]], None]) -> None:
        """Have `found` called in that thread with where an address leads; empty if too late."""
        host, port = address
        if is_literal(host):
            found([address])
            return
        told = False

        def tell(addresses: list[str]) -> None:
            nonlocal told
            if not told:
                told = True
                found([(ip, port) for ip in addresses])

        self._loop.at(time.monotonic() + self._resolver.timeout, lambda _: tell([]))
        self._resolver.resolve_async(host, lambda addresses: self._loop.call(lambda: tell(addresses)))


class Dial:
    """One connection that is being made to the first of several addresses that answers.

    Parameters
    ----------
    loop : Loop
        Whose thread does it, and calls this.
    addresses : sequence of Address
        Resolved.
    timeout : float
        Seconds for each.
    connected : callable
        Takes the socket, which does not block.
    failed : callable
        Takes the reason. Either is called once, unless the dial is cancelled.
    """

    def __init__(
        self,
        loop: Loop,
        addresses: Sequence[Address],
        timeout: float,
        connected: Callable[[socket.socket], None],
        failed: Callable[[str], None],
    ) -> None:
        self._loop, self._left, self._timeout = loop, list(addresses), timeout
        self._connected, self._failed = connected, failed
        self._sock: socket.socket | None = None
        self._reason = "its name leads nowhere"
        self._next()

    def cancel(self) -> None:
        """Give up; nobody is told."""
        if self._sock is not None:
            self._loop.forget(self._sock)
            self._sock.close()
            self._sock = None

    def _next(self) -> None:
        while self._left:
            host, port = self._left.pop(0)
            try:
                sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            except OSError as error:
                self._reason = (error.strerror or str(error)).lower()
                continue
            sock.setblocking(False)
            code = sock.connect_ex((host, port))
            if code in (0, errno.EINPROGRESS):
                self._sock = sock
                self._loop.watch(sock, select.EPOLLOUT, lambda *_: self._settled())
                self._loop.at(time.monotonic() + self._timeout, partial(self._late, sock))
                return
            sock.close()
            self._reason = os.strerror(code).lower()
        self._failed(self._reason)

    def _settled(self) -> None:
        sock = self._sock
        assert sock is not None
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._reason = os.strerror(code).lower()
            self._try_another()
            return
        self._loop.forget(sock)
        self._sock = None
        with contextlib.suppress(OSError):  # it is gone again, which its first event will tell
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connected(sock)

    def _late(self, sock: socket.socket, _: float) -> None:
        if self._sock is sock:
            self._reason = "no connection in time"
            self._try_another()

    def _try_another(self) -> None:
        self.cancel()
        self._next()


def connect(addresses: Sequence[Address], timeout: float) -> socket.socket:
    """A connected socket to the first address that answers; raises `UpstreamError` 502 or 504.

    Parameters
    ----------
    addresses : sequence of Address
        Resolved.
    timeout : float
        Seconds for each.
    """
    trouble = UpstreamError(502, Termination.UPSTREAM_UNREACHABLE, "the target has no address")
    for host, port in addresses:
        try:
            sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:  # no descriptors
            reason = (error.strerror or str(error)).lower()
            raise UpstreamError(503, Termination.OVERLOADED, f"no socket: {reason}") from None
        try:
            sock.settimeout(max(timeout, 0.001))
            sock.connect((host, port))
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            detail = f"no connection to {host}:{port} in time"
            trouble = UpstreamError(504, Termination.UPSTREAM_SLOW, detail, fault="connection_timeout")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            trouble = UpstreamError(
                502, Termination.UPSTREAM_UNREACHABLE, f"{host}:{port}: {reason}", errno=error.errno or 0
            )
        else:
            return sock
        sock.close()
    raise trouble
