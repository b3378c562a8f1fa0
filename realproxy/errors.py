"""How an exchange ends, and the exceptions that end it."""

from __future__ import annotations

from enum import StrEnum


class Termination(StrEnum):
    """How an exchange ended."""

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
    """The exchange is cut off: nothing more can be sent to the client."""

    def __init__(self, end: Termination = Termination.CLIENT_GONE) -> None:
        super().__init__(end)
        self.end = end


class LocalReply(Exception):
    """The exchange ends with an answer of the proxy's own.

    Parameters
    ----------
    status : int
        Of the answer.
    end : Termination
        For the log.
    detail : str
        One line for the client and the log.
    fields : bytes
        Further field lines of the answer.
    fault : str
        What Proxy-Status calls it, if `end` does not say it well enough.
    """

    def __init__(
        self, status: int, end: Termination, detail: str, *, fields: bytes = b"", fault: str = ""
    ) -> None:
        super().__init__(detail)
        self.status, self.end, self.detail, self.fields, self.fault = status, end, detail, fields, fault


class UpstreamError(LocalReply):
    """An upstream failed before its answer began.

    Parameters
    ----------
    retry_safe : bool
        Whether it cannot have begun to work on the request, or closed an idle connection.
    errno : int
        What the system said about a connection that could not be made; 0 if nothing.
    """

    def __init__(
        self,
        status: int,
        end: Termination,
        detail: str,
        *,
        retry_safe: bool = False,
        errno: int = 0,
        fault: str = "",
    ) -> None:
        super().__init__(status, end, detail, fault=fault)
        self.retry_safe, self.errno = retry_safe, errno
