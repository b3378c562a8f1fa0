"""AIMD: additive increase, multiplicative decrease."""

from __future__ import annotations

from policies.concurrency.base import ConcurrencyLimit, Window, concurrency_limit

FALL = 0.9
"""What is left of the limit after a bad window."""


@concurrency_limit("aimd")
class Aimd(ConcurrencyLimit):
    """One more after a good window in which half of the limit was used, a tenth less after a bad one.

    A window is bad if a request failed, or if the 90th percentile is above `latency`. That percentile is no
    sign of congestion: a service that has become slow for another reason lets the limit fall to its least.
    D.-M. Chiu, R. Jain, "Analysis of the increase and decrease algorithms for congestion avoidance", 1989;
    Netflix's AIMDLimit.
    """

    def update(self, window: Window) -> float:
        if window.dropped or _p90(window.latencies) > self.latency:
            return float(int(self.value * FALL))
        if 2 * window.inflight >= self.value:
            return self.value + 1
        return self.value


def _p90(latencies: list[float]) -> float:
    """The 90th percentile: nine of ten are not above it."""
    return sorted(latencies)[-(-9 * len(latencies) // 10) - 1] if latencies else 0.0
