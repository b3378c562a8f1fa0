"""The deadline of a request on the wire: when it is due, and what an upstream is told of it.

Owner: the thread that runs the request. `policies.resilience.deadline` has the rules.
"""

from __future__ import annotations

from policies.resilience import deadline
from policies.settings import Limits
from realproxy.errors import LocalReply, Termination
from realproxy.http1 import RequestHead

_NAME = deadline.FIELD.lower()
FIELD = _NAME.encode()
_BEGIN = deadline.FIELD.encode() + b": "


def due(head: RequestHead, limits: Limits, arrived: float) -> float | None:
    """When a request is due on the monotonic clock, by its field and by the limits; None without a limit."""
    if FIELD not in head.fields.names:  # the usual case
        return None if limits.request_timeout is None else arrived + limits.request_timeout
    return deadline.due(arrived, deadline.parse_timeout(head.fields.text(_NAME)), limits.request_timeout)


def refuse_late(head: RequestHead, arrived: float, now: float) -> None:
    """Raise `LocalReply` 504 if the client's deadline is past."""
    told = deadline.parse_timeout(head.fields.text(_NAME))
    if told is not None and deadline.left(arrived + told, now) <= 0:
        raise over()


def over() -> LocalReply:
    """The reply to a request whose time is over."""
    return LocalReply(504, Termination.UPSTREAM_SLOW, "the time for the request is over")


def told(head: bytes, seconds: float) -> bytes:
    """The head of a request with the time that is left."""
    return b"%b%b%b\r\n\r\n" % (head[:-2], _BEGIN, deadline.field_value(seconds).encode())
