"""Routing: which rule of the reverse side takes a request, and why."""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

from policies.host_names import ascii_pattern
from policies.patterns import compile_pattern
from policies.reverse.rewrite import has_prefix
from policies.settings import Match, Route


@dataclass(slots=True)
class RequestAttributes:
    """The properties of a request that routes can match.

    Parameters
    ----------
    host : str
        Host of the request without port and final dot; empty if it has none.
    path : str
        Normalised by `normal_path`.
    method : str
        As sent.
    client : str
        IP address of the client.
    header : callable
        Gives the value of a field by its name in lower case, or None.
    sni : str
        The server name that a TLS client sent, in lower case; empty if none.
    target : str
        The request target as sent, for its query.
    caller : str
        The name in the certificate that the client has proven; empty if none.
    """

    host: str
    path: str
    method: str
    client: str
    header: Callable[[str], str | None]
    sni: str = ""
    target: str = ""
    caller: str = ""


Test = Callable[[RequestAttributes], bool]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one route takes a request, and why."""

    number: int
    taken: bool
    reason: str


def normal_path(target: str) -> str:
    """The path of a request target as an origin would read it; routes are matched against it.

    The query is removed, percent-encoding decoded, and dot segments are resolved (RFC 3986, 6.2.2), so
    that ``/x/../%2egit/config`` cannot evade a rule for ``/.git/*``.

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
    """The text and the test of every condition in `when`."""
    found: list[tuple[str, Test]] = []
    if when.method is not None:
        methods = frozenset(part.strip() for part in when.method.split("|"))
        found.append((f"method {when.method}", lambda request: request.method in methods))
    if when.host is not None:
        host = compile_pattern(ascii_pattern(when.host), ignore_case=True)
        found.append((f"host {when.host}", lambda request: host(request.host)))
    if when.path is not None:
        path = compile_pattern(when.path)
        found.append((f"path {when.path}", lambda request: path(request.path)))
    if when.prefix is not None:
        prefix = when.prefix
        found.append((f"prefix {prefix}", lambda request: has_prefix(request.path, prefix)))
    found += [_header_condition(name, pattern) for name, pattern in when.header.items()]
    found += [_query_condition(name, pattern) for name, pattern in when.query.items()]
    if when.sni is not None:
        sni = compile_pattern(ascii_pattern(when.sni), ignore_case=True)
        found.append((f"sni {when.sni}", lambda request: sni(request.sni)))
    if when.caller is not None:
        called = compile_pattern(ascii_pattern(when.caller), ignore_case=True)
        found.append(
            (f"caller {when.caller}", lambda request: request.caller != "" and called(request.caller))
        )
    if when.client is not None:
        network = ipaddress.ip_network(when.client, strict=False)
        found.append((f"client {when.client}", lambda request: _address(request.client) in network))
    return found


def _header_condition(name: str, pattern: str) -> tuple[str, Test]:
    covers, key = compile_pattern(pattern), name.lower()

    def test(request: RequestAttributes) -> bool:
        value = request.header(key)
        return value is not None and covers(value)

    return f"header {name}: {pattern}", test


def _query_condition(name: str, pattern: str) -> tuple[str, Test]:
    covers = compile_pattern(pattern)

    def test(request: RequestAttributes) -> bool:
        value = _query(request.target.partition("?")[2]).get(name)
        return value is not None and covers(value)

    return f"query {name}: {pattern}", test


@lru_cache(maxsize=256)
def _query(query: str) -> dict[str, str]:
    """The first value of each name in a query."""
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, value)
    return values


class Routes:
    """The rules of the reverse side in file order, compiled; the first that matches takes the request.

    Parameters
    ----------
    routes : sequence of Route
        As in the settings.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._rules = [_conditions(route.when) for route in routes]
        self._tests = [tuple(test for _, test in rule) for rule in self._rules]

    def match(self, request: RequestAttributes) -> int | None:
        """The number of the route that takes the request, or None."""
        for number, tests in enumerate(self._tests):
            for test in tests:
                if not test(request):
                    break
            else:
                return number
        return None

    def explain(self, request: RequestAttributes) -> list[Verdict]:
        """The verdicts of all routes up to the one that takes the request."""
        verdicts = []
        for number, rule in enumerate(self._rules):
            failed = next((text for text, test in rule if not test(request)), None)
            if failed is None:
                texts = " and ".join(text for text, _ in rule)
                verdicts.append(Verdict(number, True, f"matches {texts}" if texts else "takes everything"))
                return verdicts
            verdicts.append(Verdict(number, False, f"{failed} does not match"))
        return verdicts
