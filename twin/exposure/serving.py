"""A small server of the experiment: one thread accepts, and one thread serves each connection.

The owner of the listener is its thread, and a connection's owner is its own. `Listener.close` shuts the
listener down, which wakes its thread, and waits for all threads; every connection has a time limit.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Protocol

from twin.exposure.namespaces import Namespace

SECONDS = 5.0
"""Time limit of every wait on a connection."""


class Stream(Protocol):
    """What a message is read from and sent on: a connection, with or without TLS."""

    def recv(self, size: int, /) -> bytes:
        """Some data, empty at the end."""
        ...

    def sendall(self, data: bytes, /) -> None:
        """Send all data."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


Serve = Callable[[socket.socket], None]


class Listener:
    """Accepts connections at an address in a namespace, until it is closed.

    Parameters
    ----------
    space : Namespace
    address : str
    port : int
    serve : callable
        Serves one connection in a thread of its own; the listener closes the connection afterwards.
    """

    def __init__(self, space: Namespace, address: str, port: int, serve: Serve) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._serve = serve
        with space.entered():
            self._socket = socket.create_server((address, port), family=family)
            self._threads = [threading.Thread(target=self._accept, name=f"exposure-{port}", daemon=True)]
            self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        connection.settimeout(SECONDS)
        with connection, contextlib.suppress(OSError, ValueError):  # a client that breaks off
            self._serve(connection)

    def close(self) -> None:
        """Accept no more, and wait for the connections that are served."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(2 * SECONDS)


def read_head(sock: Stream) -> tuple[bytes, bytes]:
    """The head of an HTTP message with its blank line, and what came after it; raises `ValueError`."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(2**16)
        if not piece or len(data) > 2**16:
            raise ValueError("no whole head")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def read_message(sock: Stream) -> bytes:
    """A whole HTTP message that states its length; raises `ValueError` if it ends too early."""
    head, body = read_head(sock)
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        piece = sock.recv(2**16)
        if not piece:
            raise ValueError("the body ends too early")
        body += piece
    return head + body
