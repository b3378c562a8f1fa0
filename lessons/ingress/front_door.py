"""A real door: which service a request reaches, and what TLS, redirects and rewrites do to it."""

from __future__ import annotations

import http.client
import socket
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trustme

from lessons.ingress.rules import REQUESTS, SERVICES, door, in_order
from lessons.kit.display import table
from lessons.kit.origin_server import Seen, SmallWeb
from policies.settings import Certificate
from realproxy import Proxy
from twin.plots.style import MEASURED

_SECONDS = 10.0
"""Time limit of all waits."""
REDIRECTED = "moved"


def knock(first: Sequence[str] = ()) -> dict[str, str]:
    """Send the requests of the lesson to a real proxy, and look which service each of them reaches.

    Parameters
    ----------
    first : sequence of str
        Names of rules that go before the others.

    Returns
    -------
    dict of str to str
        For each request, as `Asked.written`, the name of the rule: that of its service, or `REDIRECTED`.
    """
    found = {}
    with ExitStack() as stack:
        webs = {name: stack.enter_context(SmallWeb()) for name in SERVICES}
        addresses = {name: web.url.removeprefix("http://") for name, web in webs.items()}
        proxy = stack.enter_context(Proxy(door(first, addresses)))
        for request in REQUESTS:
            before = {name: len(web.seen) for name, web in webs.items()}
            host, _, path = request.url.removeprefix("http://").partition("/")
            with _connected(proxy) as connection:
                status, _ = _ask(connection, host, f"/{path}", request.fields)
            reached = [name for name, web in webs.items() if len(web.seen) > before[name]]
            rule = "all else" if reached == ["shop"] else "".join(reached)
            found[request.written] = rule or (REDIRECTED if status == 308 else str(status))
    assert set(found.values()) <= set(in_order())
    return found


class Answers:
    """Requests at a door with TLS, and what became of them; a notebook shows them as a table.

    Attributes
    ----------
    rows : list of list of str
        For each request: the name in the handshake, the request, the names that the certificate covers, the
        answer, and what the service got.
    """

    def __init__(self, rows: list[list[str]]) -> None:
        self.rows = rows

    def _repr_html_(self) -> str:
        head = ["name in the handshake", "request", "certificate for", "answer", "the service gets"]
        colours = dict.fromkeys((2, 3, 4), MEASURED)
        return table(head, self.rows, colours).replace("text-align:right", "text-align:left")

    def __repr__(self) -> str:
        return "\n".join(" | ".join(row) for row in self.rows)


def behind_tls() -> Answers:
    """Send requests to a door with two certificates, and to its neighbour that sends all to https."""
    authority, rows = trustme.CA(), []
    with tempfile.TemporaryDirectory() as folder, SmallWeb() as web:
        certificates = [_certificate(authority, Path(folder), name) for name in ("shop.test", "blog.test")]
        to_web = {"web": {"upstreams": [web.url.removeprefix("http://")]}}
        api = {"when": {"prefix": "/api"}, "to": "web", "rewrite": {"strip": "/api", "host": "api.internal"}}
        plain = Proxy(route=[{"redirect": {"scheme": "https", "status": 308}}])
        secure = Proxy(
            tls=certificates,
            route=[{**api, "request": {"set": {"X-Door": "one"}}}, {"to": "web"}],
            service=to_web,
        )
        with plain, secure:
            with _connected(plain) as connection:
                answer = _ask(connection, "shop.test", "/cart", {})
                rows.append(_row("–, http", "http://shop.test/cart", "–", answer, []))
            for name, host, path in (
                ("shop.test", "shop.test", "/api/cart"), ("shop.test", "blog.test", "/"),
                ("blog.test", "blog.test", "/"), ("", "shop.test", "/"),
            ):  # fmt: skip
                with _connected(secure, authority, name) as connection:
                    heard = len(web.seen)
                    answer = _ask(connection, host, path, {})
                    url, covers = f"https://{host}{path}", _names(connection)
                    rows.append(_row(name or "none", url, covers, answer, web.seen[heard:]))
    return Answers(rows)


def _row(name: str, url: str, covers: str, answer: tuple[int, str | None], seen: Sequence[Seen]) -> list[str]:
    status, location = answer
    got = "nothing"
    if seen:
        added = "".join(f", X-Door: {seen[0].fields[one]}" for one in seen[0].fields if one == "X-Door")
        got = f"`{seen[0].target}`, Host: {seen[0].fields['Host']}{added}"
    return [name, f"`{url}`", covers, f"{status}{f', to `{location}`' if location else ''}", got]


def _certificate(authority: trustme.CA, folder: Path, name: str) -> Certificate:
    leaf, cert, key = authority.issue_cert(name), folder / f"{name}.pem", folder / f"{name}.key"
    cert.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(key))
    return Certificate(cert=str(cert), key=str(key))


@contextmanager
def _connected(
    proxy: Proxy, authority: trustme.CA | None = None, name: str = ""
) -> Iterator[http.client.HTTPConnection]:
    """A connection to a proxy; with an authority by TLS, and with a name that the handshake asks for."""
    sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=_SECONDS)
    if authority is not None:
        context = ssl.create_default_context()
        context.check_hostname = False  # the certificate itself is looked at
        authority.configure_trust(context)
        sock = context.wrap_socket(sock, server_hostname=name or None)
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=_SECONDS)
    connection.sock = sock
    try:
        yield connection
    finally:
        connection.close()


def _ask(
    connection: http.client.HTTPConnection, host: str, path: str, fields: Mapping[str, str]
) -> tuple[int, str | None]:
    """Send a request; returns the status and the Location of the answer."""
    connection.request("GET", path, headers={"Host": host, "Accept-Encoding": "identity", **fields})
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers["Location"]


def _names(connection: http.client.HTTPConnection) -> str:
    """The names that the certificate of a connection covers."""
    assert isinstance(connection.sock, ssl.SSLSocket)
    certificate = connection.sock.getpeercert() or {}
    names = certificate.get("subjectAltName", ())
    return ", ".join(str(value) for _, value in names)
