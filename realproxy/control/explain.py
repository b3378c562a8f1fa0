"""Which rule takes a request, and what the cache does with an answer: decided without a running proxy."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Literal, cast

from policies.bad_input import BadInput
from policies.forward.anonymity import changes
from policies.http_cache.dates import parse_http_date
from policies.http_cache.explain import RULES, Case, explain_answer
from policies.http_cache.freshness import Forwarded, NotStored, length_obstacle, read_request
from policies.resilience.deadline import FIELD, parse_timeout
from policies.reverse.never_met import problems
from policies.reverse.routing import Verdict
from policies.settings import Forward, ProxySettings
from policies.units import format_size
from realproxy.cache.cache_rules import heard
from realproxy.cache.store import cache_key
from realproxy.control.answer_file import read_answer_file
from realproxy.control.composition import build_rules
from realproxy.control.explain_actions import arm_of, explain_actions
from realproxy.control.explain_service import explain_service
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import LocalReply
from realproxy.http1 import Malformed, RequestHead, ResponseHead, TargetForm, parse_request
from realproxy.messages.record import RequestRecord
from realproxy.net.resolver import Resolver
from realproxy.proxying.context import Generation, RequestContext
from realproxy.proxying.forward import check_permitted, check_tunnels
from realproxy.proxying.pipeline import choose_side
from realproxy.proxying.rules import RequestRules, request_attributes
from realproxy.proxying.snapshot import CacheScope, forward_cache_scope, route_cache_scopes
from realproxy.proxying.worker import ThreadState
from realproxy.server.handshake import doors_of


@dataclass(frozen=True)
class Explanation:
    """What happens to `request`, and why.

    `side` is ``reverse``, ``forward``, ``tunnel``, ``socks4``, ``socks5`` or ``refused``. `route` is the
    number of the route that takes the request; `verdicts` are those of all routes up to it. `answer` tells
    what happens to the request, `cache` what the cache does, `notes` what the forward side asks and changes.
    """

    request: RequestHead
    side: str
    answer: str
    cache: str = "not asked"
    route: int | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The explanation for a reader."""
        steps = [
            f"route.{verdict.number}: {'yes' if verdict.taken else 'no'}, {verdict.reason}"
            for verdict in self.verdicts
        ]
        return [*steps, f"{self.side}: {self.answer}", f"cache: {self.cache}", *self.notes]


def explain(
    settings: ProxySettings, method: str, url: str, headers: Mapping[str, str] | None = None,
    client: str = "127.0.0.1", caller: str = "",
) -> Explanation:  # fmt: skip
    """Which rule takes a request, and why each earlier rule does not.

    The methods ``SOCKS4`` and ``SOCKS5`` stand for a CONNECT command of these protocols; their URL, like
    that of CONNECT, is ``host:port``. Other URLs are ``/path`` or ``http://host/path``. If the proxy has a
    forward side, the second form asks that side, unless `headers` have a ``Host``. `caller` is the name that
    the client proves by its certificate.

    Raises `BadInput` if this is no request.
    """
    if re.fullmatch("[!-~]+ [!-~]+", f"{method} {url}") is None:
        expected = "expected a method and a URL without spaces, and all but ASCII percent-encoded"
        raise BadInput("request", f"{method} {url}", expected)
    socks = method.lower() if method in ("SOCKS4", "SOCKS5") else ""
    try:
        head = _request_of(settings, "CONNECT" if socks else method, url, dict(headers or {}))
    except (Malformed, UnicodeError) as problem:
        raise BadInput("request", f"{method} {url}", str(problem)) from None
    head.scheme = b"https" if settings.secured else b"http"
    resolver = Resolver(settings.limits.connect_timeout)
    try:
        request = _dry_request(build_rules(settings, resolver), head, client, caller)
        if socks:
            request.record.side, request.access = socks, request.snapshot.rules.forward
        else:
            choose_side(request)
        explained = _reverse if request.record.side == "reverse" else _forward
        return explained(settings, request)
    except Malformed as problem:
        raise BadInput("request", f"{method} {url}", str(problem)) from None
    finally:
        resolver.stop()


