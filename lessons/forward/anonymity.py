"""What an origin learns about a client: without a proxy, and at each level of anonymity."""

from __future__ import annotations

import http.client
from collections.abc import Mapping

from lessons.kit.display import table
from lessons.kit.origin_server import Seen, SmallWeb
from policies.forward.anonymity import LEVELS, TABLE
from realproxy import Forward, Limits, Proxy
from twin.plots.style import MEASURED, NEUTRAL

CLIENT = "127.0.0.2"
"""The client's address in these experiments; the proxy has 127.0.0.1."""
BROWSER = {
    "User-Agent": "Firefox/144 on Linux, 2560x1440, German",
    "Accept-Language": "de-DE, en;q=0.5",
    "Cookie": "visitor=4711",
    "From": "alice@home.test",
    "Referer": "http://forum.test/a-question-about-my-health",
    "X-Forwarded-For": "192.168.1.23",
}
"""Fields that a browser, or another proxy before this one, might send."""


class LevelsTable:
    """The table of header rules, `policies.forward.anonymity.TABLE`, for a notebook."""

    def _repr_html_(self) -> str:
        return table(["field", *LEVELS], self.rows())

    def rows(self) -> list[list[str]]:
        """One row per field: its name, and its rule at each level."""
        return [[f"`{name}`", *rules] for name, rules in TABLE.items()]

    def __repr__(self) -> str:
        return "\n".join(" | ".join(row) for row in self.rows())


def quickly() -> Limits:
    """Short limits, for a proxy of one experiment."""
    return Limits(drain="1s", connect_timeout="2s")


def fetch(url: str, fields: Mapping[str, str], proxy: Proxy | None = None) -> None:
    """GET a page from the address `CLIENT`, through the proxy if one is given."""
    host, _, path = url.removeprefix("http://").partition("/")
    port = int(host.rpartition(":")[2]) if proxy is None else proxy.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(CLIENT, 0))
    try:
        target = f"/{path}" if proxy is None else url
        connection.request("GET", target, headers={"Host": host, "Accept-Encoding": "identity", **fields})
        connection.getresponse().read()
    finally:
        connection.close()


class OriginViews:
    """The requests that the origin received; a notebook shows them as a table.

    Attributes
    ----------
    seen : dict of str to Seen
        The request of each case: ``no proxy``, and the levels of anonymity.
    """

    def __init__(self, seen: Mapping[str, Seen]) -> None:
        self.seen = dict(seen)

    def rows(self) -> list[list[str]]:
        """The source address of the connection, then each field that any request had."""
        names = list(dict.fromkeys(name for seen in self.seen.values() for name in seen.fields))
        names = [name for name in names if name not in ("Host", "Accept-Encoding")]
        rows = [["source address of the connection", *(seen.address for seen in self.seen.values())]]
        for name in names:
            rows.append([f"`{name}`", *(seen.fields.get(name, "–") for seen in self.seen.values())])
        return rows

    def cases_that_reveal(self, address: str = CLIENT) -> list[str]:
        """The cases in which the origin learns the address, from the connection or from a field."""
        return [
            case
            for case, seen in self.seen.items()
            if address == seen.address or any(address in value for value in seen.fields.values())
        ]

    def _repr_html_(self) -> str:
        colours = {1: NEUTRAL} | dict.fromkeys(range(2, 2 + len(LEVELS)), MEASURED)
        return table(["what the origin sees", *self.seen], self.rows(), colours)

    def __repr__(self) -> str:
        return "\n".join(" | ".join(row) for row in self.rows())


def what_the_origin_sees(fields: Mapping[str, str] | None = None) -> OriginViews:
    """Send one request directly, and the same request through a real proxy at each level.

    Parameters
    ----------
    fields : mapping of str to str, optional
        The client's header fields; `BROWSER` by default.
    """
    sent = BROWSER if fields is None else fields
    with SmallWeb() as web:
        fetch(f"{web.url}/", sent)
        for level in LEVELS:
            forward = Forward(private_targets=True, anonymity=level)
            with Proxy(forward=forward, limits=quickly()) as proxy:
                fetch(f"{web.url}/", sent, proxy)
        return OriginViews(dict(zip(("no proxy", *LEVELS), web.seen, strict=True)))
