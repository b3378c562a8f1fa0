"""Deadlines that travel: each hop learns how much time is left, and passes on what it leaves.

A request's field `FIELD` says how many milliseconds are left for the response. It does not name a time of
day, for the clocks of two machines differ (as in gRPC's ``grpc-timeout``).

A caller takes these steps, each with its own clock:

1. `due` when the head is complete; then 504 at once if `left` is 0 or less.
2. In a queue, `patience`.
3. Before each attempt, 504 if nothing is left. The attempt ends when the request is due, or when its own
   limit is over, and `field_value` of what is left for it goes on to the upstream.
4. After a failure, a retry whose backoff is not over before the request is due is not made: the failure is
   the response.
"""

from __future__ import annotations

import math
import re

FIELD = "Proxytwin-Timeout-Ms"
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,12}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})")


def parse_timeout(text: str | None) -> float | None:
    """Seconds that are left by the value of `FIELD`; None without a number.

    Examples
    --------
    >>> parse_timeout("125")
    0.125
    >>> [parse_timeout(text) for text in ("-5", "soon", "1e3", "nan", "1, 2", "")]
    [-0.005, None, None, None, None, None]
    """
    if text is None or _NUMBER.fullmatch(text.strip(" \t")) is None:
        return None
    return float(text) / 1000.0


def due(arrived: float, *seconds: float | None) -> float | None:
    """When a request is due that arrived at `arrived`: the least of its limits holds; None without one."""
    least = min((limit for limit in seconds if limit is not None), default=None)
    return None if least is None else arrived + least


def left(due_at: float | None, now: float) -> float:
    """Seconds that are left; 0 or less if the deadline is past, infinity without one."""
    return math.inf if due_at is None else due_at - now


def field_value(seconds: float) -> str:
    """The value of `FIELD` for an upstream, in whole microseconds and never more than is left.

    Examples
    --------
    >>> field_value(0.1234567)
    '123.456'
    >>> field_value(-1.0)
    '0.000'
    """
    return f"{(seconds - 5e-7) * 1e3:.3f}" if seconds > 5e-7 else "0.000"  # rounded down


def patience(wait: float, due_at: float | None, now: float) -> tuple[float, int]:
    """How long a request may wait in a queue, in seconds, and the status if that is in vain.

    Parameters
    ----------
    wait : float
        The longest wait of the queue.
    due_at : float or None
        When the request is due.

    Returns
    -------
    tuple of float and int
        503 if the queue is full for too long, 504 if the request is due before.
    """
    remaining = left(due_at, now)
    return (max(remaining, 0.0), 504) if remaining < wait else (wait, 503)
