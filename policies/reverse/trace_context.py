"""traceparent: which trace a request belongs to. W3C Trace Context, level 1

``traceparent = version "-" trace-id "-" parent-id "-" trace-flags``, in lower-case hex digits.
"""

from __future__ import annotations

import re
from random import Random

from policies.http_cache.directives import Header

_NOT_ZERO = 1 << 64 | 1
"""Sets one bit of the trace-id and one of the parent-id: neither may be all zeros."""
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def trace_of(traceparent: str | None) -> str | None:
    """The trace-id of a valid field; None if it is missing or invalid. 3.2.2

    Examples
    --------
    >>> trace_of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    '0af7651916cd43dd8448eb211c80319c'
    """
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent is not None else None
    if found is None:
        return None
    version, trace, parent, more = found.groups()
    if version == "ff" or (version == "00" and more) or not trace.strip("0") or not parent.strip("0"):
        return None
    return trace


def new_trace(rng: Random) -> tuple[str, str]:
    """A new trace-id and its traceparent, for a request without one; the sampled flag is off."""
    ids = (rng.getrandbits(192) | _NOT_ZERO).to_bytes(24, "big").hex("-", -16)
    return ids[:32], f"00-{ids}-00"


def follow(field: Header, rng: Random) -> tuple[str, str | None]:
    """The trace-id of a request, and a new traceparent if the request has no valid one.

    If there is a new traceparent, the tracestate must be dropped too (3.3.1.3).
    """
    own = field("traceparent")
    trace = None if own is None else trace_of(own)
    return (trace, None) if trace is not None else new_trace(rng)
