"""Success-rate ejection: who fails more often than the others is ejected, even if never in a row."""

from __future__ import annotations

import math
from collections.abc import Mapping


def outliers(rates: Mapping[int, float], deviations: float) -> list[int]:
    """The upstreams whose success rate is below the mean of all by more than some standard deviations.

    Parameters
    ----------
    rates : mapping of int to float
        Share of requests that did not fail, 0 to 1, by upstream.
    deviations : float
        Standard deviations (of the population, as Envoy's).

    Notes
    -----
    One of n values is below the mean by at most sqrt(n - 1) standard deviations. So 1.9 can eject one of
    five, but none of four.

    Examples
    --------
    >>> outliers({0: 1.0, 1: 1.0, 2: 0.5, 3: 1.0, 4: 1.0}, 1.9)
    [2]
    >>> outliers({0: 1.0, 1: 1.0, 2: 0.0, 3: 1.0}, 1.9)
    []
    """
    if not rates:
        return []
    mean = math.fsum(rates.values()) / len(rates)
    deviation = math.sqrt(math.fsum((rate - mean) ** 2 for rate in rates.values()) / len(rates))
    threshold = mean - deviations * deviation
    return [index for index, rate in rates.items() if rate < threshold and deviation > 1e-12]


class SuccessRates:
    """Counts the requests of every upstream in an interval.

    Parameters
    ----------
    upstreams : int
        Number of upstreams.
    hosts : int
        Upstreams with enough requests, or none is judged.
    requests : int
        Requests in an interval, or the upstream is not judged.
    deviations : float
        See `outliers`.
    """

    def __init__(self, upstreams: int, hosts: int, requests: int, deviations: float) -> None:
        self._hosts, self._least, self._deviations = hosts, requests, deviations
        self._requests = [0] * upstreams
        self._good = [0] * upstreams

    def ended(self, index: int, failed: bool) -> None:
        """A request to upstream `index` ended."""
        self._requests[index] += 1
        self._good[index] += not failed

    def interval(self, ejected: Mapping[int, float]) -> list[int]:
        """End the interval; returns its outliers among those that are not `ejected`."""
        rates = {
            index: self._good[index] / count
            for index, count in enumerate(self._requests)
            if count >= self._least and index not in ejected
        }
        self._requests = [0] * len(self._requests)
        self._good = [0] * len(self._good)
        return outliers(rates, self._deviations) if len(rates) >= self._hosts else []

    def forget(self, index: int) -> None:
        """Upstream `index` is a new one."""
        self._requests[index] = self._good[index] = 0
