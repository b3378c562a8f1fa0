"""Which rule takes a request, and what the cache makes of an answer: decided without a running proxy."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from policies.bad_input import BadInput
from policies.forward.anonymity import changes
from policies.http_cache.explain import explain_answer
from policies.http_cache.freshness import Forwarded, read_request
from policies.reverse.routing import Routes, Verdict
from policies.settings import Forward, ProxySettings
from realproxy.cache.store import cache_key
from realproxy.errors import LocalReply
from realproxy.http1 import Malformed, RequestHead, ResponseHead, TargetForm, parse_request, parse_response
from realproxy.net.resolver import Resolver
from realproxy.proxying.forward_access import ForwardAccess, target_host
from realproxy.proxying.pipeline import FORWARD_RULES
from realproxy.proxying.routing import is_forward_request, request_attributes


@dataclass(frozen=True)
class Explanation:
    """Who takes a request, and why.

    Parameters
    ----------
    side : str
        ``reverse``, ``forward``, ``tunnel``, ``socks4``, ``socks5`` or ``refused``.
    route : int or None
        Number of the route that takes it.
    verdicts : list of Verdict
        What every route says, up to the one that takes it.
    answer : str
        What happens to it.
    cache : str
        What the cache would do.
    notes : list of str
        What else happens on the forward side: what it wants to know, where it asks, what it tells.
    """

    side: str
    route: int | None
    answer: str
    cache: str
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The explanation for a reader, one line a thought."""
        steps = [
            f"route.{verdict.number}: {'yes' if verdict.taken else 'no'}, {verdict.reason}"
            for verdict in self.verdicts
        ]
        return [*steps, f"{self.side}: {self.answer}", f"cache: {self.cache}", *self.notes]


def explain(
    settings: ProxySettings,
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    client: str = "127.0.0.1",
    where: str = "request",
) -> Explanation:
    """Which rule takes a request and why each earlier one does not.

    Parameters
    ----------
    settings : ProxySettings
        Of the proxy.
    method : str
        Such as ``GET``; ``SOCKS4`` and ``SOCKS5`` stand for what these protocols ask.
    url : str
        ``/path`` or ``http://host/path``. A proxy with both sides is asked for the second as for
        a page elsewhere, unless a ``Host`` is given. ``host:port`` for CONNECT, SOCKS4 and SOCKS5.
    headers : mapping, optional
        Further fields.
    client : str
        Address of the client.
    where : str
        What messages call the request.

    Raises
    ------
    BadInput
        If this is no request.
    """
    if re.fullmatch("[!-~]+ [!-~]+", f"{method} {url}") is None:
        expected = "expected a method and a URL without spaces, and all but ASCII percent-encoded"
        raise BadInput(where, f"{method} {url}", expected)
    socks = method.lower() if method in ("SOCKS4", "SOCKS5") else ""
    try:
        head = request_of(settings, "CONNECT" if socks else method, url, dict(headers or {}))
    except (Malformed, UnicodeError) as problem:
        raise BadInput(where, f"{method} {url}", str(problem)) from None
    forward = settings.forward
    if socks:
        if forward is None or socks not in forward.protocols:
            return Explanation("refused", None, f"no [forward] with {socks!r}", "not asked")
        return _forward(settings, head, socks)
    if head.form is TargetForm.AUTHORITY:
        if forward is None or "connect" not in forward.protocols:
            return Explanation(
                "refused", None, "405, tunnels are off: no [forward] with 'connect'", "not asked"
            )
        return _forward(settings, head, "tunnel")
    try:
        forwards = head.form is TargetForm.ABSOLUTE and is_forward_request(
            head, forward, b"https" if settings.tls else b"http"
        )
    except Malformed as problem:
        raise BadInput(where, f"{method} {url}", str(problem)) from None
    if forwards:
        return _forward(settings, head, "forward")
    return _reverse(settings, head, client)


