"""Accept clients, up to the limit, and in balance with the other processes.

Threads. Everything belongs to the event loop's thread, except `connection_closed`, which the thread that
closes a connection calls, and `adopt`. `clients` is changed only by single dict operations, which the
interpreter makes atomic.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import threading
from collections.abc import Callable

from policies.addresses import unmapped
from policies.settings import Limits
from realproxy.downstream.connection import DownstreamConnection
from realproxy.downstream.min_rate import STEP, MinRate
from realproxy.net.listener import refuse_new_connections
from realproxy.runtime.blocking import BlockedThreads
from realproxy.runtime.isolation import report
from realproxy.runtime.sockets import set_time_limits
from realproxy.runtime.system import epoll_events
from realproxy.server.accept_balance import AcceptBalance

ACCEPT_BATCH = 64
"""Connections that are accepted in one turn of the event loop."""
ARMED = epoll_events("EPOLLIN", "EPOLLRDHUP", "EPOLLET")
"""The epoll events of an idle client."""
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """Accepts clients from one listener, which `close` closes; then `fd`, its descriptor, is -1.

    The listener and every accepted client are registered in the event loop's `epoll`. `clients` holds the
    open connections by descriptor; `accepted` counts all. `make_connection` takes a socket and its peer
    address, and may be replaced at any time. `balance` is set if other processes accept from the same
    listener; while `yielding`, this process leaves new clients to them.
    """

    def __init__(
        self, listener: socket.socket, epoll: select.epoll, limits: Limits, waits: BlockedThreads,
        clients: dict[int, DownstreamConnection],
        make_connection: Callable[[socket.socket, str, BlockedThreads], DownstreamConnection],
    ) -> None:  # fmt: skip
        self._listener, self._epoll, self._limits, self._waits = listener, epoll, limits, waits
        self._clients, self.make_connection, self.fd = clients, make_connection, listener.fileno()
        self.balance: AcceptBalance | None = None
        self.accepted = 0
        self.yielding = self._full = self._out_of_descriptors = False
        self._pausing = threading.Lock()
        """Held while the listener is paused or resumed, so that `_full` agrees with its epoll events."""

    def open(self) -> None:
        """Begin to accept."""
        if self.balance is not None:
            self.balance.publish(0)
        self._listener.setblocking(False)
        self._epoll.register(self.fd, select.EPOLLIN)

    def adopt(self, limits: Limits) -> None:
        """Use new limits from now on."""
        self._limits = limits
        with self._pausing:
            if self._full:
                self._listen(True)

    def accept(self, now: float, *, last: bool = False) -> None:
        """Accept waiting clients: at most `ACCEPT_BATCH`, and only if the balance allows it.

        With `last`, accept all up to ``limits.connections``, and disregard the balance.
        """
        for _ in range(self._limits.connections if last else ACCEPT_BATCH):
            if self.balance is not None and not last and not self.balance.may_accept():
                self.yielding = True
                self._listen(False)
                return
            if len(self._clients) >= self._limits.connections:
                self._pause()
                return
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    self._listen(False)  # until `retry`
                    self._out_of_descriptors = True
                    return
                continue  # the client has closed the connection already
            self._add(sock, unmapped(address[0]), now)

    def connection_closed(self) -> None:
        """Make room for another client, because a connection was closed."""
        if self.balance is not None:
            self.balance.publish(len(self._clients))
        if self._full:
            with self._pausing:
                if self._full and len(self._clients) < self._limits.connections:
                    self._listen(True)

    def resume(self) -> None:
        """Accept again after `yielding`."""
        self.yielding = False
        self._listen(True)

    def retry(self) -> None:
        """Accept again if the system was out of descriptors or memory before."""
        if self._out_of_descriptors:
            self._out_of_descriptors = False
            self._listen(True)

    def close(self, now: float) -> None:
        """Accept the clients in the listener's queue, and then no more. Later calls do nothing."""
        if self._listener.fileno() >= 0:
            self._epoll.unregister(self.fd)
            refuse_new_connections(self._listener)
            self.accept(now, last=True)
            self.fd = -1  # the system may give this number to the next connection
            self._listener.close()

    def _add(self, sock: socket.socket, address: str, now: float) -> None:
        limits = self._limits
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            timeout = limits.idle_timeout
            set_time_limits(sock, timeout, timeout if limits.min_rate is None else min(STEP, timeout))
        except OSError:
            sock.close()
            return
        try:
            client = self.make_connection(sock, address, self._waits)
        except Exception as fault:  # noqa: BLE001 - it costs this client its connection, not the loop its thread
            report(fault)
            sock.close()
            return
        client.deadline = now + (limits.idle_timeout if client.opening is None else limits.header_timeout)
        if limits.min_rate is not None:
            client.pace = MinRate(limits.min_rate, timeout)
        self._clients[client.fd] = client
        self.accepted += 1
        if self.balance is not None:
            self.balance.publish(len(self._clients))
        self._epoll.register(client.fd, ARMED)

    def _pause(self) -> None:
        """At the limit: leave further clients in the kernel's queue until one connection is closed."""
        with self._pausing:
            self._full = True
            self._listen(False)
            if len(self._clients) < self._limits.connections:  # a client left, or the limit was raised
                self._listen(True)

    def _listen(self, on: bool) -> None:
        if on:
            self._full = False
        with contextlib.suppress(OSError, ValueError):  # the listener is closed after `close`
            self._epoll.modify(self.fd, select.EPOLLIN if on else 0)
