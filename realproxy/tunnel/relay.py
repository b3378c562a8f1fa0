"""Tunnels: bytes both ways between two sockets, all tunnels in one thread.

Threads. Any thread may call `TunnelRelay.add`. Everything else happens in the relay thread, the thread of
`TunnelRelay.loop`, whose stop closes all tunnels. It owns both sockets of every tunnel and closes the one to
the target; `on_end` of the tunnel decides about the client's. If one side does not read, the other side is
not read either, so a tunnel buffers at most `BUFFER` bytes for each direction.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import Termination
from realproxy.messages.record import RequestRecord
from realproxy.runtime.event_loop import EventLoop, Handler
from realproxy.runtime.isolation import isolated

BUFFER = 128 * 2**10
"""Bytes of one read, and the most that is buffered for one direction of one tunnel."""
TICK = 0.5
"""Seconds between two searches for idle tunnels."""


class OneWay:
    """One direction of a tunnel.

    `pending` was read, and the sink has not taken it yet; `delivered` counts the bytes that the sink has
    taken. `at_end`: the source has sent its last byte. `shut`: the sink was told so.
    """

    __slots__ = ("at_end", "delivered", "pending", "shut", "sink", "source")

    def __init__(self, source: socket.socket, sink: socket.socket, first: bytes = b"") -> None:
        self.source, self.sink = source, sink
        self.pending = memoryview(first)
        self.at_end = self.shut = False
        self.delivered = 0

    def move(self, buffer: memoryview) -> None:
        """Move what can be moved without waiting; raises `OSError` if a side is broken."""
        if self.pending:
            self._deliver(self.pending)
        if not self.pending and not self.at_end:
            try:
                size = self.source.recv_into(buffer)
            except BlockingIOError:
                return
            self.at_end = size == 0
            if size:
                self._deliver(buffer[:size])
        if self.at_end and not self.pending and not self.shut:
            self.shut = True
            self.sink.shutdown(socket.SHUT_WR)

    def _deliver(self, data: memoryview) -> None:
        try:
            sent = self.sink.send(data)
        except BlockingIOError:
            sent = 0
        self.delivered += sent
        self.pending = memoryview(bytes(data[sent:]))


class Tunnel:
    """Two sockets and the two directions between them.

    `up` and `down` are sent first to the target and to the client. `idle_timeout` is in seconds without a
    byte. `on_end` is called once with the tunnel and how it ended; the target is closed by then.
    """

    __slots__ = ("client", "down", "handler", "idle_timeout", "last_active", "on_end", "target", "up")

    def __init__(
        self, client: socket.socket, target: socket.socket, up: bytes, down: bytes, idle_timeout: float,
        on_end: Callable[[Tunnel, Termination], None],
    ) -> None:  # fmt: skip
        self.client, self.target, self.idle_timeout, self.on_end = client, target, idle_timeout, on_end
        self.up, self.down = OneWay(client, target, up), OneWay(target, client, down)
        self.last_active = time.monotonic()
        self.handler: Handler


def _events(incoming: OneWay, outgoing: OneWay) -> int:
    """The events to wait for on the socket that `incoming` reads and `outgoing` writes."""
    reads = select.EPOLLIN if not incoming.at_end and not incoming.pending else 0
    return reads | (select.EPOLLOUT if outgoing.pending else 0)


class TunnelRelay:
    """Moves the bytes of all tunnels in the relay thread, the thread of `loop`, which does other work too.

    `idle_timeout`, for the tunnels of `add`, is in seconds without a byte. `release` takes a client back to
    close it; `log` takes the record of a connection that has ended. `tunnels` are those that are open.
    """

    def __init__(
        self, idle_timeout: float, release: Callable[[DownstreamConnection], None],
        log: Callable[[RequestRecord], None],
    ) -> None:  # fmt: skip
        self.idle_timeout, self.release, self.log = idle_timeout, release, log
        self.tunnels: set[Tunnel] = set()
        self._buffer = memoryview(bytearray(BUFFER))
        self.loop = EventLoop("proxy-relay")
        self.loop.at_stop.append(self._end_all)
        self.loop.call(lambda: self._end_idle(time.monotonic()))

    def add(
        self, client: DownstreamConnection, target: socket.socket, record: RequestRecord, first: bytes = b"",
        done: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """Take over both connected sockets; called by any thread.

        What has been read from the client goes to the target first, and `first` to the client. When the
        tunnel has ended, the client is released, `done` is called and the record is logged.
        """

        def on_end(tunnel: Tunnel, end: Termination) -> None:
            record.sent, record.received = tunnel.down.delivered, tunnel.up.delivered
            record.finish(end)
            self.release(client)
            if done is not None:
                done()
            self.log(record)

        tunnel = Tunnel(client.sock, target, client.buffer, first, self.idle_timeout, on_end)
        if not self.loop.call(lambda: self.begin(tunnel)):
            target.close()
            on_end(tunnel, Termination.STOPPED)

    # --- called in the relay thread -------------------------------------------------------------

    def begin(self, tunnel: Tunnel) -> None:
        """Move the bytes of a tunnel from now on."""
        tunnel.client.setblocking(False)
        tunnel.target.setblocking(False)
        tunnel.handler = lambda _, now: self._move_or_end(tunnel, now)
        self.tunnels.add(tunnel)
        self._move_or_end(tunnel, time.monotonic())

    def _move_or_end(self, tunnel: Tunnel, now: float) -> None:
        """Move bytes; a fault of the program ends this tunnel, and no other."""
        if not isolated(self._move, tunnel, now) and tunnel in self.tunnels:
            isolated(self._end, tunnel, Termination.UPSTREAM_BROKEN)

    def _move(self, tunnel: Tunnel, now: float) -> None:
        tunnel.last_active = now
        up, down = tunnel.up, tunnel.down
        try:
            up.move(self._buffer)
            down.move(self._buffer)
        except OSError:
            self._end(tunnel, Termination.CLIENT_GONE if not up.at_end else Termination.DONE)
            return
        if up.shut and down.shut:
            self._end(tunnel, Termination.DONE)
            return
        self.loop.watch(tunnel.client, _events(up, down), tunnel.handler)
        self.loop.watch(tunnel.target, _events(down, up), tunnel.handler)

    def _end(self, tunnel: Tunnel, end: Termination) -> None:
        self.tunnels.discard(tunnel)
        self.loop.forget(tunnel.client)
        self.loop.forget(tunnel.target)
        tunnel.target.close()
        tunnel.on_end(tunnel, end)

    def _end_idle(self, now: float) -> None:
        self.loop.at(now + TICK, self._end_idle)
        for tunnel in [t for t in self.tunnels if now - t.last_active > t.idle_timeout]:
            isolated(self._end, tunnel, Termination.IDLE)

    def _end_all(self) -> None:
        for tunnel in list(self.tunnels):
            isolated(self._end, tunnel, Termination.STOPPED)
