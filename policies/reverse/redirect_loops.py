"""Redirects that lead back to their own route, so that a browser would never arrive: worth a warning."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from policies.reverse.redirect import DEFAULT_PORTS, location
from policies.reverse.rewrite import SAFE
from policies.reverse.routing import RequestAttributes, Routes, normal_path
from policies.settings.proxy import ProxySettings
from policies.settings.routes import Match

HOPS = 10
"""A browser gives up after some more."""
_HOST = "a.test"
_ANY_FREE = 49152
"""Stands for the port of a proxy that listens on any free one."""
_PATTERN = re.compile(r"~|.*[*?\[]")


def endless_redirects(settings: ProxySettings) -> Iterator[int]:
    """The numbers of routes whose redirect takes the same route again and again.

    One request that the route takes is followed, if one can be made up: a regular expression, or a glob for
    anything but the host and the path, says nothing about the values that it matches.
    """
    routes = Routes(settings.route)
    for number, route in enumerate(settings.route):
        request = _example(route.when) if route.redirect is not None else None
        if request is not None and _comes_back(settings, routes, number, request):
            yield number


def _example(when: Match) -> RequestAttributes | None:
    """A request that fulfils the conditions; None if none is at hand."""
    others = [when.sni or "", *when.header.values(), *when.query.values()]
    if any(_PATTERN.match(text) for text in others) or (when.path or "").startswith("~"):
        return None
    fields = {name.lower(): value for name, value in when.header.items()}
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in when.query.items())
    path = _filled(when.path or when.prefix or "/")
    host = _filled(when.host or _HOST)
    client = str(ipaddress.ip_network(when.client, strict=False)[0]) if when.client else "192.0.2.1"
    method = (when.method or "GET").partition("|")[0].strip()
    target = quote(path, safe=SAFE) + (f"?{query}" if query else "")
    sni = when.sni or ""
    return RequestAttributes(host, normal_path(target), method, client, fields.get, sni, target)


def _filled(pattern: str) -> str:
    """A text that a glob matches; of a set, its first character."""
    return re.sub(r"\[([^!\]])[^\]]*\]", r"\1", pattern).replace("*", "x").replace("?", "x")


def _comes_back(settings: ProxySettings, routes: Routes, number: int, request: RequestAttributes) -> bool:
    """Whether a browser that follows the Locations is still at this route after some hops."""
    route = settings.route[number]
    redirect = route.redirect
    assert redirect is not None
    if redirect.host is not None and route.when.host is None:
        return False  # that host may be another machine
    scheme = "https" if settings.tls else "http"
    port = int(settings.listen.rpartition(":")[2]) or _ANY_FREE
    if request.host.startswith("~"):
        return False
    for _ in range(HOPS):
        if routes.match(request) != number:
            return False
        host = f"[{request.host}]" if ":" in request.host else request.host
        where = urlsplit(location(redirect, scheme, host, port, port, request.target, request.path))
        if (where.scheme, where.port or DEFAULT_PORTS[where.scheme]) != (scheme, port):
            return False
        request.host = where.hostname or ""
        request.target = where.path + (f"?{where.query}" if where.query else "")
        request.path = normal_path(request.target)
    return True
