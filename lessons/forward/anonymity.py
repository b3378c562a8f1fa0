"""What an origin learns of a client: without a proxy, and behind one at each level of anonymity."""

from __future__ import annotations

import http.client
from collections.abc import Mapping

from lessons.forward.origin_server import Seen, SmallWeb
from lessons.kit.display import table
from policies.forward.anonymity import LEVELS, TABLE
from realproxy import Forward, Limits, Proxy
from twin.plots.style import MEASURED, NEUTRAL

CLIENT = "127.0.0.2"
"""The address that the client of these experiments comes from; the proxy has 127.0.0.1."""
BROWSER = {
    "User-Agent": "Firefox/144 on Linux, 2560x1440, German",
    "Accept-Language": "de-DE, en;q=0.5",
    "Cookie": "visitor=4711",
    "From": "alice@home.test",
    "Referer": "http://forum.test/a-question-about-my-health",
    "X-Forwarded-For": "192.168.1.23",
}
"""What a browser, and a proxy at home before ours, might send."""


class LevelsTable:
    """The table of header rules, `policies.forward.anonymity.TABLE`, as a notebook shows it."""

    def _repr_html_(self) -> str:
        return table(["field", *LEVELS], self.rows())

    def rows(self) -> list[list[str]]:
        """Field, and what becomes of it at each level."""
        return [[f"`{name}`", *rules] for name, rules in TABLE.items()]

    def __repr__(self) -> str:
        return "\n".join(" | ".join(row) for row in self.rows())


def quickly() -> Limits:
    """Limits for a proxy that lives for one experiment."""
    return Limits(drain="1s", connect_timeout="2s")


def fetch(url: str, fields: Mapping[str, str], proxy: Proxy | None = None) -> None:
    """Get a page from the client's own address, through a proxy if there is one."""
    host, _, path = url.removeprefix("http://").partition("/")
    port = int(host.rpartition(":")[2]) if proxy is None else proxy.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(CLIENT, 0))
    try:
        target = f"/{path}" if proxy is None else url
        connection.request("GET", target, headers={"Host": host, "Accept-Encoding": "identity", **fields})
        connection.getresponse().read()
    finally:
        connection.close()


class Disguises:
    """What the origin saw in each case; a notebook shows it as a table.

    Attributes
    ----------
    seen : dict of str to Seen
        By case: ``no proxy``, and the levels.
    """

    def __init__(self, seen: Mapping[str, Seen]) -> None:
        self.seen = dict(seen)

    def rows(self) -> list[list[str]]:
        """The connection's address first, then every field that was there in any case."""
        names = list(dict.fromkeys(name for seen in self.seen.values() for name in seen.fields))
        names = [name for name in names if name not in ("Host", "Accept-Encoding")]
        rows = [["the connection comes from", *(seen.address for seen in self.seen.values())]]
        for name in names:
            rows.append([f"`{name}`", *(seen.fields.get(name, "–") for seen in self.seen.values())])
        return rows

    def who_is_told(self, address: str = CLIENT) -> list[str]:
        """The cases in which the origin learns an address, from the connection or from a field."""
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


def what_the_origin_sees(fields: Mapping[str, str] | None = None) -> Disguises:
    """Send one request directly, and the same through a real proxy at each level.

    Parameters
    ----------
    fields : mapping of str to str, optional
        Header fields that the client sends; those of `BROWSER` by default.
    """
    sent = BROWSER if fields is None else fields
    with SmallWeb() as web:
        fetch(f"{web.url}/", sent)
        for level in LEVELS:
            forward = Forward(private_targets=True, anonymity=level)
            with Proxy(forward=forward, limits=quickly()) as proxy:
                fetch(f"{web.url}/", sent, proxy)
        return Disguises(dict(zip(("no proxy", *LEVELS), web.seen, strict=True)))
