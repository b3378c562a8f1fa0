"""What the settings of a route, or of the forward side, say about storing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheRules:
    """What the settings say about storing.

    `ttl` is the freshness in seconds of a response that states none; None leaves that to the heuristic of
    RFC 9111, 4.2.2. `stale` is the seconds for which a stale response may be sent if the origin fails.
    `targeted` says whether CDN-Cache-Control is meant for this side (RFC 9213).
    """

    ttl: float | None
    stale: float
    targeted: bool
