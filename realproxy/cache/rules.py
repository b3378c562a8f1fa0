"""What the settings of a route, or of the forward side, say about storing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheRules:
    """What the settings say about storing.

    Parameters
    ----------
    ttl : float or None
        Seconds of freshness for an answer that names none.
    stale : float
        Seconds of staleness in which an answer may stand in for an origin that fails.
    targeted : bool
        Whether CDN-Cache-Control is meant for this side.
    """

    ttl: float | None
    stale: float
    targeted: bool
