"""The interface of concurrency limits: how many requests may be in flight, by windows of samples."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from typing import NamedTuple

from policies.contract import bad_return
from policies.registry import Registry

WINDOW = 0.1
"""Seconds that a window lasts at least."""
LEAST_SAMPLES = 10
"""Samples that a window has at least."""


class Window(NamedTuple):
    """What was seen since the last update.

    Attributes
    ----------
    latencies : list of float
        Seconds of every request that did not fail, in the order of their ends.
    inflight : int
        Most requests that were in flight when one of them ended.
    dropped : bool
        Whether a request failed or came too late.
    """

    latencies: list[float]
    inflight: int
    dropped: bool


class ConcurrencyLimit(ABC):
    """A limit of requests in flight that learns from windows of samples (Netflix's concurrency-limits).

    Parameters
    ----------
    initial : int
        The limit until the first update.
    least, most : int
        Bounds of the limit, 1 or more.
    latency : float
        Seconds; for policies that compare latencies with a threshold.
    rng : random.Random
        The only source of random numbers.

    Attributes
    ----------
    value : float
        The limit now, between `least` and `most`; may have a fraction.
    """

    def __init__(
        self, initial: int, least: int = 1, most: int = 1000, *, latency: float = 5.0, rng: random.Random
    ) -> None:
        self.least, self.most, self.latency, self.rng = least, most, latency, rng
        self.value = float(initial)
        self._latencies: list[float] = []
        self._samples = self._inflight = 0
        self._dropped = False
        self._window_ends = math.inf

    def limit(self, now: float) -> int:
        """Requests that may be in flight at `now`; at least 1."""
        return int(self.value)

    def sample(self, now: float, latency: float, inflight: int, failed: bool) -> None:
        """A request has ended.

        A window ends with the first sample after `WINDOW` seconds that is at least its tenth. The window
        begins with its first sample.

        Parameters
        ----------
        now : float
            Seconds on the caller's clock.
        latency : float
            Seconds from the admission to the end of the request; does not count if it failed.
        inflight : int
            Requests in flight, this one included.
        failed : bool
            Whether it failed or came too late.
        """
        if not self._samples:
            self._window_ends = now + WINDOW
        self._samples += 1
        self._inflight = max(self._inflight, inflight)
        if failed:
            self._dropped = True
        else:
            self._latencies.append(latency)
        if now >= self._window_ends and self._samples >= LEAST_SAMPLES:
            window = Window(self._latencies, self._inflight, self._dropped)
            self._latencies, self._samples, self._inflight, self._dropped = [], 0, 0, False
            self._settle(self.update(window))

    @abstractmethod
    def update(self, window: Window) -> float:
        """The new limit after a window; it is then brought between `least` and `most`."""

    def _settle(self, value: float) -> None:
        try:
            finite = math.isfinite(value)
        except TypeError:
            finite = False
        if not finite:
            raise bad_return(self, "update", value, "the new limit, a number")
        self.value = min(max(float(value), float(self.least)), float(self.most))


concurrency_limits: Registry[ConcurrencyLimit] = Registry(
    "concurrency limit", ConcurrencyLimit, "value", "rng"
)
concurrency_limit = concurrency_limits.register


def limit_rng(seed: int | None, service: str) -> random.Random:
    """The random numbers of one service's limit: the same for the real proxy and the simulator."""
    return random.Random() if seed is None else random.Random(f"{seed}/{service}/limit")
