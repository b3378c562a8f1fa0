"""The proxy's counts in the text format of Prometheus."""

from __future__ import annotations

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
    "at_once": "Requests that needed no worker.",
    "hits": "Requests answered from the store.",
    "misses": "Requests that the store could not answer.",
    "log_dropped": "Lines of the access log that were lost.",
    "cpu_seconds": "Processor time used.",
}


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
        yield from _traffic(stats.get("traffic", []))


def _upstreams(stats: dict[str, Any]) -> Iterator[Metric]:
    labels = ["service", "upstream"]
    requests = CounterMetricFamily("proxytwin_upstream_requests", "Requests sent upstream.", labels=labels)
    outstanding = GaugeMetricFamily("proxytwin_upstream_outstanding", "Requests under way.", labels=labels)
    for service, upstreams in stats["upstreams"].items():
        for upstream in upstreams:
            requests.add_metric([service, upstream["address"]], upstream["requests"])
            outstanding.add_metric([service, upstream["address"]], upstream["outstanding"])
    yield from (requests, outstanding)


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
