"""How a request can end, and the exceptions that end it."""

from __future__ import annotations

from enum import StrEnum


class Termination(StrEnum):
    """How a request ended, as the access log names it."""

    DONE = "done"
    CLIENT_BAD = "client-bad"
    CLIENT_SLOW = "client-slow"
    CLIENT_GONE = "client-gone"
    REFUSED = "refused"
    UNAUTHENTICATED = "unauthenticated"
    NO_ROUTE = "no-route"
    LOOP = "loop"
    NOT_CACHED = "not-cached"
    UPSTREAM_UNREACHABLE = "upstream-unreachable"
    UPSTREAM_SLOW = "upstream-slow"
    UPSTREAM_BAD = "upstream-bad"
    UPSTREAM_BROKEN = "upstream-broken"
    IDLE = "idle"
    STOPPED = "stopped"
    FAULT = "fault"
    RATE_LIMITED = "rate-limited"
    OVERLOADED = "overloaded"
    BREAKER_OPEN = "breaker-open"


class Aborted(Exception):
    """The request is cut off: nothing more can be sent to the client."""

    def __init__(self, end: Termination = Termination.CLIENT_GONE) -> None:
        super().__init__(end)
        self.end = end


class LocalReply(Exception):
    """The request ends with a response of the proxy itself.

    `detail` is one line for the client and the log, and `fields` are further field lines. `fault` is the
    error type of Proxy-Status (RFC 9209, 2.3), if `end` does not imply it.
    """

    def __init__(
        self, status: int, end: Termination, detail: str, *, fields: bytes = b"", fault: str = ""
    ) -> None:
        super().__init__(detail)
        self.status, self.end, self.detail, self.fields, self.fault = status, end, detail, fields, fault


class UpstreamError(LocalReply):
    """An upstream failed before its response began.

    `retry_safe`: the upstream closed a reused connection without a response, as it does with idle ones.
    `errno` is the system's error for a connection that could not be made, else 0.
    """

    def __init__(
        self, status: int, end: Termination, detail: str, *, retry_safe: bool = False, errno: int = 0,
        fault: str = "",
    ) -> None:  # fmt: skip
        super().__init__(status, end, detail, fault=fault)
        self.retry_safe, self.errno = retry_safe, errno


class WouldBlock(Exception):
    """The event loop's thread would have to wait: a worker enters the phase again."""
