"""Averages over replications."""

from __future__ import annotations

import numpy as np

from scenarios.records import Summary


def mean_summary(summaries: list[Summary]) -> Summary:
    """Each figure averaged over several runs."""
    shares = {
        name: float(np.mean([summary.upstream_share[name] for summary in summaries]))
        for name in summaries[0].upstream_share
    }
    ratios = [summary.hit_ratio for summary in summaries if summary.hit_ratio is not None]
    figures = {
        name: float(np.mean([getattr(summary, name) for summary in summaries]))
        for name in ("throughput_rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "error_ratio")
    }
    return Summary(
        **figures,
        hit_ratio=float(np.mean(ratios)) if ratios else None,
        upstream_share=shares,
        requests=sum(summary.requests for summary in summaries),
    )
