"""Moving averages of the latencies of upstreams, which decay over time."""

from __future__ import annotations

import math


class Latency:
    """An exponentially weighted average of each upstream's recent latencies.

    It decays towards zero while an upstream does not answer, so that a slow upstream is tried again
    later. Constant cost.

    Parameters
    ----------
    count : int
        Number of upstreams.
    peak : bool
        Whether a latency above the average replaces it at once.

    Attributes
    ----------
    rank : list of float
        Orders the upstreams by expected latency, at any time, because all averages decay alike.
    """

    DECAY = 10.0
    """Seconds in which an average decays to 1/e."""

    def __init__(self, count: int, *, peak: bool) -> None:
        self._peak = peak
        self._average = [0.0] * count
        self._since = [0.0] * count
        self.rank = [-math.inf] * count

    def observe(self, index: int, elapsed: float, now: float) -> None:
        """Upstream `index` answered after `elapsed` seconds."""
        average = self._average[index]
        if not average or (self._peak and elapsed > average):
            self._average[index] = elapsed
        else:
            kept = math.exp((self._since[index] - now) / self.DECAY)
            self._average[index] = average * kept + elapsed * (1 - kept)
        self._since[index] = now
        average = self._average[index]
        self.rank[index] = math.log(average) + now / self.DECAY if average else -math.inf

    def expected(self, index: int, now: float) -> float:
        """Expected latency in seconds; 0 if unknown."""
        average = self._average[index]
        return average * math.exp((self._since[index] - now) / self.DECAY) if average else 0.0
