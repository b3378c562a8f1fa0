"""Averages over replications."""

from __future__ import annotations

import numpy as np

from scenarios.records import Summary

_OF_CACHES = ("hit_ratio", "fetch_rps", "fetches_per_expiry")


def mean_summary(summaries: list[Summary]) -> Summary:
    """Each figure averaged over several runs."""
    shares = {
        name: float(np.mean([summary.upstream_share[name] for summary in summaries]))
        for name in summaries[0].upstream_share
    }
    figures = {
        name: float(np.mean([getattr(summary, name) for summary in summaries]))
        for name in ("throughput_rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "error_ratio")
    }
    return Summary(
        **figures,
        **{
            name: _mean_of_known(summaries, name) for name in ("hit_ratio", "fetch_rps", "fetches_per_expiry")
        },
        upstream_share=shares,
        requests=sum(summary.requests for summary in summaries),
    )


def _mean_of_known(summaries: list[Summary], name: str) -> float | None:
    """The average where there is such a figure: caches alone have a hit ratio."""
    known = [getattr(summary, name) for summary in summaries if getattr(summary, name) is not None]
    return float(np.mean(known)) if known else None
