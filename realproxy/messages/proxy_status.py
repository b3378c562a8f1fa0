"""Proxy-Status: what went wrong, said by who noticed it. RFC 9209"""

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
"""Characters of the details that are said."""
_OTHERWISE = "proxy_internal_response"


def proxy_status(refusal: LocalReply) -> bytes:
    """The field line for an answer of the proxy's own."""
    fault = refusal.fault or (_OF_ERRNO.get(refusal.errno, "") if isinstance(refusal, UpstreamError) else "")
    return _line(fault or _OF_END.get(refusal.end, _OTHERWISE), refusal.detail[:LONGEST])


def unreadable(problem: str) -> bytes:
    """The field line for an answer to what is no request."""
    return _line("http_request_error", problem[:LONGEST])


@lru_cache(maxsize=64)
def relayed(status: int) -> bytes:
    """The field line for an error that an upstream has answered with."""
    return _field({"received-status": status})


@lru_cache(maxsize=1024)
def _line(fault: str, detail: str) -> bytes:
    readable = "".join(c if " " <= c <= "~" else "?" for c in detail)
    return _field({"error": http_sf.Token(fault), **({"details": readable} if readable else {})})


def _field(parameters: dict[str, object]) -> bytes:
    members: list[Any] = [(http_sf.Token(PSEUDONYM.decode()), parameters)]
    value = http_sf.ser(members)
    return f"Proxy-Status: {value}\r\n".encode()
