"""The TLS socket itself: it can be used like any other."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from realproxy.net.tls import TlsSocket


@pytest.fixture
def pair(shop, context) -> Iterator[tuple[TlsSocket, TlsSocket]]:
    from realproxy.net.certificates import Certificates

    one, other = socket.socketpair()
    server = TlsSocket(one, Certificates([shop], "test").context)
    client = TlsSocket(other, context, "shop.test")
    while not all([client.handshake(), server.handshake()]):
        pass
    yield server, client
    server.close()
    client.close()


def test_what_could_not_be_sent_is_offered_again_and_arrives_once(pair):
    server, client = pair
    server.setblocking(False)
    blob = memoryview(os.urandom(4_000_000))
    left, received, refused = blob, b"", 0
    while left or len(received) < len(blob):
        with contextlib.suppress(BlockingIOError):
            while left:
                left = left[server.send(left) :]
        refused += bool(left)
        with contextlib.suppress(BlockingIOError):
            received += client.recv(2**16, socket.MSG_DONTWAIT)
    assert received == blob
    assert refused


def test_nothing_is_left_inside_when_a_read_would_block(pair):
    server, client = pair
    for size in (1, 2**14, 2**14 + 1, 2**18):
        sender = threading.Thread(target=client.sendall, args=(b"x" * size,))
        sender.start()
        received = 0
        while received < size:
            received += len(server.recv(10))
        sender.join()
        with pytest.raises(BlockingIOError):
            server.recv(10, socket.MSG_DONTWAIT)


def test_a_peek_takes_nothing(pair):
    server, client = pair
    with pytest.raises(BlockingIOError):
        server.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    client.sendall(b"hello")
    assert server.recv(1, socket.MSG_PEEK) == b"h"
    buffer = bytearray(3)
    assert (server.recv_into(memoryview(buffer)), bytes(buffer), server.recv(9)) == (3, b"hel", b"lo")


def test_a_proper_end_is_empty_and_any_other_an_error(pair):
    server, client = pair
    client.sendall(b"last")
    client.shutdown(socket.SHUT_WR)
    assert (server.recv(9), server.recv(9), server.recv(9)) == (b"last", b"", b"")
    server.sendall(b"answer")  # the other direction goes on
    assert client.recv(9) == b"answer"
    server.shutdown(socket.SHUT_RDWR)
    with pytest.raises(ConnectionError):
        client.recv(9)
