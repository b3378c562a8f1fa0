"""Real proxies: a forward one before a reverse one, and two sidecars with both sides in one process."""

from __future__ import annotations

import http.client
import ssl
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from lessons.kit.display import table
from lessons.kit.origin_server import Seen, SmallWeb
from policies.settings import Identity
from realproxy import Forward, Proxy
from scenarios.workload import client_address
from twin.certificates import write_certificates
from twin.plots.style import MEASURED

_SECONDS = 10.0
"""Time limit of all waits."""
ANYWHERE = "127.0.0.1:0"


class Answers:
    """What became of some requests; a notebook shows them as a table.

    Attributes
    ----------
    head : list of str
    rows : list of list of str
    """

    def __init__(self, head: list[str], rows: list[list[str]]) -> None:
        self.head, self.rows = head, rows

    def _repr_html_(self) -> str:
        colours = dict.fromkeys(range(2, len(self.head)), MEASURED)
        return table(self.head, self.rows, colours).replace("text-align:right", "text-align:left")

    def __repr__(self) -> str:
        return "\n".join(" | ".join(row) for row in self.rows)


def clients_at_the_site(users: int = 40, *, through_forward: bool = True) -> tuple[int, Seen]:
    """How many clients a site's reverse proxy sees, and a request that its web server got.

    Each user has its own address. With `through_forward`, all of them ask the same forward proxy for the
    site, and that asks the site's proxy.
    """
    with SmallWeb() as web:
        upstreams = [web.url.removeprefix("http://")]
        site = Proxy(route=[{"to": "web"}], service={"web": {"upstreams": upstreams}})
        own = Proxy(forward=Forward(private_targets=True))
        with site, own:
            port = own.port if through_forward else site.port
            for number in range(users):
                _ask(port, f"{site.url if through_forward else ''}/", source=client_address(number))
        return len({seen.fields["X-Forwarded-For"] for seen in web.seen}), web.seen[-1]


def both_ways() -> Answers:
    """Forty users ask a site directly, and through a forward proxy."""
    rows = []
    for way, through in (("directly", False), ("through a forward proxy", True)):
        clients, seen = clients_at_the_site(through_forward=through)
        rows.append(["40 users", way, str(clients), seen.fields.get("Via", "–")])
    return Answers(["who asks", "how", "clients that the site sees", "Via at the web server"], rows)


def sidecars() -> Answers:
    """Three programs call the service ``cart``; two of them through sidecars with mutual TLS."""
    with tempfile.TemporaryDirectory() as folder, SmallWeb() as program:
        write_certificates(Path(folder), ["front", "cart", "guest"], days=1)
        cart = Proxy(
            identity=Identity(folder=folder, name="cart"),
            route=[{"when": {"caller": "front"}, "to": "program"}, {"respond": 403}],
            service={"program": {"upstreams": [program.url.removeprefix("http://")]}},
        )
        with cart:
            rows = []
            for name in ("front", "guest"):
                with _sidecar(folder, name, cart.port) as own:
                    heard = len(program.seen)
                    answer = _ask(own.forward_port, "http://cart/items")
                    rows.append([name, "its sidecar, then cart's", answer, _got(program.seen[heard:])])
            heard = len(program.seen)
            answer = _ask_without_certificate(cart.port)
            rows.append(["a stranger", "cart's sidecar", answer, _got(program.seen[heard:])])
    return Answers(["who calls", "through", "answer", "the program of cart gets"], rows)


def _sidecar(folder: str, name: str, cart_port: int) -> Proxy:
    """The sidecar of a program: its forward side knows ``cart`` by name."""
    return Proxy(
        identity=Identity(folder=folder, name=name),
        forward=Forward(listen=ANYWHERE, services=True),
        service={"cart": {"upstreams": [f"127.0.0.1:{cart_port}"], "mutual": True}},
    )


def _got(seen: list[Seen]) -> str:
    if not seen:
        return "nothing"
    (one,) = seen
    return f"`{one.target}`, Host: {one.fields['Host']}, Via: {one.fields['Via']}"


def _ask(port: int, target: str, source: str = "") -> str:
    """The status of a request, in plain HTTP."""
    address: Any = (source, 0) if source else None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS, source_address=address)
    with closing(connection):
        connection.request("GET", target)
        answer = connection.getresponse()
        answer.read()
        return str(answer.status)


def _ask_without_certificate(port: int) -> str:
    """The same by TLS, without showing a certificate, and without looking at that of the proxy."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=_SECONDS, context=context)
    with closing(connection):
        try:
            connection.request("GET", "/items")
            return str(connection.getresponse().status)
        except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
            return "connection refused: no certificate"
