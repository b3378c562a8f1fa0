"""Experiments: which protocols go through a proxy, and a chain of two proxies."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lessons.kit.display import table
from lessons.not_only_http.clients import SETUP, Refused, receive_until
from lessons.not_only_http.servers import SECONDS, has_redis, redis_server, shouting_server
from lessons.not_only_http.tunnel_measured import proxy_for_anything
from realproxy import Forward, Limits, Proxy, Route, Service

WAYS_IN = ("HTTP port, no setup", "CONNECT", "SOCKS5", "raw TCP")
_LIMITS = Limits(drain="0s")


@dataclass(frozen=True)
class Crossings:
    """The first line of each response, by protocol and way."""

    answers: dict[str, dict[str, str]]

    def _repr_html_(self) -> str:
        rows = [[said, *(f"`{got[way]}`" for way in WAYS_IN)] for said, got in self.answers.items()]
        return table(["protocol", *WAYS_IN], rows)

    def __repr__(self) -> str:
        return "\n".join(f"{said}: {got}" for said, got in self.answers.items())


class _TellsHeaders(BaseHTTPRequestHandler):
    """Answers every GET, and records its header fields."""

    server: _Origin

    def do_GET(self) -> None:
        names = set(self.headers)
        self.server.seen.append({name: ", ".join(self.headers.get_all(name, [])) for name in names})
        body = b"the origin says hello"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name is given
        return


class _Origin(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _TellsHeaders)
        self.seen: list[dict[str, str]] = []


@contextlib.contextmanager
def _origin() -> Iterator[_Origin]:
    with _Origin() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _first_line(way: str, proxy: Proxy, target: int, said: bytes) -> str:
    port = proxy.tcp_ports[0] if way == "raw TCP" else proxy.port
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock:
        try:
            if way in SETUP:
                SETUP[way](sock, target)
            sock.sendall(said)
            return receive_until(sock, b"\n").decode().strip()
        except (Refused, OSError) as error:
            return str(error)


def what_goes_through() -> Crossings:
    """Send different protocols in different ways, and record the first line of each response.

    Redis is one of the protocols if this machine has ``redis-server``.
    """
    answers: dict[str, dict[str, str]] = {}
    with contextlib.ExitStack() as stack:
        servers = {
            "lines of text": (stack.enter_context(shouting_server()), b"hello\n"),
            "HTTP": (
                stack.enter_context(_origin()).server_port,
                b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n",
            ),
        }
        if has_redis():
            servers["Redis"] = (stack.enter_context(redis_server()), b"PING\r\n\r\n")
        for name, (port, said) in servers.items():
            with proxy_for_anything(port) as proxy:
                answers[name] = {way: _first_line(way, proxy, port, said) for way in WAYS_IN}
    return Crossings(answers)


def redis_through(way: str, *commands: str) -> list[str]:
    """Send inline commands to a real Redis through the proxy; returns one line for each response."""
    with redis_server() as port, proxy_for_anything(port) as proxy:
        entrance = proxy.tcp_ports[0] if way == "raw TCP" else proxy.port
        with socket.create_connection(("127.0.0.1", entrance), timeout=SECONDS) as sock:
            SETUP[way](sock, port)
            answers = []
            for command in commands:
                sock.sendall(command.encode() + b"\r\n")
                line = receive_until(sock, b"\r\n")
                if line.startswith(b"$") and line != b"$-1\r\n":  # a bulk string: its length, then its bytes
                    line = receive_until(sock, b"\r\n")
                answers.append(line.decode().strip())
            return answers


@dataclass(frozen=True)
class Passage:
    """One request, and what the origin saw of it.

    Attributes
    ----------
    asked : str
        The proxy and the target, in words.
    status : int
        Status of the response.
    via : str
        The field Via at the origin.
    forwarded_for : str
        The field X-Forwarded-For at the origin.
    """

    asked: str
    status: int
    via: str
    forwarded_for: str


class Passages(tuple[Passage, ...]):
    """Several passages; a notebook shows them as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        rows = [[p.asked, str(p.status), p.via or "–", p.forwarded_for or "–"] for p in self]
        return table(["proxy: target", "status", "Via, at the origin", "X-Forwarded-For"], rows)


def chained() -> Passages:
    """Request a page through a forward proxy, a reverse proxy, a chain of both, and a proxy that is both."""
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(_origin())
        address = f"127.0.0.1:{origin.server_port}"
        route, service = [Route(to="it")], {"it": Service(upstreams=address)}
        everywhere = Forward(private_targets=True, anonymity="transparent")
        forward = stack.enter_context(Proxy(forward=everywhere, limits=_LIMITS))
        reverse = stack.enter_context(Proxy(route=route, service=service, limits=_LIMITS))
        both = stack.enter_context(Proxy(forward=everywhere, route=route, service=service, limits=_LIMITS))
        asked = [
            ("forward: the origin's address", forward.port, f"http://{address}/"),
            ("reverse: the proxy's address", reverse.port, "/"),
            ("forward: the reverse proxy's address", forward.port, f"http://127.0.0.1:{reverse.port}/"),
            ("both on one port: the proxy's address", both.port, "/"),
            ("both on one port: the origin's address", both.port, f"http://{address}/"),
        ]
        return Passages(_pass(origin, *each) for each in asked)


def _pass(origin: _Origin, asked: str, port: int, target: str) -> Passage:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", target)
        status = connection.getresponse().status
    seen = origin.seen[-1]
    return Passage(asked, status, seen.get("Via", ""), seen.get("X-Forwarded-For", ""))
