"""Connections to upstreams that wait in nobody's way: begun and finished in the relay thread.

Threads. A `Dial` and its sockets belong to the relay thread. Names are looked up by the threads of
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

from realproxy.resolving import Resolver, is_literal
from realproxy.targets import Address
from realproxy.tunnel import Relay


class Names:
    """Names to addresses, without holding up the relay thread.

    Parameters
    ----------
    relay : Relay
        Whose thread asks, and is told.
    resolver : Resolver
        Looks up.
    """

    def __init__(self, relay: Relay, resolver: Resolver) -> None:
        self._relay, self._resolver = relay, resolver

    def resolve(self, address: Address, found: Callable[[list[Address]], None]) -> None:
        """Have `found` called in the relay thread with where an address leads; empty if too late."""
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

        self._relay.at(time.monotonic() + self._resolver.timeout, lambda _: tell([]))
        self._resolver.soon(host, lambda addresses: self._relay.call(lambda: tell(addresses)))


class Dial:
    """One connection that is being made to the first of several addresses that answers.

    Parameters
    ----------
    relay : Relay
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
        relay: Relay,
        addresses: Sequence[Address],
        timeout: float,
        connected: Callable[[socket.socket], None],
        failed: Callable[[str], None],
    ) -> None:
        self._relay, self._left, self._timeout = relay, list(addresses), timeout
        self._connected, self._failed = connected, failed
        self._sock: socket.socket | None = None
        self._reason = "its name leads nowhere"
        self._next()

    def cancel(self) -> None:
        """Give up; nobody is told."""
        if self._sock is not None:
            self._relay.forget(self._sock)
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
                self._relay.watch(sock, select.EPOLLOUT, lambda *_: self._settled())
                self._relay.at(time.monotonic() + self._timeout, partial(self._late, sock))
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
        self._relay.forget(sock)
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
