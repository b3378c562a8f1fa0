"""The figures of one run, simulated or real."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from scenarios.call_records import CallFigures
from scenarios.shares import ServiceFigures

_RARE = ("cache_share", "rollback_s", "rollback_ratio", "services", "calls", "recovery_s", "recovery_ratio")


@dataclass(frozen=True)
class Summary:
    """The figures of one run, over the requests that were due in its window.

    Attributes
    ----------
    throughput_rps : float
        Responses per second within the window.
    mean_ms, p50_ms, p95_ms, p99_ms : float
        Response time in milliseconds.
    hit_ratio : float or None
        Share answered from a cache; ``None`` without a cache.
    fetch_rps : float or None
        Requests per second that reached the backends; ``None`` without a cache.
    fetches_per_expiry : float or None
        Fetches each time that an object was missing or stale; 1 is the minimum (see
        `scenarios.fetches.Fetches.firsts`). ``None`` without a cache.
    error_ratio : float
        Share with a status of 500 or more, or without a response.
    upstream_share : dict of str to float
        Share of each replica in the requests that reached a backend.
    requests : int
        Number of requests.
    cache_share : dict of str to float
        With several proxies, the share of the requests that each proxy's cache answered, such as
        ``{"proxy.0": 0.4, "proxy.1": 0.2}``; empty for a single proxy.
    rollback_s : float or None
        Seconds until the canary got its last request, see `scenarios.rollback`; ``None`` without a
        canary, or if it was not rolled back.
    rollback_ratio : float or None
        1 if the canary was rolled back, else 0; the share of the runs in an average of several. ``None``
        without a watched canary.
    services : dict of str to ServiceFigures
        Share and errors of each service, such as the arms of a split route; empty for a single service.
    calls : dict of str to CallFigures
        The calls between backends, by service and depth, such as ``store@2``; empty if there are none.
    recovery_s : float or None
        Seconds after an outage until clients are served well again, see `scenarios.recovery`; ``None``
        without an outage, or if they are not until the end.
    recovery_ratio : float or None
        1 if they are served well again, else 0; the share of the runs in an average of several. ``None``
        without an outage.
    """

    throughput_rps: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    hit_ratio: float | None
    error_ratio: float
    upstream_share: dict[str, float]
    requests: int
    fetch_rps: float | None = None
    fetches_per_expiry: float | None = None
    cache_share: dict[str, float] = field(default_factory=dict)
    rollback_s: float | None = None
    rollback_ratio: float | None = None
    services: dict[str, ServiceFigures] = field(default_factory=dict)
    calls: dict[str, CallFigures] = field(default_factory=dict)
    recovery_s: float | None = None
    recovery_ratio: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON, without the figures that few scenarios have where they do not exist."""
        known = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in _RARE:
            if known[name] in (None, {}):
                del known[name]
        for name in ("services", "calls"):
            if name in known:
                known[name] = {each: figures._asdict() for each, figures in known[name].items()}
        return known
