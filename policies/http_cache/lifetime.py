"""How long a response without a directive is fresh, and how old it is when it arrives.

The sections are those of RFC 9111.
"""

from __future__ import annotations

from policies.http_cache.dates import parse_http_date
from policies.http_cache.directives import Header, delta_seconds

HEURISTIC_SHARE = 0.1
"""Share of the time since Last-Modified that a response without explicit freshness is fresh for (4.2.2)."""
HEURISTIC_LIMIT = 86_400.0
"""Most seconds of freshness by that heuristic."""


def implicit_lifetime(header: Header, expires: str | None, ttl: float | None, now: float) -> float | None:
    """Seconds of freshness without a directive; None if nothing names any (section 4.2.1).

    Parameters
    ----------
    header : callable
        Of the response.
    expires : str or None
        Its Expires, if that counts.
    ttl : float or None
        Seconds of freshness by the settings, for a response that names none.
    now : float
        Seconds since 1970 when the response arrived.
    """
    if expires is not None:
        until = parse_http_date(expires, now)  # an invalid date is in the past (section 5.3)
        date = parse_http_date(header("date"), now)
        return max(0.0, until - (now if date is None else date)) if until is not None else 0.0
    return _heuristic(header, now) if ttl is None else ttl


def _heuristic(header: Header, now: float) -> float | None:
    """Seconds of freshness estimated from the time since Last-Modified (section 4.2.2)."""
    modified = parse_http_date(header("last-modified"), now)
    if modified is None:
        return None
    date = parse_http_date(header("date"), now)
    unchanged = max(0.0, (now if date is None else date) - modified)
    return min(HEURISTIC_SHARE * unchanged, HEURISTIC_LIMIT)


def current_age(header: Header, now: float, delay: float) -> float:
    """Seconds of age when a response arrives (section 4.2.3)."""
    date, age = parse_http_date(header("date"), now), header("age")
    apparent = max(0.0, int(now) - date) if date is not None else 0.0
    claimed = "" if age is None else age.partition(",")[0].strip()  # the first counts (section 5.1)
    return max(apparent, delta_seconds(claimed) + delay) if claimed else apparent
