"""What speaks no HTTP: a shouting server, clients that reach it by every way, and Redis if it is there."""

from __future__ import annotations

import contextlib
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

from loadtests.free_port import free_port

SECONDS = 20.0
"""Nobody here waits longer."""
LOGIN = ("student", "secret")


class _Shouting(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            for line in self.rfile:
                self.wfile.write(line.upper())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True


@contextlib.contextmanager
def shouting_server() -> Iterator[int]:
    """A server that answers every line in capitals; gives its port on loopback."""
    with _Server(("127.0.0.1", 0), _Shouting) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def redis_server() -> Iterator[int]:
    """A real Redis with nothing in it; gives its port. Needs the program ``redis-server``."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await_port(port)
            yield port
        finally:
            process.terminate()
            process.wait(SECONDS)


def has_redis() -> bool:
    """Whether this machine has ``redis-server``."""
    return shutil.which("redis-server") is not None


def _await_port(port: int) -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


class Refused(Exception):
    """The proxy did not open the way; says what it answered."""


def receive(sock: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes; raises `Refused` if the connection ends before."""
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise Refused(f"the connection ended after {data!r}")
        data += piece
    return data


def receive_until(sock: socket.socket, end: bytes) -> bytes:
    """Everything up to `end`."""
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
    # Version, command, port, an address that says "the name follows", no user, the name.
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
"""What a client does on a connection to a proxy to reach another port, by way."""


def shout_through(
    way: str, proxy: int, target: int, line: bytes = b"is a proxy only for HTTP?\n"
) -> tuple[bytes, float]:
    """Reach the shouting server by a way, once.

    Parameters
    ----------
    way : str
        A key of `SETUP`.
    proxy, target : int
        Ports.
    line : bytes
        What is said.

    Returns
    -------
    tuple of bytes and float
        What came back, and the milliseconds from the first byte to the answer.
    """
    with socket.create_connection(("127.0.0.1", proxy), timeout=SECONDS) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        SETUP[way](sock, target)
        sock.sendall(line)
        answer = receive_until(sock, b"\n")
        return answer, 1e3 * (time.perf_counter() - began)


def shout_impatiently(proxy: int, target: int, line: bytes = b"why wait?\n") -> tuple[bytes, float]:
    """The same by SOCKS5, but all of it is said at once, before any answer has come."""
    with socket.create_connection(("127.0.0.1", proxy), timeout=SECONDS) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        sock.sendall(b"\x05\x01\x00" + _socks5_request(target) + line)
        receive(sock, 2)
        _socks5_reply(sock)
        answer = receive_until(sock, b"\n")
        return answer, 1e3 * (time.perf_counter() - began)
