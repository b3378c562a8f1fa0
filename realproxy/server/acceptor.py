"""Accepts clients, up to the limit, and in balance with the other processes.

Threads. Everything belongs to the front thread, except `connection_closed`, which the thread that closes
a connection calls, and `adopt`. `clients` is changed only by single dict operations, which the
interpreter makes atomic.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import threading
from collections.abc import Callable

from policies.settings import Limits
from realproxy.downstream.connection import DownstreamConnection
from realproxy.downstream.min_rate import STEP, MinRate
from realproxy.net.listener import refuse_new_connections
from realproxy.runtime.blocking import BlockedThreads
from realproxy.runtime.sockets import set_time_limits
from realproxy.server.accept_balance import AcceptBalance

ACCEPT_AT_ONCE = 64
"""Clients that are accepted before others are looked at."""
ARMED = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
"""What is watched for at a client."""
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """Accepts clients.

    Parameters
    ----------
    listener : socket.socket
        Bound and listening; `close` closes it.
    epoll : select.epoll
        Where the front thread waits, for the listener and for who was let in.
    limits : Limits
        From the settings.
    waits : BlockedThreads
        Where workers that wait for clients are counted.
    clients : dict
        All clients, by descriptor.
    welcome : callable
        Makes the client of a new socket and its address.

    Attributes
    ----------
    fd : int
        Descriptor of the listener; -1 once it is shut.
    accepted : int
        Clients that were let in.
    balance : AcceptBalance or None
        Whose turn it is, if other processes accept from the same listener.
    welcome : callable
        As given; may be replaced at any time.
    yielding : bool
        Whether new clients are left to the others for a moment.
    """

    def __init__(
        self,
        listener: socket.socket,
        epoll: select.epoll,
        limits: Limits,
        waits: BlockedThreads,
        clients: dict[int, DownstreamConnection],
        welcome: Callable[[socket.socket, str, BlockedThreads], DownstreamConnection],
    ) -> None:
        self._listener, self._epoll, self._limits, self._waits = listener, epoll, limits, waits
        self._clients, self.make_connection, self.fd = clients, welcome, listener.fileno()
        self.balance: AcceptBalance | None = None
        self.accepted = 0
        self.yielding = self._full = self._no_room = False
        self._pausing = threading.Lock()
        """Held where the listener is looked at or not any more, so that `_full` says which."""

    def open(self) -> None:
        """Begin to look for clients."""
        if self.balance is not None:
            self.balance.publish(0)
        self._listener.setblocking(False)
        self._epoll.register(self.fd, select.EPOLLIN)

    def adopt(self, limits: Limits) -> None:
        """Keep other limits from now on."""
        self._limits = limits
        with self._pausing:
            if self._full:
                self._listen(True)

    def accept(self, now: float, *, last: bool = False) -> None:
        """Accept those who wait: some of them, or (`last`) as many as there may be, whosever turn it is."""
        for _ in range(self._limits.connections if last else ACCEPT_AT_ONCE):
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
                if error.errno in _NO_ROOM:
                    self._listen(False)  # until `retry`
                    self._no_room = True
                    return
                continue  # that client is gone already
            self._let_in(sock, address[0], now)

    def connection_closed(self) -> None:
        """A connection was closed."""
        if self.balance is not None:
            self.balance.publish(len(self._clients))
        if self._full:
            with self._pausing:
                if self._full and len(self._clients) < self._limits.connections:
                    self._listen(True)

    def resume(self) -> None:
        """Look for clients again after `yielding`."""
        self.yielding = False
        self._listen(True)

    def retry(self) -> None:
        """Look for clients again if there was no room for them a while ago."""
        if self._no_room:
            self._no_room = False
            self._listen(True)

    def close(self, now: float) -> None:
        """Accept no more, but for who is in the listener's queue. Later calls do nothing."""
        if self._listener.fileno() >= 0:
            self._epoll.unregister(self.fd)
            refuse_new_connections(self._listener)
            self.accept(now, last=True)
            self.fd = -1  # another connection has this number next
            self._listener.close()

    def _let_in(self, sock: socket.socket, address: str, now: float) -> None:
        limits = self._limits
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            patience = limits.idle_timeout
            set_time_limits(sock, patience, patience if limits.min_rate is None else min(STEP, patience))
        except OSError:
            sock.close()
            return
        client = self.make_connection(sock, address, self._waits)
        client.deadline = now + (limits.header_timeout if client.handshaking else limits.idle_timeout)
        if limits.min_rate is not None:
            client.pace = MinRate(limits.min_rate, patience)
        self._clients[client.fd] = client
        self.accepted += 1
        if self.balance is not None:
            self.balance.publish(len(self._clients))
        self._epoll.register(client.fd, ARMED)

    def _pause(self) -> None:
        """At the cap: let the kernel's queue hold further clients until one leaves."""
        with self._pausing:
            self._full = True
            self._listen(False)
            if len(self._clients) < self._limits.connections:  # one left meanwhile, or there may be more
                self._listen(True)

    def _listen(self, on: bool) -> None:
        if on:
            self._full = False
        with contextlib.suppress(OSError, ValueError):  # the listener is gone once it is shut
            self._epoll.modify(self.fd, select.EPOLLIN if on else 0)
