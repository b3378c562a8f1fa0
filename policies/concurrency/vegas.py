"""Vegas: the limit follows the queue that the latency reveals."""

from __future__ import annotations

import math
import random

from policies.concurrency.base import WINDOW, ConcurrencyLimit, Window, concurrency_limit

FORGET = 30.0
"""Windows per unit of the limit until the shortest latency is measured anew, times 0.5 to 1."""


@concurrency_limit("vegas")
class Vegas(ConcurrencyLimit):
    """Keeps a short queue at the service: ceil(L (1 - shortest / latency)) requests, by Little's law.

    The latency is the mean of a window, and the shortest is the least such mean. The limit L grows fast while
    the queue is at most lg L, slowly below 3 lg L, and falls above 6 lg L or if a request failed, where
    lg is log10 and at least 1. It stays while less than half of it is used. L. S. Brakmo, L. L. Peterson,
    "TCP Vegas", IEEE JSAC 13(8), 1995; Netflix's VegasLimit.

    Notes
    -----
    The shortest latency is measured anew now and then, because a service may become slower. Under a lasting
    overload the latency includes the queue, and the limit would rise with each measurement. So half of the
    limit holds until the queue is gone, as in the ProbeRTT of N. Cardwell et al., "BBR", ACM Queue 14(5),
    2016. That costs a part of the throughput for some tenths of a second.
    """

    def __init__(
        self, initial: int, least: int = 1, most: int = 1000, *, latency: float = 5.0, rng: random.Random
    ) -> None:
        super().__init__(initial, least, most, latency=latency, rng=rng)
        self._shortest = math.inf
        self._windows_left = self._until_measured(initial)
        self._draining = 0  # windows until the shortest latency is measured
        self._kept = 0.0  # the limit that holds again after that

    def update(self, window: Window) -> float:
        limit, step = self.value, max(1.0, math.log10(self.value))
        if not window.latencies:
            self._kept -= step
            return limit - step
        latency = math.fsum(window.latencies) / len(window.latencies)
        if self._draining:
            return self._drain(latency)
        used = 2 * window.inflight >= limit
        self._windows_left -= 1
        if self._windows_left <= 0:
            self._windows_left = self._until_measured(limit)
            self._shortest = latency if not used else self._shortest
            self._draining = 1 + math.ceil(latency / WINDOW) if used else 0
        if self._draining:
            self._kept = limit
            return limit / 2
        self._shortest = min(latency, self._shortest)
        if window.dropped:
            return limit - step
        if latency <= self._shortest or not used:
            return limit
        return limit + step * _steps(math.ceil(limit * (1 - self._shortest / latency)) / step)

    def _drain(self, latency: float) -> float:
        self._draining -= 1
        if self._draining:
            return self.value
        self._shortest = latency
        return self._kept

    def _until_measured(self, limit: float) -> float:
        return FORGET * limit * (0.5 + self.rng.random() / 2)


def _steps(queue: float) -> int:
    """By how many steps the limit changes with a queue that is so many steps long."""
    return 6 if queue <= 1 else 1 if queue < 3 else 0 if queue <= 6 else -1
