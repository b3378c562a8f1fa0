"""Averages over replications, and how far they can be trusted."""

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


_T95 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
        2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
        2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042]  # fmt: skip


def student_t95(freedom: int) -> float:
    """The two-sided 95 % quantile of Student's t; beyond 30 degrees by Cornish and Fisher's expansion."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
