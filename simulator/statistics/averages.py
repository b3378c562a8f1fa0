"""Averages over replications."""

from __future__ import annotations

import numpy as np

from scenarios.call_records import mean_by_call
from scenarios.records import Summary
from scenarios.shares import mean_by_service

_OPTIONAL = (
    "hit_ratio",
    "fetch_rps",
    "fetches_per_expiry",
    "rollback_s",
    "rollback_ratio",
    "recovery_s",
    "recovery_ratio",
)


def mean_summary(summaries: list[Summary]) -> Summary:
    """Each figure averaged over several runs."""
    figures = {
        name: float(np.mean([getattr(summary, name) for summary in summaries]))
        for name in ("throughput_rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "error_ratio")
    }
    return Summary(
        **figures,
        **{name: _mean_of_known(summaries, name) for name in _OPTIONAL},
        upstream_share=_mean_shares([summary.upstream_share for summary in summaries]),
        requests=sum(summary.requests for summary in summaries),
        cache_share=_mean_shares([summary.cache_share for summary in summaries]),
        services=mean_by_service([summary.services for summary in summaries]),
        calls=mean_by_call([summary.calls for summary in summaries]),
    )


def _mean_of_known(summaries: list[Summary], name: str) -> float | None:
    """The average over the runs that have the figure: only caches have a hit ratio."""
    known = [getattr(summary, name) for summary in summaries if getattr(summary, name) is not None]
    return float(np.mean(known)) if known else None


def _mean_shares(shares: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in shares])) for name in shares[0]}
