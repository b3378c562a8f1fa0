"""Tunnels: bytes both ways between two sockets, all of them in one thread.

Threads. `TunnelRelay.add` and `TunnelRelay.call` may be called by any thread; all else happens in the relay
thread, which owns both sockets of every tunnel and closes the target's; what becomes of the
client's is said by whoever added it. Nothing here waits but for the epoll set: a side that does
not read stops the reading of the other side, so one tunnel holds `BUFFER` bytes a direction at most.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import queue
import select
import socket
import threading
import time
from collections.abc import Callable

from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import Termination
from realproxy.messages.record import RequestRecord
from realproxy.runtime.isolation import isolated

BUFFER = 128 * 2**10
"""Bytes read at once, and held at most for one direction of one tunnel."""
TICK = 0.5
END_PATIENCE = 5.0
"""Seconds that the thread has to end."""

Handler = Callable[[int, float], None]
"""Takes the events of a descriptor and the time, on the monotonic clock."""


class OneWay:
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
    """Two sockets and the flows between them.

    Parameters
    ----------
    client, target : socket.socket
        The two ends.
    up, down : bytes
        What goes to the target, or to the client, before all else.
    idle_timeout : float
        Seconds without a byte after which it is closed.
    ended : callable
        Takes the tunnel and how it ended, once; then the target is closed already.
    """

    __slots__ = ("active", "client", "down", "ended", "idle_timeout", "moved", "target", "up")

    def __init__(
        self,
        client: socket.socket,
        target: socket.socket,
        up: bytes,
        down: bytes,
        idle_timeout: float,
        ended: Callable[[Tunnel, Termination], None],
    ) -> None:
        self.client, self.target, self.idle_timeout, self.ended = client, target, idle_timeout, ended
        self.up, self.down = OneWay(client, target, up), OneWay(target, client, down)
        self.active = time.monotonic()
        self.moved: Handler


def _wanted(inward: OneWay, outward: OneWay) -> int:
    """The events to wait for on the socket that `inward` reads and `outward` writes."""
    reads = select.EPOLLIN if not inward.ended and not inward.held else 0
    return reads | (select.EPOLLOUT if outward.held else 0)


class TunnelRelay:
    """The thread that moves the bytes of all tunnels, and runs what else must never wait.

    Parameters
    ----------
    idle_timeout : float
        Seconds without a byte after which a tunnel of `add` is closed.
    release : callable
        Takes the client of `add` back to close it.
    logged : callable
        Takes the exchange of a tunnel of `add` that has ended.
    """

    def __init__(
        self,
        idle_timeout: float,
        release: Callable[[DownstreamConnection], None],
        logged: Callable[[RequestRecord], None],
    ) -> None:
        self.idle_timeout, self._release, self._logged = idle_timeout, release, logged
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._handlers: dict[int, tuple[int, Handler]] = {}
        self._timers: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = itertools.count()
        self._tunnels: set[Tunnel] = set()
        self._stopping = False
        self._waking = threading.Lock()
        """Held around the use of `_wake`: who calls after the end must not write to another's descriptor."""
        self.at_stop: list[Callable[[], None]] = []
        self._buffer = memoryview(bytearray(BUFFER))
        self._thread = threading.Thread(target=self._run, name="proxy-relay", daemon=True)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._thread.start()

    @property
    def count(self) -> int:
        """Tunnels that are open."""
        return len(self._tunnels)

    # --- called by any thread -------------------------------------------------------------------

    def add(
        self,
        client: DownstreamConnection,
        target: socket.socket,
        exchange: RequestRecord,
        first: bytes = b"",
        done: Callable[[], None] | None = None,
    ) -> None:
        """Take over both sockets.

        Parameters
        ----------
        client : DownstreamConnection
            What it has sent already goes to the target first.
        target : socket.socket
            Connected.
        exchange : RequestRecord
            The record; it is logged when the tunnel has ended.
        first : bytes
            What goes to the client first.
        done : callable, optional
            Called when the tunnel has ended.
        """

        def ended(tunnel: Tunnel, end: Termination) -> None:
            exchange.sent, exchange.received = tunnel.down.count, tunnel.up.count
            exchange.end, exchange.ended = end, time.monotonic()
            self._release(client)
            if done is not None:
                done()
            self._logged(exchange)

        tunnel = Tunnel(client.sock, target, client.buffer, first, self.idle_timeout, ended)
        if not self.call(lambda: self.begin(tunnel)):
            target.close()
            ended(tunnel, Termination.STOPPED)

    def call(self, function: Callable[[], None]) -> bool:
        """Have the relay thread call something soon; returns False, and does not, once it has stopped."""
        with self._waking:
            if self._wake < 0:
                return False
            self._calls.put(function)
            os.eventfd_write(self._wake, 1)
        return True

    def stop(self) -> None:
        """Close all tunnels and end the thread."""
        self._stopping = True
        self.call(lambda: None)
        self._thread.join(END_PATIENCE)  # who needs longer closes what it owns later

    # --- called in the relay thread -------------------------------------------------------------

    def begin(self, tunnel: Tunnel) -> None:
        """Let a tunnel live from now on."""
        tunnel.client.setblocking(False)
        tunnel.target.setblocking(False)
        tunnel.moved = lambda _, now: self._move(tunnel, now)
        self._tunnels.add(tunnel)
        if not isolated(self._move, tunnel, time.monotonic()):
            isolated(self._end, tunnel, Termination.UPSTREAM_BROKEN)

    def watch(self, sock: socket.socket, events: int, handler: Handler) -> None:
        """Wait for events; for none it must not even be known, as a hang-up always reports."""
        fd = sock.fileno()
        known = self._handlers.get(fd)
        if events == 0:
            self.forget(sock)
        elif known is None:
            self._epoll.register(fd, events)
            self._handlers[fd] = events, handler
        elif known != (events, handler):
            self._epoll.modify(fd, events)
            self._handlers[fd] = events, handler

    def forget(self, sock: socket.socket) -> None:
        """Wait for nothing of a socket any more; comes before its close."""
        if self._handlers.pop(sock.fileno(), None) is not None:
            self._epoll.unregister(sock.fileno())

    def at(self, when: float, function: Callable[[float], None]) -> None:
        """Have something called with the time, not before `when` on the monotonic clock."""
        heapq.heappush(self._timers, (when, next(self._numbers), function))

    def _run(self) -> None:
        next_sweep = 0.0
        while not self._stopping:
            until_timer = self._timers[0][0] - time.monotonic() if self._timers else TICK
            events = self._epoll.poll(max(0.0, min(TICK, until_timer)), 256)
            now = time.monotonic()
            for fd, happened in events:
                known = self._handlers.get(fd)
                if known is not None:
                    if not isolated(known[1], happened, now):
                        self._drop(fd)
                elif fd == self._wake:
                    self._answer_calls()
            while self._timers and self._timers[0][0] <= now:
                isolated(heapq.heappop(self._timers)[2], now)
            if now >= next_sweep:
                next_sweep = now + TICK
                for tunnel in [t for t in self._tunnels if now - t.active > t.idle_timeout]:
                    isolated(self._end, tunnel, Termination.IDLE)
        self._close_all()

    def _drop(self, fd: int) -> None:
        """What was called for a descriptor has failed: it is not called again, and its tunnel ends."""
        if self._handlers.pop(fd, None) is not None:
            with contextlib.suppress(OSError):  # it may be closed
                self._epoll.unregister(fd)
        for tunnel in [t for t in self._tunnels if fd in (t.client.fileno(), t.target.fileno())]:
            isolated(self._end, tunnel, Termination.UPSTREAM_BROKEN)

    def _close_all(self) -> None:
        with self._waking:
            os.close(self._wake)
            self._wake = -1  # who calls from now on is told that it is too late
        while not self._calls.empty():
            isolated(self._calls.get())
        for close in self.at_stop:
            isolated(close)
        for tunnel in list(self._tunnels):
            isolated(self._end, tunnel, Termination.STOPPED)
        self._epoll.close()

    def _answer_calls(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        while not self._calls.empty():
            isolated(self._calls.get())

    def _move(self, tunnel: Tunnel, now: float) -> None:
        tunnel.active = now
        up, down = tunnel.up, tunnel.down
        try:
            up.move(self._buffer)
            down.move(self._buffer)
        except OSError:
            self._end(tunnel, Termination.CLIENT_GONE if not up.ended else Termination.DONE)
            return
        if up.shut and down.shut:
            self._end(tunnel, Termination.DONE)
            return
        self.watch(tunnel.client, _wanted(up, down), tunnel.moved)
        self.watch(tunnel.target, _wanted(down, up), tunnel.moved)

    def _end(self, tunnel: Tunnel, end: Termination) -> None:
        self._tunnels.discard(tunnel)
        self.forget(tunnel.client)
        self.forget(tunnel.target)
        tunnel.target.close()
        tunnel.ended(tunnel, end)
