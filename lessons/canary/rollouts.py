"""Rollouts of a canary, simulated by the classes that the real proxy uses, but without queues and clocks."""

from __future__ import annotations

import functools
from math import inf
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lessons.canary.exact import ALPHA, MOST_REQUESTS
from policies.canary import WhoseError, canary_share
from policies.reverse.split import Split

ROLLOUTS = 50
_SEED = 2022
_MOST_BAD = 300
"""Bad answers after which a simulated rollout is given up."""


class Rollbacks(NamedTuple):
    """Simulated rollouts of one canary.

    Attributes
    ----------
    requests : ndarray of float
        Requests of both arms until the rollback, of each rollout, in ascending order; infinite without one.
    followed : float
        All rollouts were followed for so many requests.
    """

    requests: NDArray[np.float64]
    followed: float

    @property
    def median(self) -> float:
        """Requests until half of the canaries are caught; infinite if that was not seen."""
        half = float(np.quantile(self.requests, 0.5, method="higher"))
        return half if half <= self.followed else float("inf")


@functools.lru_cache(maxsize=256)
def simulated_rollbacks(weight: float, stable: float, ratio: float, runs: int = ROLLOUTS) -> Rollbacks:
    """Rollouts by `policies.canary.WhoseError`.

    Parameters
    ----------
    weight, stable : float
        The canary's share, and the error rate of the others, between 0 and 1.
    ratio : float
        How many times as often the canary fails.
    runs : int
    """
    rng, share = np.random.default_rng(_SEED), canary_share(weight, ratio)
    rate = stable * (weight * ratio + 1.0 - weight)
    found, followed = [], float(MOST_REQUESTS)
    for _ in range(runs):
        requests = np.cumsum(rng.geometric(rate, _MOST_BAD))
        whose = rng.random(_MOST_BAD) < share
        found.append(_rollback(requests.tolist(), whose.tolist(), weight))
        if found[-1] == inf:
            followed = min(followed, float(requests[-1]))
    return Rollbacks(np.sort(found), followed)


def _rollback(requests: list[int], whose: list[bool], weight: float) -> float:
    """The request at whose bad answer the canary is rolled back."""
    test = WhoseError()
    for number, is_canary in zip(requests, whose, strict=True):
        if number > MOST_REQUESTS:
            break
        test.bad(is_canary, weight)
        if test.evidence >= 1.0 / ALPHA:
            return float(number)
    return inf


@functools.lru_cache(maxsize=128)
def false_alarms_of_peeking(
    every: int, rate: float, weight: float, requests: int = 60_000, runs: int = 1000
) -> NDArray[np.float64]:
    """The share of good canaries that a z-test has rolled back at its first look, its second, ….

    Parameters
    ----------
    every : int
        Requests between two looks.
    rate : float
        Error rate of the canary, and of the others.
    weight : float
        The canary's share of the requests.
    """
    rng, looks = np.random.default_rng(every), requests // every
    canary = np.cumsum(rng.binomial(every, weight, (runs, looks)), axis=1)
    own = np.diff(canary, axis=1, prepend=0)
    canary_bad = np.cumsum(rng.binomial(own, rate), axis=1)
    others_bad = np.cumsum(rng.binomial(every - own, rate), axis=1)
    others = every * np.arange(1, looks + 1) - canary
    alarmed = z_scores(others, canary, others_bad, canary_bad) > NormalDist().inv_cdf(1.0 - ALPHA / 2.0)
    return np.maximum.accumulate(alarmed, axis=1).mean(axis=0)


def z_scores(
    others: NDArray[np.int64], canary: NDArray[np.int64],
    others_bad: NDArray[np.int64], canary_bad: NDArray[np.int64],
) -> NDArray[np.float64]:  # fmt: skip
    """`policies.canary.z_test.PeekedZTest.z` for many looks at once."""
    rate = (others_bad + canary_bad) / (others + canary)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(rate * (1.0 - rate) * (1.0 / others + 1.0 / canary))
        z = (canary_bad / canary - others_bad / others) / error
    return np.where(np.isfinite(z), z, 0.0)


def false_rollbacks_of_sticky_users(
    users: int = 100, requests: int = 20_000, rate: float = 0.01, weight: float = 0.05, runs: int = 200
) -> dict[str, float]:
    """The share of good canaries that are rolled back if users stay with their arms, by what is counted.

    Both arms fail alike, but not all users: the error rate of a user is drawn from an exponential
    distribution, because some have a bad link or an odd account.

    Returns
    -------
    dict of str to float
        For ``every bad answer``, and for ``the first of each user``.
    """
    rng, alarms = np.random.default_rng(1703), {"every bad answer": 0, "the first of each user": 0}
    split = Split({"stable": 1.0 - weight, "canary": weight})
    for run in range(runs):
        at_canary = [split.by_key(f"user {user}", str(run)) == "canary" for user in range(users)]
        rates = np.minimum(rng.exponential(rate, users), 1.0)
        asks = rng.integers(users, size=requests)
        unlucky = asks[rng.random(requests) < rates[asks]].tolist()
        alarms["every bad answer"] += _alarms(unlucky, at_canary, weight)
        alarms["the first of each user"] += _alarms(list(dict.fromkeys(unlucky)), at_canary, weight)
    return {name: number / runs for name, number in alarms.items()}


def _alarms(users: list[int], at_canary: list[bool], weight: float) -> bool:
    test = WhoseError()
    for user in users:
        test.bad(at_canary[user], weight)
        if test.evidence >= 1.0 / ALPHA:
            return True
    return False
