"""Exact figures of the test of whose error it is, by dynamic programming instead of chance."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from policies.canary import canary_share
from policies.canary.whose_error import RATIOS

ALPHA = 0.05
MOST_REQUESTS = 100_000
_MOST_BAD = 6_000
"""Bad answers after which the recursion ends in any case."""
_NEARLY_ALL = 0.999


def rollback_limits(weight: float, alpha: float = ALPHA) -> Iterator[int]:
    """For 1, 2, … bad answers without end: how many of them must be the canary's for a rollback.

    After n bad answers the evidence of `policies.canary.WhoseError` depends only on how many of them are the
    canary's, and grows with this number. So one limit for each n says all.
    """
    shares = [canary_share(weight, ratio) for ratio in RATIOS]
    steps = [(log(share / weight), log((1.0 - share) / (1.0 - weight))) for share in shares]
    wanted, limit = len(RATIOS) / alpha, 0
    for bad in count(1):
        while sum(exp(min(limit * own + (bad - limit) * other, 700.0)) for own, other in steps) < wanted:
            limit += 1
        yield limit


@functools.lru_cache(maxsize=512)
def bad_answers_until_rollback(weight: float, ratio: float, most: int) -> NDArray[np.float64]:
    """The probability that the canary is rolled back at bad answer 1, 2, …, up to `most`.

    Parameters
    ----------
    weight : float
        The canary's share of the requests, between 0 and 1.
    ratio : float
        How many times as often as the others the canary fails; at 1, each rollback is a false alarm.
    most : int
    """
    share = canary_share(weight, ratio)
    state, found = np.ones(1), np.zeros(most)  # the probabilities of 0, 1, … bad answers of the canary
    left = 1.0
    for place, limit in enumerate(islice(rollback_limits(weight), most)):
        grown = np.append(state * (1.0 - share), 0.0)
        grown[1:] += state * share
        found[place] = grown[limit:].sum()
        state = grown[:limit]
        left -= found[place]
        if left < 1.0 - _NEARLY_ALL:
            break
    return found


@dataclass(frozen=True)
class Rollback:
    """When a canary of a constant weight is rolled back.

    Parameters
    ----------
    weight : float
        The canary's share of the requests, between 0 and 1.
    stable : float
        Error rate of the others.
    ratio : float
        How many times as often the canary fails.
    """

    weight: float
    stable: float
    ratio: float

    @property
    def error_rate(self) -> float:
        """Bad answers per request, of both arms together."""
        return self.stable * (self.weight * self.ratio + 1.0 - self.weight)

    def within(self, requests: NDArray[np.int64]) -> NDArray[np.float64]:
        """The probability of a rollback within so many requests of both arms, for each number."""
        at_bad = bad_answers_until_rollback(self.weight, self.ratio, self._most_bad(int(requests.max())))
        known = np.flatnonzero(at_bad)
        if not len(known):
            return np.zeros(len(requests))
        return np.array([_at_least(int(number), known + 1, self.error_rate) @ at_bad[known]
                         for number in requests])  # fmt: skip

    def quantile(self, share: float, most: int = MOST_REQUESTS) -> float:
        """The requests within which a rollback has come with probability `share`; NaN beyond `most`."""
        low, high = 0, most
        if self.within(np.array([most]))[0] < share:
            return float("nan")
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._up_to(middle, most) >= share else (middle, high)
        return float(high)

    def _up_to(self, requests: int, most: int) -> float:
        at_bad = bad_answers_until_rollback(self.weight, self.ratio, self._most_bad(most))
        known = np.flatnonzero(at_bad)
        return float(_at_least(requests, known + 1, self.error_rate) @ at_bad[known])

    def _most_bad(self, requests: int) -> int:
        """Bad answers that so many requests hardly ever exceed; in steps, so that sliders find it cached."""
        mean = requests * self.error_rate
        return min(50 * int(1 + (mean + 6.0 * mean**0.5) / 50), _MOST_BAD)


@functools.lru_cache(maxsize=1)
def _log_factorials() -> NDArray[np.float64]:
    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1.0, 10 * MOST_REQUESTS + 1)))))


def _at_least(requests: int, bad: NDArray[np.int64], rate: float) -> NDArray[np.float64]:
    """The probability of at least `bad` bad answers among so many requests, for each number."""
    most = min(int(bad[-1]), requests + 1)
    below = np.arange(most)
    logs = _log_factorials()
    chances = np.exp(
        logs[requests] - logs[below] - logs[requests - below]
        + below * log(rate) + (requests - below) * log(1.0 - rate)
    )  # fmt: skip
    tail = np.clip(1.0 - np.concatenate(([0.0], np.cumsum(chances))), 0.0, 1.0)
    return tail[np.minimum(bad, most)] * (bad <= requests)


def first_guess(weight: float, stable: float, ratio: float, alpha: float = ALPHA) -> float:
    """Requests until a rollback, roughly: ``ln(1/α)`` divided by the evidence that a request brings.

    A bad answer brings on average the Kullback-Leibler divergence of its two explanations (S. Kullback,
    R. Leibler 1951).
    """
    share = canary_share(weight, ratio)
    if share <= weight:
        return float("inf")
    brings = share * log(share / weight) + (1.0 - share) * log((1.0 - share) / (1.0 - weight))
    return log(1.0 / alpha) / (Rollback(weight, stable, ratio).error_rate * brings)
