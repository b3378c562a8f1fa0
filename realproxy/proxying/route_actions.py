"""What a route does with its requests beyond sending them to one service: the ingress.

`RouteActions` belongs to a route and never changes. A `Visit` belongs to one request, and to the thread that
runs it; where nothing in it differs, all requests share one, which nobody changes. The core knows both as
`realproxy.proxying.context.Actions` and `RouteVisit` only.
"""

from __future__ import annotations

import copy
import ipaddress
import time
from collections.abc import Sequence

from policies.basic_auth import is_known, read_basic
from policies.canary import RequestJudge
from policies.reverse.cors import FIELDS, CorsRules
from policies.reverse.header_changes import FieldChanger, Line
from policies.reverse.redirect import DEFAULT_PORTS, location
from policies.reverse.rewrite import new_target
from policies.reverse.routing import normal_path
from policies.settings import HeaderChanges, Limits, ProxySettings, Route
from policies.settings.routes import is_status
from realproxy.errors import LocalReply, Termination
from realproxy.http1 import RequestHead
from realproxy.messages.record import RequestRecord
from realproxy.proxying.context import Outcome, RequestContext
from realproxy.proxying.error_pages import ErrorPages
from realproxy.proxying.mirror import Mirror
from realproxy.proxying.reply import send_local_reply
from realproxy.proxying.split_control import SplitControl

CHALLENGE = b'WWW-Authenticate: Basic realm="proxytwin", charset="UTF-8"\r\n'


