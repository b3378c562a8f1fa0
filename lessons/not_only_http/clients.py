"""Clients that reach a server through a proxy: with raw TCP, CONNECT, SOCKS4a and SOCKS5."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable

from lessons.not_only_http.servers import SECONDS

LOGIN = ("student", "secret")


class Refused(Exception):
    """The proxy refused the connection; the message contains its reply."""


def receive(sock: socket.socket, size: int) -> bytes:
    """Read exactly `size` bytes; raises `Refused` if the connection ends before."""
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise Refused(f"the connection ended after {data!r}")
        data += piece
    return data


def receive_until(sock: socket.socket, end: bytes) -> bytes:
    """Read up to and including `end`."""
    data = b""
    while not data.endswith(end):
        data += receive(sock, 1)
    return data


def _no_setup(_: socket.socket, __: int) -> None:
    return


def _connect(sock: socket.socket, port: int) -> None:
    sock.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (port, port))
    answer = receive_until(sock, b"\r\n\r\n")
    if answer.split(b" ")[1] != b"200":
        raise Refused(answer.split(b"\r\n")[0].decode())


def _socks4a(sock: socket.socket, port: int) -> None:
    # Version, command, port, an address that means "a name follows", no user, the name.
    sock.sendall(b"\x04\x01" + port.to_bytes(2) + b"\x00\x00\x00\x01" + b"\x00" + b"localhost\x00")
    if (answer := receive(sock, 8))[1] != 90:
        raise Refused(f"SOCKS4 reply {answer[1]}")


def _socks5_request(port: int) -> bytes:
    return b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + port.to_bytes(2)


def _socks5_reply(sock: socket.socket) -> None:
    if (answer := receive(sock, 10))[1] != 0:
        raise Refused(f"SOCKS5 reply {answer[1]}")


def _socks5(sock: socket.socket, port: int) -> None:
    sock.sendall(b"\x05\x01\x00")
    receive(sock, 2)
    sock.sendall(_socks5_request(port))
    _socks5_reply(sock)


def _socks5_login(sock: socket.socket, port: int) -> None:
    sock.sendall(b"\x05\x01\x02")
    receive(sock, 2)
    user, password = (text.encode() for text in LOGIN)
    sock.sendall(b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password)
    receive(sock, 2)
    sock.sendall(_socks5_request(port))
    _socks5_reply(sock)


SETUP: dict[str, Callable[[socket.socket, int], None]] = {
    "raw TCP": _no_setup,
    "CONNECT": _connect,
    "SOCKS4a": _socks4a,
    "SOCKS5": _socks5,
    "SOCKS5, login": _socks5_login,
}
"""The setup of each way: what a client exchanges with the proxy before its first request."""


def shout_through(
    way: str, proxy: int, target: int, line: bytes = b"is a proxy only for HTTP?\n"
) -> tuple[bytes, float]:
    """Send one line to the server of `shouting_server`, through a proxy.

    Parameters
    ----------
    way : str
        A key of `SETUP`.
    proxy, target : int
        Ports.
    line : bytes
        The request.

    Returns
    -------
    tuple of bytes and float
        The response, and the milliseconds from the first byte of the setup to the response.
    """
    with socket.create_connection(("127.0.0.1", proxy), timeout=SECONDS) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        SETUP[way](sock, target)
        sock.sendall(line)
        answer = receive_until(sock, b"\n")
        return answer, 1e3 * (time.perf_counter() - began)


def shout_often(way: str, proxy: int, target: int, requests: int) -> tuple[float, list[float]]:
    """Send several lines on one connection, each after the response to the one before.

    Returns
    -------
    float, list of float
        The milliseconds of the setup, and of each request with its response.
    """
    with socket.create_connection(("127.0.0.1", proxy), timeout=SECONDS) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        moments = [time.perf_counter()]
        SETUP[way](sock, target)
        moments.append(time.perf_counter())
        for number in range(requests):
            sock.sendall(b"line %d\n" % number)
            receive_until(sock, b"\n")
            moments.append(time.perf_counter())
    setup, *each = (1e3 * (after - before) for before, after in itertools.pairwise(moments))
    return setup, each


def shout_pipelined(proxy: int, target: int, line: bytes = b"why wait?\n") -> tuple[bytes, float]:
    """The same with SOCKS5, but the client sends setup and request at once, before the first reply."""
    with socket.create_connection(("127.0.0.1", proxy), timeout=SECONDS) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        sock.sendall(b"\x05\x01\x00" + _socks5_request(target) + line)
        receive(sock, 2)
        _socks5_reply(sock)
        answer = receive_until(sock, b"\n")
        return answer, 1e3 * (time.perf_counter() - began)
