"""Caches in a row by Che's approximation: which share of all requests each tier answers.

H. Che, Y. Tung, Z. Wang, "Hierarchical web caching systems: modeling, design and experimental results", IEEE
JSAC 2002; V. Martina, M. Garetto, E. Leonardi, "A unified approach to the performance analysis of caching
systems", INFOCOM 2014.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenarios.distributions import parse_popularity

OBJECTS = 2_000
POPULARITY = "zipf(0.9)"

Rates = NDArray[np.float64]


class Shares(NamedTuple):
    """Which share of all requests each tier answers.

    Attributes
    ----------
    front, behind, origin : float
        The caches next to the clients, those behind them, and the origin; together 1.
    """

    front: float
    behind: float
    origin: float


@functools.cache
def chances() -> Rates:
    """The probability that a request is for each object."""
    return np.asarray(parse_popularity(POPULARITY).probabilities(OBJECTS), dtype=np.float64)


def characteristic_time(rates: Rates, objects: float) -> float:
    """How long an LRU cache keeps an object that is not requested again, in requests; by bisection.

    In this time as many different objects are requested as the cache holds. Infinite if it holds all.
    """
    if objects >= len(rates):
        return float("inf")
    low, high = 0.0, 1e9
    for _ in range(70):
        time = (low + high) / 2
        low, high = (time, high) if -np.expm1(-rates * time).sum() < objects else (low, time)
    return low


@functools.lru_cache(maxsize=512)
def shares_by_formula(
    front_objects: int, behind_objects: int, fronts: int = 1, shields: int = 1, *, by_path: bool = True
) -> Shares:
    """Two tiers of LRU caches: what clients ask first, and the shields behind that.

    Parameters
    ----------
    front_objects, behind_objects : int
        Objects that one cache of each tier holds.
    fronts, shields : int
        Number of caches of each tier. Each of the first tier gets an equal share of the requests.
    by_path : bool
        Each shield gets its own part of the objects; else all shields get any request in turn.
    """
    asked = chances()
    stays = fronts * characteristic_time(asked, front_objects)
    missed = asked * np.exp(-asked * stays / fronts)
    at_one, room = (missed, shields * behind_objects) if by_path else (missed / shields, behind_objects)
    kept = characteristic_time(at_one, room)
    # What the same front cache has asked for a moment ago it still holds, so it does not ask again.
    others = (fronts - 1) / fronts * kept
    seen = others + max(kept - stays, 0.0) / fronts if np.isfinite(kept) else kept
    behind = float(np.dot(missed, -np.expm1(-at_one * seen)))
    front = float(1 - missed.sum())
    return Shares(front, behind, 1 - front - behind)