class RouteActions:
    """All that the route with this number does; `listens` is the port of this proxy."""

    def __init__(
        self, number: int, settings: ProxySettings, listens: int, split: SplitControl | None,
        mirrors: Sequence[Mirror], pages: ErrorPages,
    ) -> None:  # fmt: skip
        route = settings.route[number]
        self.route, self.split, self.mirrors, self.pages = route, split, mirrors, pages
        self._number, self._listens = number, listens
        self.limits = _limits_of(route, settings.limits)
        self._networks = [ipaddress.ip_network(text, strict=False) for text in route.allow]
        self.cors = CorsRules(route.cors) if route.cors is not None else None
        services = [settings.service[name] for name in route.services]
        asked = (*route.services, *(copy.to for copy in route.mirror))
        self.request = {name: changers(settings.service[name].request, route.request) for name in asked}
        self.response = {"": changers(route.response)} | {
            name: changers(service.response, route.response)
            for name, service in zip(route.services, services, strict=True)
        }
        self.changes = route.rewrite is not None or any(self.request.values())
        self.edits = self.cors is not None or any(self.response.values())
        self._statuses = frozenset(arm for arm in route.arms if is_status(arm))
        self.guarded = bool(
            route.allow or route.auth or route.cors or route.redirect or route.body is not None
        )
        own = self.guarded or self.changes or self.edits or split is not None or bool(mirrors)
        self._shared = None if own else Visit(self, RequestRecord("", 0.0, 0.0))
        """The visit of all requests, if nothing in it differs between them, as with a timeout alone."""

    def begin(self, request: RequestContext) -> Outcome | None:
        """Let the request in or answer it, and choose its arm; raises `LocalReply`."""
        if self._shared is not None:
            request.visit = self._shared
            return None
        visit = request.visit = Visit(self, request.record)
        if self.guarded:
            outcome = self._guard(request, visit)
            if outcome is not None:
                return outcome
        split = self.split
        if split is None:
            return None
        head = request.head
        with split.lock:
            choice, trial = split.rollout.choose(request.record.client, head.fields.text)
        request.record.service = choice.arm
        if trial is not None:
            visit.trial = RequestJudge(split.rollout, choice, trial)
        if choice.cookie is not None:
            secure = b"; Secure" if (head.proto or head.scheme.decode()) == "https" else b""
            name = (split.rollout.cookie_name or "").encode()
            visit.edits = True
            visit.added.append((b"Set-Cookie", b"%b=%b; Path=/; HttpOnly; SameSite=Lax%b" % (
                name, choice.cookie.encode(), secure)))  # fmt: skip
        if choice.arm in self._statuses:
            return send_local_reply(request, int(choice.arm), "")
        return None

    def _guard(self, request: RequestContext, visit: Visit) -> Outcome | None:
        route, head, field = self.route, request.head, request.head.fields.text
        if self._networks and not self._is_allowed(request.record.client):
            raise LocalReply(403, Termination.REFUSED, f"route.{self._number}.allow")
        if self.cors is not None:
            if self.cors.is_preflight(head.method, field):
                visit.added += _lines(self.cors.preflight(field))
                return send_local_reply(request, 204, "")
            visit.added += _lines(self.cors.response(field))
        if route.auth:
            self._authenticate(request)
        if route.redirect is not None:
            where = self._location(head)
            return send_local_reply(
                request, route.redirect.status, "", b"Location: %b\r\n" % where.encode("latin-1")
            )
        if route.body is not None and head.framing > route.body:
            raise LocalReply(413, Termination.REFUSED, f"the body is larger than {route.body} bytes")
        return None

    def _is_allowed(self, client: str) -> bool:
        address = ipaddress.ip_address(client.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def _authenticate(self, request: RequestContext) -> None:
        """Raise 401 unless the request has the credentials of a user. RFC 7617, 2"""
        found = read_basic(request.head.fields.text("authorization"))
        if found is None or not is_known(self.route.auth, *found):
            problem = "a user and a password are wanted"
            raise LocalReply(401, Termination.UNAUTHENTICATED, problem, fields=CHALLENGE)
        request.record.user = found[0]

    def _location(self, head: RequestHead) -> str:
        redirect, target = self.route.redirect, head.path.decode("latin-1")
        assert redirect is not None
        scheme, host, port = asked_origin(head)
        if not host and redirect.host is None:  # HTTP/1.0
            raise LocalReply(400, Termination.CLIENT_BAD, "a redirect needs the host that was asked")
        return location(redirect, scheme, host, port, self._listens, target, normal_path(target))


def asked_origin(head: RequestHead) -> tuple[str, str, int]:
    """Scheme, host and port as the client knows them; the port is 0 if it is not known.

    What a trusted proxy in front tells goes first. A client that reaches that one by its default port need
    not name the port.
    """
    scheme = head.proto or head.scheme.decode()
    text = head.origin or (head.fields.get(b"host") or b"").decode("latin-1")
    _, colon, digits = text.rpartition(":")
    port = int(digits) if colon and digits.isdecimal() else 0
    host = head.host.decode()
    if head.origin is not None:
        host = head.origin.removesuffix(f":{digits}") if port else head.origin
    elif head.form.value != "origin":
        port = head.port
    return scheme, host, port or (DEFAULT_PORTS[scheme] if head.proto is not None else 0)


def changers(*changes: HeaderChanges | None) -> tuple[FieldChanger, ...]:
    """Those changes that are asked for, made ready, in their order."""
    return tuple(FieldChanger(each) for each in changes if each is not None)


def _limits_of(route: Route, limits: Limits) -> Limits:
    """The limits of the proxy with those of the route in their place."""
    given = {"request_timeout": route.timeout, "answer_timeout": route.try_timeout, "body": route.body}
    changes = {key: value for key, value in given.items() if value is not None}
    return limits.model_copy(update=changes) if changes else limits


def _lines(fields: list[tuple[str, str]]) -> list[Line]:
    return [(name.encode(), value.encode("latin-1")) for name, value in fields]


class Visit:
    """What one request keeps of its route's actions. `record` is that of the request.

    Only edits and trials change it or read its record: without them, requests share one.
    """

    __slots__ = (
        "_actions", "_record", "added", "changes", "edits", "limits", "mirrors", "trial",
    )  # fmt: skip

    def __init__(self, actions: RouteActions, record: RequestRecord) -> None:
        self._actions, self._record = actions, record
        self.added: list[Line] = []  # field lines for the client alone
        self.limits = actions.limits
        self.changes, self.edits = actions.changes, actions.edits
        self.mirrors = bool(actions.mirrors)
        self.trial: RequestJudge | None = None  # None if the answer says nothing about the arms

    def upstream_head(self, head: RequestHead) -> RequestHead:
        """The head with the path and host that the upstream gets; the cache and the log know the others."""
        rewrite = self._actions.route.rewrite
        if rewrite is None:
            return head
        changed, target = copy.copy(head), head.path.decode("latin-1")
        changed.path = new_target(rewrite, target, normal_path(target)).encode("latin-1")
        if rewrite.host is not None:
            changed.origin = head.origin or head.authority.decode("latin-1")
            changed.authority = changed.host = rewrite.host.encode()
        return changed

    def edit_request(self, head: bytes) -> bytes:
        """The head for the upstream with the route's changes of fields, also of those that the proxy adds."""
        changes = self._actions.request[self._record.service]
        if not changes:
            return head
        start, lines = _split(head)
        for changer in changes:
            lines = changer.apply(lines)
        return _head(start, lines)

    def edit(self, head: bytes) -> bytes:
        """The head of a response with the route's changes for the client."""
        actions = self._actions
        start, lines = _split(head)
        if actions.cors is not None:
            lines = [line for line in lines if line[0].lower() not in FIELDS]
        for changer in actions.response.get(self._record.service) or actions.response[""]:
            lines = changer.apply(lines)
        return _head(start, [*lines, *self.added])

    def page(self, status: int) -> tuple[bytes, bytes] | None:
        """The media type and the body of the page for an error of the proxy itself, or None."""
        return self._actions.pages.find(status)

    def judge(self, failed: bool | None, started: float) -> None:
        """An attempt at the arm has ended that began at `started`, on the monotonic clock."""
        split, record = self._actions.split, self._record
        assert split is not None
        assert self.trial is not None
        ended = record.answered if record.answered > started else time.monotonic()
        with split.lock:
            change = self.trial.ended(failed, ended - started, time.time())
        if change is not None:
            state = f"{change.state} at {change.weight:.2%}"
            record.decision = f"canary of route.{split.number}: {state}: {change.reason}"

    def again(self, record: RequestRecord) -> Visit:
        """As `RouteVisit.again`."""
        other = Visit(self._actions, record)
        other.trial, other.edits, other.mirrors = self.trial, False, False
        return other

    def answered(self, request: RequestContext) -> None:
        """The upstream has answered: now the copy for the mirror may be sent."""
        for mirror in self._actions.mirrors:
            mirror.submit(request, self)


def _split(head: bytes) -> tuple[bytes, list[Line]]:
    """The first line and the field lines of a head that this proxy has written."""
    start, *rest = head[:-4].split(b"\r\n")
    return start, [(name, value) for name, _, value in (line.partition(b": ") for line in rest)]


def _head(start: bytes, lines: Sequence[Line]) -> bytes:
    return b"%b\r\n%b\r\n" % (start, b"".join([b"%b: %b\r\n" % line for line in lines]))
