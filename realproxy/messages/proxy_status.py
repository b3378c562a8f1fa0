"""Proxy-Status: which proxy failed a request, and how. RFC 9209"""

from __future__ import annotations

import errno
from functools import lru_cache
from typing import Any

import http_sf

from realproxy.errors import LocalReply, Termination, UpstreamError
from realproxy.messages.headers import PSEUDONYM

_OF_END = {  # RFC 9209, 2.3
    Termination.CLIENT_BAD: "http_request_error",
    Termination.CLIENT_SLOW: "http_request_error",
    Termination.REFUSED: "http_request_denied",
    Termination.UNAUTHENTICATED: "http_request_denied",
    Termination.NO_ROUTE: "destination_not_found",
    Termination.RATE_LIMITED: "http_request_denied",
    Termination.BREAKER_OPEN: "destination_unavailable",
    Termination.OVERLOADED: "connection_limit_reached",
    Termination.LOOP: "proxy_loop_detected",
    Termination.UPSTREAM_UNREACHABLE: "destination_unavailable",
    Termination.UPSTREAM_SLOW: "connection_read_timeout",
    Termination.UPSTREAM_BAD: "http_protocol_error",
    Termination.UPSTREAM_BROKEN: "connection_terminated",
}
_OF_ERRNO = {
    errno.ECONNREFUSED: "connection_refused",
    errno.EHOSTUNREACH: "destination_ip_unroutable",
    errno.ENETUNREACH: "destination_ip_unroutable",
}
LONGEST = 200
"""The longest ``details`` in characters."""
_DEFAULT = "proxy_internal_response"


def proxy_status(reply: LocalReply) -> bytes:
    """The field line for a reply of the proxy."""
    fault = reply.fault or (_OF_ERRNO.get(reply.errno, "") if isinstance(reply, UpstreamError) else "")
    return _line(fault or _OF_END.get(reply.end, _DEFAULT), reply.detail[:LONGEST])


def unreadable(problem: str) -> bytes:
    """The field line for the reply to a malformed request."""
    return _line("http_request_error", problem[:LONGEST])


@lru_cache(maxsize=64)
def relayed(status: int) -> bytes:
    """The field line for an error status from an upstream."""
    return _field({"received-status": status})


@lru_cache(maxsize=1024)
def _line(fault: str, detail: str) -> bytes:
    readable = "".join(c if " " <= c <= "~" else "?" for c in detail)
    return _field({"error": http_sf.Token(fault), **({"details": readable} if readable else {})})


def _field(parameters: dict[str, object]) -> bytes:
    members: list[Any] = [(http_sf.Token(PSEUDONYM.decode()), parameters)]
    value = http_sf.ser(members)
    return f"Proxy-Status: {value}\r\n".encode()
