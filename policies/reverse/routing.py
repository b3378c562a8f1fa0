"""Routing: which rule of the reverse side takes a request, and why. Compiled once, then pure."""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from policies.patterns import compile_pattern
from policies.settings import Match, Route


@dataclass(slots=True)
class Asked:
    """What routes look at.

    Parameters
    ----------
    host : str
        Host of the request without port; empty if it named none.
    path : str
        As `normal_path` gives it.
    method : str
        As it was sent.
    client : str
        IP address of the client.
    header : callable
        The value of a field by its name in lower case, or None.
    sni : str
        The name that a TLS client asked for, in lower case; empty if none.
    """

    host: str
    path: str
    method: str
    client: str
    header: Callable[[str], str | None]
    sni: str = ""


Test = Callable[[Asked], bool]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one route says to a request: whether it takes it, and why."""

    number: int
    taken: bool
    reason: str


def normal_path(target: str) -> str:
    """The path of a request target as an origin would read it: what routes are matched against.

    Without the query, percent-decoded, without dot segments (RFC 3986, 6.2.2), so that
    ``/x/../%2egit/config`` cannot slip past a rule for ``/.git/*``.

    Examples
    --------
    >>> normal_path("/x/../%2egit/config?a=1")
    '/.git/config'
    """
    path = target.partition("?")[0]
    if "%" in path:
        path = unquote(path, encoding="utf-8", errors="replace")
    if "/." in path:
        slash = "/" if path.endswith(("/", "/.", "/..")) else ""
        path = "/" + posixpath.normpath(path).strip("/") + slash
        return path if path != "//" else "/"
    return path


@lru_cache(maxsize=4096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _conditions(when: Match) -> list[tuple[str, Test]]:
    """Every condition that `when` sets, as its text and its test."""
    found: list[tuple[str, Test]] = []
    if when.method is not None:
        methods = frozenset(part.strip() for part in when.method.split("|"))
        found.append((f"method {when.method}", lambda asked: asked.method in methods))
    if when.host is not None:
        host = compile_pattern(when.host, ignore_case=True)
        found.append((f"host {when.host}", lambda asked: host(asked.host)))
    if when.path is not None:
        path = compile_pattern(when.path)
        found.append((f"path {when.path}", lambda asked: path(asked.path)))
    found += [_header_condition(name, pattern) for name, pattern in when.header.items()]
    if when.sni is not None:
        sni = compile_pattern(when.sni, ignore_case=True)
        found.append((f"sni {when.sni}", lambda asked: sni(asked.sni)))
    if when.client is not None:
        network = ipaddress.ip_network(when.client, strict=False)
        found.append((f"client {when.client}", lambda asked: _address(asked.client) in network))
    return found


def _header_condition(name: str, pattern: str) -> tuple[str, Test]:
    covers, key = compile_pattern(pattern), name.lower()

    def test(asked: Asked) -> bool:
        value = asked.header(key)
        return value is not None and covers(value)

    return f"header {name}: {pattern}", test


class Routes:
    """The rules of the reverse side in file order; the first that matches takes the request.

    Parameters
    ----------
    routes : sequence of Route
        As the settings have them.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._rules = [_conditions(route.when) for route in routes]
        self._tests = [tuple(test for _, test in rule) for rule in self._rules]

    def match(self, asked: Asked) -> int | None:
        """The number of the route that takes the request, or None."""
        for number, tests in enumerate(self._tests):
            for test in tests:
                if not test(asked):
                    break
            else:
                return number
        return None

    def explain(self, asked: Asked) -> list[Verdict]:
        """What every route says, up to the one that takes the request."""
        verdicts = []
        for number, rule in enumerate(self._rules):
            failed = next((text for text, test in rule if not test(asked)), None)
            if failed is None:
                texts = " and ".join(text for text, _ in rule)
                verdicts.append(Verdict(number, True, f"matches {texts}" if texts else "takes everything"))
                return verdicts
            verdicts.append(Verdict(number, False, f"{failed} does not match"))
        return verdicts
