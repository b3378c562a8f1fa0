"""The rules of the reverse and the forward side, and which side a request is for.

They need neither connections nor a store.
"""

from __future__ import annotations

import random

from policies.reverse.routing import RequestAttributes, Routes, normal_path
from policies.settings import Forward, ProxySettings
from realproxy.downstream.connection import DownstreamConnection
from realproxy.http1 import Malformed, RequestHead
from realproxy.proxying.error_pages import ErrorPages
from realproxy.proxying.forward_access import ForwardAccess


class RequestRules:
    """The routes of the reverse side, and the rules of the forward side (None if it is off).

    `trusted_hops` is the number of proxies in front of this one that are trusted about the client. `traces`
    says whether a request that goes upstream gets a trace, and `logs_traces` whether every request gets one,
    for the log; the identifiers are from `trace_rng`.
    """

    def __init__(self, settings: ProxySettings, forward: ForwardAccess | None) -> None:
        self.settings, self.forward = settings, forward
        self.routes = Routes(settings.route)
        self.error_pages = ErrorPages(settings.errors, "errors") if settings.errors else None
        self.trusted_hops, self.traces = settings.trusted_hops, settings.trace
        self.logs_traces = settings.trace and settings.log is not None
        self.trace_rng = random.Random()


def request_attributes(head: RequestHead, client: str, connection: DownstreamConnection) -> RequestAttributes:
    """The attributes of a request that routes match against; `client` is an IP address."""
    target, host = head.path.decode("latin-1"), head.hostname
    if host.endswith("."):  # the dot of the root: the same name. RFC 3986, 3.2.2
        host = host[:-1]
    return RequestAttributes(
        host, normal_path(target), head.method, client, head.fields.text, connection.sni, target,
        connection.caller,
    )  # fmt: skip


def expected_form(access: ForwardAccess) -> Malformed:
    """The refusal of an origin-form target on the listener of the forward side. RFC 9112, 3.2.2"""
    problem = "this listener serves the forward side: expected a target such as http://host/path"
    if access.settings.services and not access.settings.auth:
        problem += f", or in Host one of {access.known}"
    return Malformed(400, problem)


def is_forward_request(head: RequestHead, forward: Forward | None, scheme: bytes) -> bool:
    """Whether a request in absolute-form is for the forward side.

    Only the reverse side serves an ``https`` target, and only over TLS: `scheme` is that of the client's
    connection. The forward side reaches https targets through CONNECT. Raises `Malformed` 501 for an https
    target that this proxy cannot serve.
    """
    accepts_http = forward is not None and "http" in forward.protocols
    if head.target[:5].lower() == b"https" and (accepts_http or scheme != b"https"):
        raise Malformed(501, "scheme https is not supported")
    return accepts_http