def request_of(settings: ProxySettings, method: str, url: str, headers: dict[str, str]) -> RequestHead:
    """The request as it would be sent."""
    names = {name.lower() for name in headers}
    if url.lower().startswith("http://") and (settings.forward is None or "host" in names):
        # Not a request for a proxy: a browser sends the host in Host and the path as the target.
        authority, slash, path = url[len("http://") :].partition("/")
        url = slash + path or "/"
        headers = headers if "host" in names else {"Host": authority, **headers}
    elif "host" not in names:
        authority = url.partition("://")[2].partition("/")[0] if "://" in url else url
        headers = {"Host": authority if method == "CONNECT" or "://" in url else "localhost", **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return parse_request(f"{method} {url} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))


def _forward(settings: ProxySettings, head: RequestHead, side: str) -> Explanation:
    """Who may ask, what is refused, where it goes and what is told there."""
    forward = settings.forward
    assert forward is not None
    host, target = target_host(head), f"{head.host.decode()}:{head.port}"
    cache = _cache(head, "what the origin says") if side == "forward" and forward.cache else "off"
    notes = _notes(forward, head, side)
    resolver = Resolver(settings.limits.connect_timeout)
    try:
        gate = ForwardAccess(forward, resolver, settings.limits)
        if side == "tunnel":
            gate.check_tunnel_port(head)
        elif side != "forward":
            gate.check_socks_port(head.port)
        gate.check_name(host)
        address = gate.resolve_allowed(host, head.port, ("0.0.0.0", 0))[0][0]
    except LocalReply as refusal:
        return Explanation("refused", None, f"{refusal.status}, {refusal.detail}", cache, notes=notes)
    finally:
        resolver.stop()
    parent = forward.next_proxy
    answer = f"{target} at {address}" if parent is None else f"{target} by the parent {parent.name}"
    return Explanation(side, None, answer, cache, notes=notes)


def _notes(forward: Forward, head: RequestHead, side: str) -> list[str]:
    notes = []
    if forward.auth and side == "socks4":
        notes.append("auth: refused, version 4 cannot carry a password")
    elif forward.auth:
        notes.append("auth: a user and a password are wanted" + ("" if side == "socks5" else ", 407 without"))
    if side == "forward":
        done = ", ".join(changes(forward.anonymity, {name.decode("latin-1") for name in head.fields.names}))
        notes.append(f"anonymity: {forward.anonymity}: {done or 'no field is changed'}")
    else:
        notes.append(f"anonymity: {forward.anonymity}, but nothing inside a tunnel is changed")
    return notes


def _reverse(settings: ProxySettings, head: RequestHead, client: str) -> Explanation:
    verdicts = Routes(settings.route).explain(
        request_attributes(head, client, head.host.decode() if settings.tls else "")
    )
    if not verdicts or not verdicts[-1].taken:
        return Explanation("refused", None, "404, no route takes it", "not asked", verdicts)
    number = verdicts[-1].number
    route = settings.route[number]
    if route.to is None:
        return Explanation("reverse", number, f"answers {route.respond}", "not asked", verdicts)
    service = settings.service[route.to]
    names = ", ".join(upstream.address for upstream in service.upstreams)
    answer = f"service {route.to}, {service.balance} over {names}"
    ttl = "not stored unless the origin says so" if not route.cache or route.cache.ttl is None else ""
    ttl = ttl or f"fresh for {route.cache.ttl:g} s unless the origin says otherwise" if route.cache else ""
    cache = _cache(head, ttl) if route.cache is not None else "off"
    return Explanation("reverse", number, answer, cache, verdicts)


def _cache(head: RequestHead, otherwise: str) -> str:
    asked = read_request(head.method, head.fields.text, head.framing != 0)
    if asked.forward is Forwarded.REQUEST:
        return "asked only for what the origin then confirms (fwd=request)"
    if asked.forward is not None:
        return f"not asked (fwd={asked.forward})"
    stored = f"not stored ({asked.unstorable})" if asked.unstorable is not None else otherwise
    return f"asked; a miss is {stored}"


def explain_stored(
    settings: ProxySettings,
    taken: Explanation,
    method: str,
    url: str,
    headers: Mapping[str, str],
    text: bytes,
    elapsed: float,
    where: str,
) -> list[str]:
    """What becomes of an answer to a request, line by line. The answer is as ``curl -i`` writes it.

    Parameters
    ----------
    settings : ProxySettings
        Of the proxy.
    taken : Explanation
        Who takes the request.
    method, url, headers
        The request, as for `explain`.
    text : bytes
        The answer: its status line and fields; a body does not matter.
    elapsed : float
        Seconds after which the same request comes again.
    where : str
        What messages call the answer.

    Raises
    ------
    BadInput
        If this is no answer, or none that this proxy may store.
    """
    request = request_of(settings, method, url, dict(headers))
    answer = _read_answer(text, method, where)
    if taken.side == "forward" and settings.forward is not None and settings.forward.cache:
        service, ttl, stale, targeted = "", FORWARD_RULES.ttl, FORWARD_RULES.stale, FORWARD_RULES.targeted
    else:
        route = settings.route[taken.route] if taken.route is not None else None
        if route is None or route.cache is None or route.to is None:
            return ["stored: no, caching is off for this request"]
        service, ttl, stale, targeted = route.to, route.cache.ttl, route.cache.stale, True
    key = cache_key(service, request)
    asked = request.fields.text
    found = explain_answer(
        method, key.partition(b" ")[2].decode("latin-1"), answer.status, asked, answer.fields.text,
        read_request(method, asked, request.framing != 0),
        ttl=ttl, stale=stale, targeted=targeted, now=time.time(), elapsed=elapsed,
    )  # fmt: skip
    return [f"key: {key.decode('latin-1').strip()}", *found]


def _read_answer(text: bytes, method: str, where: str) -> ResponseHead:
    """The status line and fields of an answer in a file; raises `BadInput`."""
    lines = text.replace(b"\r\n", b"\n").split(b"\n\n")[0].strip().split(b"\n")
    if lines[0].startswith((b"HTTP/2", b"HTTP/3")):  # curl says so of answers that came that way
        lines[0] = b"HTTP/1.1 " + lines[0].partition(b" ")[2].strip() + b" "
    try:
        return parse_response(b"\r\n".join(lines) + b"\r\n\r\n", method)
    except Malformed as error:
        raise BadInput(where, "answer", f"expected a status line and fields as 'curl -i': {error}") from None
