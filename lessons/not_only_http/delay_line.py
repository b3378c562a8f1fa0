"""A link with a delay: bytes come out at the other end half a round trip later.

It delays data, but not the TCP handshake, which the kernel completes.

Threads. One thread owns all sockets of a line; `close` ends it.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Self

READ = 64 * 2**10


class DelayLine:
    """Listens on the loopback, and forwards every connection to another port with a delay.

    Parameters
    ----------
    port : int
        The target.
    round_trip_ms : float
        The sum of the delays of both directions.

    Attributes
    ----------
    port : int
        The port on which it listens.
    """

    def __init__(self, port: int, round_trip_ms: float) -> None:
        self._target, self._one_way = port, round_trip_ms / 2e3
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._stop, self._stopping = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._others: dict[socket.socket, socket.socket] = {}
        self._under_way: list[tuple[float, int, socket.socket, bytes]] = []
        self._numbers = itertools.count()
        self._ends: dict[socket.socket, int] = {}
        self._thread = threading.Thread(target=self._run, name="delay-line", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and end the thread."""
        self._stop.send(b"x")
        self._thread.join()
        for sock in (self._listener, self._stop, self._stopping, *self._others):
            sock.close()
        self._selector.close()

    def _run(self) -> None:
        for sock in (self._listener, self._stopping):
            self._selector.register(sock, selectors.EVENT_READ)
        while True:
            wait = max(0.0, self._under_way[0][0] - time.monotonic()) if self._under_way else None
            for key, _ in self._selector.select(wait):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is self._stopping:
                    return
                if sock is self._listener:
                    self._accept()
                else:
                    self._read(sock)
            while self._under_way and self._under_way[0][0] <= time.monotonic():
                _, _, sink, data = heapq.heappop(self._under_way)
                self._deliver(sink, data)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            near.close()
            return
        for sock, other in ((near, far), (far, near)):
            sock.settimeout(5)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._others[sock] = other
            self._selector.register(sock, selectors.EVENT_READ)

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(READ)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(sock)
        due = time.monotonic() + self._one_way
        heapq.heappush(self._under_way, (due, next(self._numbers), self._others[sock], data))

    def _deliver(self, sink: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the receiver has closed the connection
            if data:
                sink.sendall(data)
                return
            sink.shutdown(socket.SHUT_WR)
        if data:
            return
        source = self._others[sink]
        self._ends[sink] = self._ends[source] = self._ends.get(source, 0) + 1
        if self._ends[sink] == 2:
            for sock in (sink, source):
                del self._others[sock], self._ends[sock]
                sock.close()