def _dry_request(rules: RequestRules, head: RequestHead, client: str, caller: str) -> RequestContext:
    """A request for the decisions of the first phases, with stand-ins for what they do not use."""
    generation = cast(Generation, SimpleNamespace(snapshot=SimpleNamespace(rules=rules)))
    sni = head.host.decode() if rules.settings.secured else ""
    door = doors_of(rules.settings)[-1 if head.form in (TargetForm.ABSOLUTE, TargetForm.AUTHORITY) else 0]
    told = SimpleNamespace(address=client, sni=sni, door=door, caller=caller)
    connection = cast(DownstreamConnection, told)
    record = RequestRecord(client, 0.0, 0.0)
    return RequestContext(generation, connection, ThreadState(), record, head, keep=False, may_block=True)


def _request_of(settings: ProxySettings, method: str, url: str, headers: dict[str, str]) -> RequestHead:
    """The head that a client would send."""
    names = {name.lower() for name in headers}
    if url.lower().startswith("http://") and (settings.forward is None or "host" in names):
        # A browser does not send this to a proxy: the host goes into Host, and the path is the target.
        authority, slash, path = url[len("http://") :].partition("/")
        url = slash + path or "/"
        headers = headers if "host" in names else {"Host": authority, **headers}
    elif "host" not in names:
        authority = url.partition("://")[2].partition("/")[0] if "://" in url else url
        headers = {"Host": authority if method == "CONNECT" or "://" in url else "localhost", **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return parse_request(f"{method} {url} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))


def _forward(settings: ProxySettings, request: RequestContext) -> Explanation:
    """Whether the forward side takes a request, and where it goes."""
    head, side, access = request.head, request.record.side, request.access
    if side.startswith("socks"):
        if access is None or side not in access.settings.protocols:
            return Explanation(head, "refused", f"no [forward] with {side!r}")
    else:
        try:
            check_tunnels(request)
        except LocalReply as refusal:
            problem = f"{refusal.status}, tunnels are off: no [forward] with 'connect'"
            return Explanation(head, "refused", problem)
    assert access is not None
    service = access.service_of(head.hostname) if side == "forward" else None
    if service is not None:
        answer = f"{_service(settings, service)}, because forward.services makes its name a host"
        return Explanation(head, side, answer, "off", notes=_resilience(settings, service, head))
    host, target, forward = head.hostname, f"{head.host.decode()}:{head.port}", access.settings
    cache = _cache(head, None) if side == "forward" and forward.cache else "off"
    notes = _notes(forward, head, side)
    try:
        if side.startswith("socks"):
            access.check_socks_port(head.port)
        check_permitted(request)
        address = access.resolve_allowed(host, head.port, ("0.0.0.0", 0))[0][0]
    except LocalReply as refusal:
        cache = cache if cache == "off" else "not asked"
        return Explanation(head, "refused", f"{refusal.status}, {refusal.detail}", cache, notes=notes)
    parent = forward.next_proxy
    answer = f"{target} at {address}" if parent is None else f"{target} by the parent {parent.name}"
    return Explanation(head, side, answer, cache, notes=notes)


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


def _reverse(settings: ProxySettings, request: RequestContext) -> Explanation:
    head = request.head
    attributes = request_attributes(head, request.record.client, request.client)
    found = request.snapshot.rules.routes.explain(attributes)
    verdicts = [_with_problem(settings, verdict) for verdict in found]
    if not verdicts or not verdicts[-1].taken:
        return Explanation(head, "refused", "404, no route takes it", verdicts=verdicts)
    number = verdicts[-1].number
    route = settings.route[number]
    notes = explain_actions(settings, route, head)
    if route.to is None:
        answer = f"answers {route.respond}" if route.redirect is None else f"answers {route.redirect.status}"
        return Explanation(head, "reverse", answer, route=number, verdicts=verdicts, notes=notes)
    name, cache = arm_of(route, head, request.record.client), "off"
    if name not in settings.service:
        answer = f"split: {name}"
        return Explanation(head, "reverse", answer, route=number, verdicts=verdicts, notes=notes)
    if route.cache is not None:
        cache = _cache(head, route.cache.ttl)
    notes += _resilience(settings, name, head, route.timeout, route.try_timeout)
    return Explanation(head, "reverse", _service(settings, name), cache, number, verdicts, notes)


def _service(settings: ProxySettings, name: str) -> str:
    service = settings.service[name]
    names = ", ".join(upstream.address for upstream in service.upstreams)
    return f"service {name}, {service.balance} over {names}"


def _resilience(settings: ProxySettings, name: str, head: RequestHead, *limits: float | None) -> list[str]:
    """What the service does about trouble; `limits` are the route's times for a request and an attempt."""
    told = parse_timeout(head.fields.text(FIELD.lower()))
    times = (told, settings.limits.request_timeout, *limits)
    return explain_service(settings.service[name], timed=any(each is not None for each in times))


def _with_problem(settings: ProxySettings, verdict: Verdict) -> Verdict:
    """A verdict that also says if no request at all could meet the conditions."""
    found = (
        []
        if verdict.taken
        else problems(
            settings.route[verdict.number].when, tls=settings.secured, callers=settings.knows_callers
        )
    )
    reasons = [verdict.reason, *(problem for _, problem in found)]
    return replace(verdict, reason="; ".join(reasons))


def _cache(head: RequestHead, ttl: float | None) -> str:
    """What the cache does with a request; `ttl` is the lifetime of an answer that names none, in seconds."""
    asked = read_request(head.method, head.fields.text, head.framing != 0)
    if asked.forward is Forwarded.REQUEST:
        return "asked only for what the origin then confirms (fwd=request)"
    if asked.forward is not None:
        return f"not asked (fwd={asked.forward})"
    stored = f"not stored ({asked.unstorable})"
    if asked.unstorable is None:
        fresh = "" if ttl is None else f", and is fresh for {ttl:g} s unless the origin says otherwise"
        stored = f"stored if its answer allows that{fresh}"
    missed = "answered with 504 (RFC 9111, 5.2.1.7)" if asked.only_if_cached else stored
    return f"asked; a miss is {missed}"


def explain_stored(
    settings: ProxySettings, taken: Explanation, text: bytes, elapsed: float, where: str,
    received: float | Literal["now", "date"] = "now",
) -> list[str]:  # fmt: skip
    """What the cache does with an answer to the request of `taken`, line by line.

    `text` is what curl has written, of which the last final answer counts; its body does not matter. It came
    at `received`: a number of seconds since 1970, ``"now"``, or ``"date"`` for the time in its Date. The same
    request comes again after `elapsed` seconds.

    Raises `BadInput`, with `where` as its source, if this is no answer, or has no Date but should have.
    """
    request, method = taken.request, taken.request.method
    head, is_delimited = read_answer_file(text, method, where)
    now = _arrival(received, head, where)
    scope = _scope(settings, taken)
    if scope is None:
        return [f"stored: no, {_not_cached(taken)}"]
    key, rules = cache_key(scope.service, request), scope.rules
    asked, uri = request.fields.text, key.partition(b" ")[2].decode("latin-1")
    question = read_request(method, asked, request.framing != 0)
    told = heard(request.fields.names, rules.unheard), asked
    case = Case(method, uri, head.status, asked, head.fields.text, question, told)
    found = explain_answer(
        case, ttl=rules.ttl, stale=rules.stale, targeted=rules.targeted, now=now, elapsed=elapsed
    )
    stored = any(line.startswith("stored: yes") for line in found)
    room = settings.worker_cache.capacity - settings.worker_cache.overhead
    if stored and (reason := length_obstacle(max(head.framing, 0), room)) is not None:
        least = f"the cache has room for {format_size(room)} (cache.capacity less cache.overhead)"
        found = [f"stored: no, {reason}: {least}"]
    elif stored and not is_delimited:
        rule = RULES[NotStored.INCOMPLETE]
        found.append(f"but: no length is told; if it ends with its connection, it is not stored: {rule}")
    return [f"key: {key.decode('latin-1').strip()}", *found]


def _arrival(received: float | Literal["now", "date"], head: ResponseHead, where: str) -> float:
    """When an answer came, in seconds since 1970."""
    now = time.time()
    if received == "now":
        return now
    if received != "date":
        return received
    date = parse_http_date(head.fields.text("date"), now)
    if date is None:
        raise BadInput(where, "Date", "expected a date, as '--received date' needs one")
    return date


def _scope(settings: ProxySettings, taken: Explanation) -> CacheScope | None:
    """Where the answer would be stored; None if nowhere."""
    if taken.side == "forward":
        return forward_cache_scope(settings.forward)
    if taken.side != "reverse" or taken.route is None:
        return None
    scopes = route_cache_scopes(settings.route[taken.route], settings.trusted_hops)
    return next(iter(scopes.values())) if scopes else None


def _not_cached(taken: Explanation) -> str:
    if taken.side == "refused":
        return "the request is refused"
    if taken.side not in ("forward", "reverse"):
        return "what goes through a tunnel is not seen"
    return "caching is off for this request"
