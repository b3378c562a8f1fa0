"""The port of one replica, which can be closed and opened again, and all connections to it.

Threads: one thread accepts while the port is open, one serves each connection. Any other thread may open
and close the port. One lock owns the connections and the listening socket.

A second socket is bound to the port as long as the replica lives, but never listens. So connections are
refused while the port is closed, and no other program can take the port.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

_RESET = struct.pack("ii", 1, 0)


class Port:
    """Accepts connections on a free port of the loopback, after `open`.

    Parameters
    ----------
    name : str
        Name of its threads.
    serve : callable
        Serves one connection to its end, in a separate thread.
    number : int
        The port; any free one by default.
    """

    def __init__(self, name: str, serve: Callable[[socket.socket], None], number: int = 0) -> None:
        self._name, self._serve = name, serve
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._holder = _bound(number)
        self.number = int(self._holder.getsockname()[1])

    def open(self) -> None:
        """Start to accept connections, if the port is closed."""
        with self._lock:
            if self._listener is not None:
                return
            listener = self._listener = _bound(self.number)
            listener.listen(1024)
        threading.Thread(
            target=self._accept, args=(listener,), name=f"accept {self._name}", daemon=True
        ).start()

    def close(self) -> None:
        """Refuse new connections, and reset all open ones."""
        with self._lock:
            listener, self._listener = self._listener, None
            connections, self._connections = self._connections, set()
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listener.close()
        for connection in connections:
            with contextlib.suppress(OSError):  # its thread may have closed it
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if listener is not self._listener:  # the port was closed at this moment
                    connection.close()
                    return
                self._connections.add(connection)
            threading.Thread(target=self._run, args=(connection,), name=self._name, daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._serve(connection)
            finally:
                with self._lock:
                    self._connections.discard(connection)


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    return sock
