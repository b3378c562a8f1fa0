"""The proxy's counts in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from realproxy.observe.metrics import BOUNDS, LABELS, TIMERS

CONTENT_TYPE = CONTENT_TYPE_LATEST
_TEXT = {
    "queue": "from a whole request head until a thread takes the request",
    "connect": "until there was a connection to the upstream",
    "first_byte": "from sending the request to the head of the response",
    "total": "from a whole request head to the end of the response",
}
_GAUGES = {
    "connections": "Client connections that are open.",
    "tunnels": "Tunnels that are open.",
    "associations": "SOCKS5 UDP associations that are open.",
    "threads": "Workers.",
    "queued": "Requests that wait for a worker.",
    "awaiting": "Requests that wait for an upstream without a worker.",
    "upstream_idle": "Unused connections to upstreams.",
    "cache_objects": "Objects in the store.",
    "cache_bytes": "Bytes in the store, as charged to its capacity.",
}
_COUNTERS = {
    "accepted": "Client connections accepted.",
    "accepted_forward": "Client connections accepted by the forward side's own listener.",
    "at_once": "Requests that needed no worker.",
    "hits": "Requests answered from the store.",
    "misses": "Requests that the store could not answer.",
    "log_dropped": "Lines of the access log that were lost.",
    "cpu_seconds": "Processor time used.",
}

_COPIES = ("sent", "failed", "skipped")


def to_prometheus(stats: dict[str, Any]) -> bytes:
    """`Proxy.stats` in Prometheus' text format."""
    return generate_latest(_Snapshot(stats))


class _Snapshot(Collector):
    def __init__(self, stats: dict[str, Any]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """The families of one snapshot."""
        stats = self._stats
        for family, texts in ((GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _COUNTERS)):
            for name, text in texts.items():
                if name in stats:
                    yield family(f"proxytwin_{name}", text, value=stats[name])
        ends = CounterMetricFamily("proxytwin_ends", "Requests by how they ended.", labels=["end"])
        for end, count in stats["ends"].items():
            ends.add_metric([end], count)
        yield ends
        yield from _upstreams(stats)
        yield from _services(stats["services"])
        yield from _splits(stats.get("splits", []))
        yield from _mirrors(stats.get("mirrors", []))
        yield from _traffic(stats.get("traffic", []))


def _upstreams(stats: dict[str, Any]) -> Iterator[Metric]:
    labels = ["service", "upstream"]
    requests = CounterMetricFamily("proxytwin_upstream_requests", "Requests sent upstream.", labels=labels)
    outstanding = GaugeMetricFamily("proxytwin_upstream_outstanding", "Requests under way.", labels=labels)
    ejections = CounterMetricFamily("proxytwin_upstream_ejections", "Ejections.", labels=labels)
    state = GaugeMetricFamily(
        "proxytwin_upstream_state", "1 if it is ejected, unhealthy or warming.", labels=[*labels, "state"]
    )
    for service, upstreams in stats["upstreams"].items():
        for upstream in upstreams:
            values = [service, upstream["address"]]
            requests.add_metric(values, upstream["requests"])
            outstanding.add_metric(values, upstream["outstanding"])
            ejections.add_metric(values, upstream["ejections"])
            for name in ("ejected", "unhealthy", "warming"):
                state.add_metric([*values, name], min(upstream[name], 1))
    yield from (requests, outstanding, ejections, state)


def _services(services: dict[str, dict[str, int]]) -> Iterator[Metric]:
    for name, text in (
        ("in_flight", "Requests in flight to a service."),
        ("waiting", "Requests that wait in the queue of a service."),
        ("limit", "The limit of requests in flight now; 0 without one."),
        ("breaker_open", "1 while the breaker is not closed."),
    ):
        family = GaugeMetricFamily(f"proxytwin_service_{name}", text, labels=["service"])
        for service, state in services.items():
            family.add_metric([service], state[name])
        yield family


def _splits(splits: list[dict[str, Any]]) -> Iterator[Metric]:
    labels = ["route", "arm"]
    requests = CounterMetricFamily("proxytwin_arm_requests", "Requests for an arm of a split.", labels=labels)
    share = GaugeMetricFamily("proxytwin_arm_share", "Share of an arm by its weight.", labels=labels)
    evidence = GaugeMetricFamily("proxytwin_canary_evidence", "Evidence that it is worse.", labels=labels)
    limit = GaugeMetricFamily("proxytwin_canary_evidence_limit", "It is rolled back here.", labels=labels)
    state = GaugeMetricFamily("proxytwin_canary_state", "1 for its state.", labels=[*labels, "state"])
    for split in splits:
        route, canary = str(split["route"]), split.get("canary")
        for arm, figures in split["arms"].items():
            requests.add_metric([route, arm], figures["requests"])
            share.add_metric([route, arm], figures["share"])
        if canary is not None:
            values = [route, canary["watch"]]
            evidence.add_metric(values, canary["evidence"])
            limit.add_metric(values, 1.0 / canary["alpha"])
            state.add_metric([*values, canary["state"]], 1.0)
    yield from (requests, share, evidence, limit, state) if splits else ()


def _mirrors(mirrors: list[dict[str, Any]]) -> Iterator[Metric]:
    """Several routes may have a mirror to one service; they are added up."""
    sums = Counter[tuple[str, str]]()
    for mirror in mirrors:
        sums.update({(mirror["to"], name): mirror[name] for name in (*_COPIES, "in_flight")})
    copies = CounterMetricFamily(
        "proxytwin_mirror_copies", "Copies sent, of which failed, and skipped.", labels=["to", "outcome"]
    )
    under_way = GaugeMetricFamily("proxytwin_mirror_in_flight", "Copies under way.", labels=["to"])
    for (to, name), count in sums.items():
        if name in _COPIES:
            copies.add_metric([to, name], count)
        else:
            under_way.add_metric([to], count)
    yield from (copies, under_way) if mirrors else ()


def _traffic(rows: list[dict[str, Any]]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "proxytwin_requests", "Requests by side, route, service, upstream, status and cache.", labels=LABELS
    )
    sent = CounterMetricFamily("proxytwin_sent_bytes", "Bytes of bodies sent to clients.", labels=LABELS)
    timers = {
        timer: HistogramMetricFamily(f"proxytwin_{timer}_seconds", f"Time {_TEXT[timer]}.", labels=LABELS)
        for timer in TIMERS
    }
    for row in rows:
        values = [row[label] for label in LABELS]
        requests.add_metric(values, row["count"])
        sent.add_metric(values, row["bytes"])
        for timer, family in timers.items():
            if row[timer]["count"]:
                family.add_metric(values, _cumulative(row[timer]["buckets"]), row[timer]["sum"])
    yield from (requests, sent, *timers.values())


def _cumulative(buckets: dict[str, float]) -> list[tuple[str, float]]:
    """The buckets of Prometheus, each of which includes those below it."""
    bounds = [*map(str, BOUNDS), "inf"]
    totals = accumulate(buckets.get(bound, 0.0) for bound in bounds)
    return list(zip([*bounds[:-1], "+Inf"], totals, strict=True))
