"""Handshakes delay no other client, whether they are finished, aborted, or never begun."""

import contextlib
import random
import socket
import ssl
import struct
import threading
import time
from pathlib import Path

import pytest

from realproxy import Limits, Proxy
from realproxy.net.tls import TlsSocket

SECONDS = 30.0


def hold_raw(proxy: Proxy, first: bytes = b"") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=SECONDS)
    sock.sendall(first)
    return sock


CLIENT_HELLO_START = bytes.fromhex("1603010200010001fc0303")


def test_who_never_finishes_a_handshake_holds_up_nobody(origin, serve, secure, shop, until):
    """More of them than there are threads, with nothing sent, with a part, and byte by byte."""
    proxy = serve(origin(), tls=shop, limits=Limits(threads=2, header_timeout="60s", drain="0s"))
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(hold_raw(proxy))
        partial = [stack.enter_context(hold_raw(proxy, CLIENT_HELLO_START)) for _ in range(20)]
        for number in range(8):
            for sock in partial:
                sock.sendall(b"\x00" if number else b"\x01")
            assert secure(proxy).ask().body == b"hello"
        assert proxy.stats()["connections"] == 48, "nobody has given up meanwhile"


def test_a_handshake_that_is_not_finished_ends_when_a_head_would_be_due(origin, serve, shop, until):
    proxy = serve(origin(), tls=shop, limits=Limits(header_timeout="200ms", drain="0s"))
    with hold_raw(proxy) as silent, hold_raw(proxy, CLIENT_HELLO_START) as partial:
        for sock in (silent, partial):
            with contextlib.suppress(ConnectionError):
                while sock.recv(4096):
                    pass
        until(lambda: proxy.stats()["connections"] == 0)


def test_no_handshake_is_done_by_the_thread_that_accepts(origin, serve, secure, shop, monkeypatch):
    done_by = set()
    handshake = TlsSocket.handshake

    def noted(sock: TlsSocket) -> bool:
        done_by.add(threading.current_thread().name)
        return handshake(sock)

    monkeypatch.setattr(TlsSocket, "handshake", noted)
    assert secure(serve(origin(), tls=shop)).ask().body == b"hello"
    assert done_by == {"proxy-worker"}


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x00\x02\x01\x00", b"\xff" * 64]
)
def test_what_is_no_handshake_is_closed(origin, serve, shop, noise):
    proxy = serve(origin(), tls=shop)
    with hold_raw(proxy, noise) as sock, contextlib.suppress(ConnectionError):
        sock.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
        assert not answer.startswith(b"HTTP")


def test_old_versions_are_refused(origin, serve, secure, shop, context):
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        secure(serve(origin(), tls=shop))


def test_a_stop_does_not_wait_for_handshakes(origin, serve, shop):
    proxy = serve(origin(), tls=shop, limits=Limits(drain="30s"))
    with hold_raw(proxy, CLIENT_HELLO_START), hold_raw(proxy):
        began = time.monotonic()
        proxy.stop()
        assert time.monotonic() - began < 20


def descriptors() -> int:
    """Open ones of this process: the proxy's, the origin's and those of the test."""
    return len(list(Path("/proc/self/fd").iterdir()))


def leave_rudely(sock: socket.socket, chance: random.Random) -> None:
    """Close, or reset the connection."""
    if chance.random() < 0.5:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_wherever_clients_break_off_nothing_of_them_is_left(origin, serve, secure, shop, context, until):
    """In the handshake, before a request, in the middle of one, or before its answer was read."""
    proxy, chance = (
        serve(origin(), tls=shop, limits=Limits(header_timeout="1s", drain="0s")),
        random.Random(1),
    )
    assert secure(proxy).ask().body == b"hello"
    before = descriptors()
    for number in range(120):
        sock = hold_raw(proxy)
        with contextlib.suppress(OSError):
            if number % 4 == 0:
                sock.sendall(chance.randbytes(chance.randint(1, 300)))
            elif number % 4 == 1:
                sock.sendall(CLIENT_HELLO_START + bytes(chance.randint(0, 100)))
            else:
                sock = context.wrap_socket(sock, server_hostname="shop.test")
                request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                sock.sendall(request[: chance.randint(1, len(request))])
        leave_rudely(sock, chance)
    until(lambda: proxy.stats()["connections"] == 1)
    until(lambda: descriptors() - before <= 2 * proxy.stats()["upstream_idle"])
    assert secure(proxy).ask().body == b"hello"
