"""Can a proxy replace a VPN? Seven ways to reach a server, and what the server and the proxy learn.

Every cell of the table comes from a real run: from the server's view of the connection, and from the
proxy's log.
"""

from __future__ import annotations

import http.client
import json
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lessons.forward.anonymity import BROWSER, CLIENT, fetch, quickly
from lessons.kit.display import table
from lessons.kit.origin_server import SmallWeb
from realproxy import Forward, Log, Proxy
from realproxy.socks import ClientHandshake, wrap_datagram
from twin.plots.style import MEASURED

TELLING = ("Cookie", "From", "Referer", "X-Forwarded-For")
"""Fields that identify the user."""
NAME = "localhost"
"""The name of the server in these experiments."""


@dataclass(frozen=True)
class Way:
    """One way to reach the server, and what each side saw.

    Attributes
    ----------
    name : str
        The text in the table.
    came_from : str
        The source address that the server saw.
    fields : dict of str to str
        The header fields that the server received; empty if it was not HTTP.
    log : dict or None
        The proxy's log line; None if the proxy saw nothing.
    resolved_by : str
        The machine that looked up the name.
    """

    name: str
    came_from: str
    fields: dict[str, str]
    log: dict[str, Any] | None
    resolved_by: str

    @property
    def proxy_reads(self) -> str:
        """What the proxy's log contains."""
        if self.log is None:
            return "nothing"
        if self.log["side"] == "forward":
            return f"everything: {self.log['method']} {self.log['target'].partition('?')[0]} …"
        where = self.log["target"] if self.log["side"] != "udp" else "a client's datagrams"
        return f"{where}, {self.log['received']:,} bytes out and {self.log['bytes']:,} back"


class Ways:
    """Several ways; a notebook shows them as a table."""

    def __init__(self, ways: list[Way]) -> None:
        self.ways = ways

    def rows(self) -> list[list[str]]:
        """One row per way."""
        return [
            [
                way.name,
                f"{way.came_from} ({'the proxy' if way.came_from != CLIENT else 'you'})",
                ", ".join(f"`{name}`" for name in TELLING if name in way.fields) or "–",
                way.resolved_by,
                way.proxy_reads,
            ]
            for way in self.ways
        ]

    def _repr_html_(self) -> str:
        head = ["way", "source address", "identifying fields", "name looked up by", "the proxy's log"]
        return table(head, self.rows(), {1: MEASURED, 4: MEASURED})

    def __repr__(self) -> str:
        return "\n".join(" | ".join(row) for row in self.rows())


def what_still_leaks() -> Ways:
    """Send HTTP requests and datagrams to a server, through an elite proxy and directly."""
    with SmallWeb() as web, _Datagrams() as far, tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "access.log"
        forward = Forward(private_targets=True, anonymity="elite", connect_ports=[web.port])
        with Proxy(forward=forward, log=Log(file=str(log)), limits=quickly()) as proxy:
            url = f"http://{NAME}:{web.port}/clinic?question=my-health"
            fetch(url, BROWSER, proxy)
            _through(_connect(proxy, NAME, web.port), web.port)
            _through(_socks(proxy, NAME, web.port), web.port)
            _through(_socks(proxy, socket.gethostbyname(NAME), web.port), web.port)
            came_by_socks = _datagram_by_socks(proxy, far)
            fetch(url, BROWSER)
            came_directly = far.heard_from(_send_directly)
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    http_line, connect_line, name_line, address_line, datagram_line = sorted(lines, key=_order)
    plain, tunnel, by_name, by_address, direct = web.seen
    here = "your machine"
    there = "the proxy"
    return Ways(
        [
            Way("http through the proxy", plain.address, plain.fields, http_line, there),
            Way("CONNECT, as for https", tunnel.address, tunnel.fields, connect_line, there),
            Way("SOCKS5 with a name", by_name.address, by_name.fields, name_line, there),
            Way("SOCKS5 with an address", by_address.address, by_address.fields, address_line, here),
            Way("datagrams through SOCKS5", came_by_socks, {}, datagram_line, there),
            Way("a program that ignores the proxy", direct.address, direct.fields, None, here),
            Way("its datagrams: DNS, calls, games", came_directly, {}, None, here),
        ]
    )


def _order(line: dict[str, Any]) -> tuple[int, str]:
    """Sort key for log lines: tunnels are logged when they end, in any order."""
    place = ["forward", "tunnel", "socks5", "udp"].index(line["side"])
    return place, "" if str(line["target"]).startswith(NAME) else "address"


# --- the ways ------------------------------------------------------------------------------------


def _dial(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=30, source_address=(CLIENT, 0))


def _connect(proxy: Proxy, host: str, port: int) -> socket.socket:
    sock = _dial(proxy)
    sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    while not (answer := sock.recv(1000)).endswith(b"\r\n\r\n"):
        assert answer
    return sock


def _socks(proxy: Proxy, host: str, port: int) -> socket.socket:
    sock, asking = _dial(proxy), ClientHandshake(host, port)
    sock.sendall(asking.start())
    while not asking.done:
        sock.sendall(asking.feed(sock.recv(1000)))
    return sock


def _through(sock: socket.socket, port: int) -> None:
    """Send a browser's request inside a tunnel, and read the response."""
    connection = http.client.HTTPConnection(NAME, port)
    connection.sock = sock
    try:
        connection.request("GET", "/clinic?question=my-health", headers=BROWSER)
        connection.getresponse().read()
    finally:
        connection.close()


class _Datagrams:
    """A UDP server that returns the source address of a datagram."""

    def __enter__(self) -> _Datagrams:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.settimeout(10)
        self.port: int = self._sock.getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def heard_from(self, send: Any) -> str:
        """The source address of the datagram that `send` sends to the server's port."""
        send(self.port)
        return str(self._sock.recvfrom(100)[1][0])


def _send_directly(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((CLIENT, 0))
        sock.sendto(b"hello", ("127.0.0.1", port))


def _datagram_by_socks(proxy: Proxy, far: _Datagrams) -> str:
    with _dial(proxy) as control, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((CLIENT, 0))
        control.sendall(b"\x05\x01\x00" + b"\x05\x03\x00\x01" + bytes(6))  # hello, and UDP ASSOCIATE
        answer = b""
        while len(answer) < 12:
            answer += control.recv(100)
        relay = (socket.inet_ntoa(answer[6:10]), int.from_bytes(answer[10:12], "big"))
        return far.heard_from(lambda port: sock.sendto(wrap_datagram(NAME, port, b"hello"), relay))
