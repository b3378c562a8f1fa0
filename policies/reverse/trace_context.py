"""traceparent: which trace a request belongs to, and which span of it. W3C Trace Context, level 1

``traceparent = version "-" trace-id "-" parent-id "-" trace-flags``, in lower-case hex digits. Each proxy is
a span: it names itself as the parent of what it asks.
"""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

from policies.http_cache.directives import Header

_NOT_ZERO = 1 << 64 | 1
"""Sets one bit of the trace-id and one of the parent-id: neither may be all zeros."""
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Span(NamedTuple):
    """The part of a trace that one proxy is.

    Parameters
    ----------
    trace : str
        The trace-id.
    span : str
        The parent-id that this proxy sends: its own.
    parent : str
        The parent-id that it got; empty if it begins the trace. Then the request's tracestate must be dropped
        (3.3.1.3).
    traceparent : str
        The field to send.
    """

    trace: str
    span: str
    parent: str
    traceparent: str


def follow(field: Header, rng: Random) -> Span:
    """The span of a request: in the trace that it belongs to, or in a new one, which is not sampled.

    Of the flags, only the one that is known goes on (3.2.2.5.2).

    Examples
    --------
    >>> came = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    >>> span = follow({"traceparent": came}.get, Random(1))
    >>> span.trace, span.parent
    ('0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331')
    """
    own = field("traceparent")
    found = _TRACEPARENT.fullmatch(own) if own is not None else None
    if found is not None:
        version, trace, parent, flags, more = found.groups()
        valid = version != "ff" and not (version == "00" and more)
        if valid and trace.strip("0") and parent.strip("0"):
            span = f"{rng.getrandbits(64) or 1:016x}"
            return Span(trace, span, parent, f"00-{trace}-{span}-{'01' if int(flags, 16) & 1 else '00'}")
    ids = (rng.getrandbits(192) | _NOT_ZERO).to_bytes(24, "big").hex("-", -16)
    return Span(ids[:32], ids[33:], "", f"00-{ids}-00")
