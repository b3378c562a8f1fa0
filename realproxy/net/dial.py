"""Connecting: `connect` waits for a connection; a `Dial` makes one in the thread of an `EventLoop`.

Threads. A `Dial` and its sockets belong to that thread. The threads of the `Resolver` look names up
and hand the addresses back to it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Callable, Sequence

from realproxy.errors import Termination, UpstreamError
from realproxy.net.address import Address, family_of
from realproxy.net.resolver import Resolver, is_literal
from realproxy.runtime.event_loop import EventLoop, Timer


class AsyncResolver:
    """Looks names up without blocking the thread of a loop; belongs to that thread."""

    def __init__(self, loop: EventLoop, resolver: Resolver) -> None:
        self._loop, self._resolver = loop, resolver

    def in_turn(self, address: Address, found: Callable[[list[Address]], None]) -> None:
        """As `resolve`, in the order of `Resolver.in_turn`."""
        self.resolve(address, lambda addresses: found(self._resolver.turned(addresses)))

    def resolve(self, address: Address, found: Callable[[list[Address]], None]) -> None:
        """Call `found` once with the addresses of a target; with none if the look-up takes too long."""
        host, port = address
        if is_literal(host):
            found([address])
            return
        done = False

        def finish(addresses: list[str]) -> None:
            nonlocal done
            if not done:
                done = True
                timer.cancel()
                found([(ip, port) for ip in addresses])

        timer = self._loop.at(time.monotonic() + self._resolver.timeout, lambda _: finish([]))
        self._resolver.resolve_async(host, lambda addresses: self._loop.call(lambda: finish(addresses)))


class Dial:
    """Makes one connection: to the first of several addresses that answers.

    All methods and both callbacks run in the thread of `loop`. `timeout` is in seconds for each address.
    `connected` takes the socket, which does not block; `failed` takes the reason. One of the two is called
    once, perhaps during `start`, unless the dial is cancelled.
    """

    def __init__(
        self, loop: EventLoop, addresses: Sequence[Address], timeout: float,
        connected: Callable[[socket.socket], None], failed: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._loop, self._addresses, self._timeout = loop, list(addresses), timeout
        self._connected, self._failed = connected, failed
        self._sock: socket.socket | None = None
        self._timer: Timer
        self._reason = "its name leads nowhere"

    def start(self) -> None:
        """Try the first of the addresses that are left."""
        while self._addresses:
            try:
                sock, code = start_connect(self._addresses.pop(0))
            except OSError as error:
                self._reason = (error.strerror or str(error)).lower()
                continue
            if not code:
                self._sock = sock
                self._loop.watch(sock, select.EPOLLOUT, self._finish)
                self._timer = self._loop.at(time.monotonic() + self._timeout, self._time_out)
                return
            sock.close()
            self._reason = os.strerror(code).lower()
        self._failed(self._reason)

    def cancel(self) -> None:
        """Give up; neither callback is called."""
        if self._sock is not None:
            self._release(self._sock)
            self._sock.close()
            self._sock = None

    def _finish(self, _events: int, _now: float) -> None:
        sock = self._sock
        assert sock is not None
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(os.strerror(code).lower())
            return
        self._release(sock)
        self._sock = None
        with contextlib.suppress(OSError):  # the connection has ended, as its first event will show
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connected(sock)

    def _time_out(self, _now: float) -> None:
        self._fail("no connection in time")

    def _fail(self, reason: str) -> None:
        self._reason = reason
        self.cancel()
        self.start()

    def _release(self, sock: socket.socket) -> None:
        self._loop.forget(sock)
        self._timer.cancel()


def connect(
    addresses: Sequence[Address], timeout: float, failed: Callable[[Address], None] | None = None
) -> socket.socket:
    """Connect to the first of several resolved addresses that answers, within `timeout` seconds for each.

    `failed` is called with each that does not, if there are several. Raises `UpstreamError`: 502 if none can
    be reached, 504 if the last one does not answer in time, 503 without descriptors.
    """
    failure: UpstreamError | None = None
    for host, port in addresses:
        try:
            sock = socket.socket(family_of(host))
        except OSError as error:
            raise no_socket(error) from None
        try:
            sock.settimeout(max(timeout, 0.001))
            sock.connect((host, port))
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            detail = f"no connection to {host}:{port} in time"
            failure = UpstreamError(504, Termination.UPSTREAM_SLOW, detail, fault="connection_timeout")
        except OSError as error:
            detail = f"{host}:{port}: {(error.strerror or str(error)).lower()}"
            failure = UpstreamError(502, Termination.UPSTREAM_UNREACHABLE, detail, errno=error.errno or 0)
        else:
            return sock
        sock.close()
        if failed is not None and len(addresses) > 1:
            failed((host, port))
    raise failure or UpstreamError(502, Termination.UPSTREAM_UNREACHABLE, "the target has no address")


def start_connect(address: Address) -> tuple[socket.socket, int]:
    """Begin a connection to a resolved address without waiting for it; raises `OSError` without descriptors.

    Returns the socket, which does not block, and the errno if the connection has failed at once, else 0.
    A later failure shows when the socket becomes writable.
    """
    sock = socket.socket(family_of(address[0]))
    try:
        sock.setblocking(False)
        code = sock.connect_ex(address)
    except OSError:  # the address is none, such as one with an unknown zone
        sock.close()
        raise
    return sock, 0 if code == errno.EINPROGRESS else code


def no_socket(error: OSError) -> UpstreamError:
    """The proxy has no descriptor for a connection to an upstream."""
    reason = (error.strerror or str(error)).lower()
    return UpstreamError(503, Termination.OVERLOADED, f"no socket: {reason}")
