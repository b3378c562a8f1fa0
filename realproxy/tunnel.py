"""Tunnels: bytes both ways between a client and a target, all of them in one thread.

Threads. `Relay.add` may be called by any thread; from then on the relay thread owns both sockets
of the tunnel. It closes the target's; the client's goes back through `Front.close`. Nothing here
waits but for the epoll set: a side that does not read stops the reading of the other side.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import socket
import threading
import time
from collections.abc import Callable

from realproxy.client import Client
from realproxy.exchange import End, Exchange

BUFFER = 128 * 2**10
"""Bytes read at once, and held at most for one direction of one tunnel."""
TICK = 0.5


class Flow:
    """One direction of a tunnel.

    Attributes
    ----------
    held : memoryview
        What was read and the other side could not take yet.
    ended : bool
        Whether the source has said that nothing more comes.
    shut : bool
        Whether the sink was told so.
    count : int
        Bytes delivered.
    """

    __slots__ = ("count", "ended", "held", "shut", "sink", "source")

    def __init__(self, source: socket.socket, sink: socket.socket, first: bytes = b"") -> None:
        self.source, self.sink = source, sink
        self.held = memoryview(first)
        self.ended = self.shut = False
        self.count = 0

    def move(self, buffer: memoryview) -> None:
        """Move what can be moved without waiting; raises `OSError` if a side is broken."""
        if self.held:
            self._deliver(self.held)
        if not self.held and not self.ended:
            try:
                size = self.source.recv_into(buffer)
            except BlockingIOError:
                return
            self.ended = size == 0
            if size:
                self._deliver(buffer[:size])
        if self.ended and not self.held and not self.shut:
            self.shut = True
            self.sink.shutdown(socket.SHUT_WR)

    def _deliver(self, data: memoryview) -> None:
        try:
            sent = self.sink.send(data)
        except BlockingIOError:
            sent = 0
        self.count += sent
        self.held = memoryview(bytes(data[sent:]))


class Tunnel:
    """A client, a target, and the two flows between them."""

    __slots__ = ("active", "client", "down", "exchange", "interest", "target", "up")

    def __init__(self, client: Client, target: socket.socket, exchange: Exchange) -> None:
        self.client, self.target, self.exchange = client, target, exchange
        self.up = Flow(client.sock, target, client.buffer)
        self.down = Flow(target, client.sock)
        self.active = time.monotonic()
        self.interest = {client.fd: -1, target.fileno(): -1}

    def wanted(self, inward: Flow, outward: Flow) -> int:
        """The events to wait for on the socket that `inward` reads and `outward` writes."""
        events = 0
        if not inward.ended and not inward.held:
            events |= select.EPOLLIN
        if outward.held:
            events |= select.EPOLLOUT
        return events


class Relay:
    """The thread that moves the bytes of all tunnels.

    Parameters
    ----------
    idle_timeout : float
        Seconds without a byte after which a tunnel is closed.
    release : callable
        Takes the client back to close it.
    ended : callable
        Takes the exchange of a tunnel that has ended.
    """

    def __init__(
        self, idle_timeout: float, release: Callable[[Client], None], ended: Callable[[Exchange], None]
    ) -> None:
        self._idle_timeout, self._release, self._ended = idle_timeout, release, ended
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._incoming: queue.SimpleQueue[Tunnel] = queue.SimpleQueue()
        self._tunnels: dict[int, Tunnel] = {}
        self._stopping = False
        self._buffer = memoryview(bytearray(BUFFER))
        self._thread = threading.Thread(target=self._run, name="proxy-relay", daemon=True)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._thread.start()

    @property
    def count(self) -> int:
        """Tunnels that are open."""
        return len(self._tunnels) // 2

    def add(self, client: Client, target: socket.socket, exchange: Exchange) -> None:
        """Take over both sockets; what the client sent already goes first."""
        self._incoming.put(Tunnel(client, target, exchange))
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """Close all tunnels and end the thread."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._epoll.close()
        os.close(self._wake)

    def _run(self) -> None:
        next_sweep = 0.0
        while not self._stopping:
            events = self._epoll.poll(TICK, 256)
            now = time.monotonic()
            for fd, _ in events:
                tunnel = self._tunnels.get(fd)
                if tunnel is not None:
                    self._move(tunnel, now)
                elif fd == self._wake:
                    self._admit(now)
            if now >= next_sweep:
                next_sweep = now + TICK
                for tunnel in set(self._tunnels.values()):
                    if now - tunnel.active > self._idle_timeout:
                        self._end(tunnel, End.IDLE)
        self._admit(time.monotonic())
        for tunnel in set(self._tunnels.values()):
            self._end(tunnel, End.STOPPED)

    def _admit(self, now: float) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        while not self._incoming.empty():
            tunnel = self._incoming.get()
            tunnel.client.sock.setblocking(False)
            tunnel.target.setblocking(False)
            for fd in tunnel.interest:
                self._tunnels[fd] = tunnel
            self._move(tunnel, now)

    def _move(self, tunnel: Tunnel, now: float) -> None:
        tunnel.active = now
        try:
            tunnel.up.move(self._buffer)
            tunnel.down.move(self._buffer)
        except OSError:
            self._end(tunnel, End.CLIENT_GONE if not tunnel.up.ended else End.DONE)
            return
        if tunnel.up.shut and tunnel.down.shut:
            self._end(tunnel, End.DONE)
            return
        self._watch(tunnel, tunnel.client.fd, tunnel.wanted(tunnel.up, tunnel.down))
        self._watch(tunnel, tunnel.target.fileno(), tunnel.wanted(tunnel.down, tunnel.up))

    def _watch(self, tunnel: Tunnel, fd: int, events: int) -> None:
        """Tell the epoll set what is wanted; of nothing it must not know, as a hang-up always reports."""
        before = tunnel.interest[fd]
        if events == before:
            return
        tunnel.interest[fd] = events
        if events == 0:
            if before > 0:
                self._epoll.unregister(fd)
        elif before > 0:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)

    def _end(self, tunnel: Tunnel, end: End) -> None:
        for fd, events in tunnel.interest.items():
            del self._tunnels[fd]
            if events > 0:
                self._epoll.unregister(fd)
        tunnel.target.close()
        tunnel.exchange.sent = tunnel.down.count
        tunnel.exchange.end = end
        tunnel.exchange.ended = time.monotonic()
        self._release(tunnel.client)
        self._ended(tunnel.exchange)
