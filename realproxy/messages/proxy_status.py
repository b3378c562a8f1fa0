"""Proxy-Status: what went wrong, said by who noticed it. RFC 9209"""

from __future__ import annotations

import errno
from functools import lru_cache
from typing import Any

import http_sf

from realproxy.errors import End, Refusal, UpstreamTrouble
from realproxy.messages.headers import PSEUDONYM

_OF_END = {  # RFC 9209, 2.3
    End.CLIENT_BAD: "http_request_error",
    End.CLIENT_SLOW: "http_request_error",
    End.REFUSED: "http_request_denied",
    End.UNAUTHENTICATED: "http_request_denied",
    End.NO_ROUTE: "destination_not_found",
    End.RATE_LIMITED: "http_request_denied",
    End.BREAKER_OPEN: "destination_unavailable",
    End.OVERLOADED: "connection_limit_reached",
    End.LOOP: "proxy_loop_detected",
    End.UPSTREAM_UNREACHABLE: "destination_unavailable",
    End.UPSTREAM_SLOW: "connection_read_timeout",
    End.UPSTREAM_BAD: "http_protocol_error",
    End.UPSTREAM_BROKEN: "connection_terminated",
}
_OF_ERRNO = {
    errno.ECONNREFUSED: "connection_refused",
    errno.EHOSTUNREACH: "destination_ip_unroutable",
    errno.ENETUNREACH: "destination_ip_unroutable",
}
LONGEST = 200
"""Characters of the details that are said."""
_OTHERWISE = "proxy_internal_response"


def refused(refusal: Refusal) -> bytes:
    """The field line for an answer of the proxy's own."""
    fault = refusal.fault or (
        _OF_ERRNO.get(refusal.errno, "") if isinstance(refusal, UpstreamTrouble) else ""
    )
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
