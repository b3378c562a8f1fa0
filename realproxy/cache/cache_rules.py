"""What the settings of a route, or of the forward side, say about storing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class CacheRules:
    """What the settings say about storing.

    `ttl` is the freshness in seconds of a response that states none; None leaves that to the heuristic of
    RFC 9111, 4.2.2. `stale` is the seconds for which a stale response may be sent if the origin fails.
    `targeted` says whether CDN-Cache-Control is meant for this side (RFC 9213). `unheard` are the request
    fields that the origin does not get from the client, so that they cannot have caused its response.
    """

    ttl: float | None
    stale: float
    targeted: bool
    unheard: frozenset[bytes] = frozenset()


@lru_cache(256)  # the requests of one client mostly have the same names
def heard(names: tuple[bytes, ...], unheard: frozenset[bytes]) -> tuple[str, ...]:
    """Names of the request fields that the origin gets from the client."""
    return tuple(name.decode("latin-1") for name in names if name not in unheard)
