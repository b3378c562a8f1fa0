"""A fixed limit."""

from __future__ import annotations

from policies.concurrency.base import ConcurrencyLimit, Window, concurrency_limit


@concurrency_limit("fixed")
class Fixed(ConcurrencyLimit):
    """Stays at its initial value; what a number in the settings means."""

    def sample(self, now: float, latency: float, inflight: int, failed: bool) -> None:
        return

    def update(self, window: Window) -> float:
        return self.value
