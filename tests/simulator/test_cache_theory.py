"""Caches against theory: characteristic times of LRU, FIFO and RANDOM, and expiry after a fixed time.

`test_simulate.py` shows that a simulated client's hits are exactly those of the policy's class
alone; so the formulas are held against that class, on the workload's own requests.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from policies import eviction_policies
from scenarios import Scenario, Workload, load_scenario
from simulator import Costs, simulate
from simulator.statistics import batch_means, estimate

Z = 4.9
"""Two-sided: a correct model fails one such comparison in a million."""
OBJECTS, CAPACITY, EXPONENT = 10_000, 1_000, 0.9
ERROR = 5e-4
"""Of the formulas themselves, at this size of a cache."""

Occupancy = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def kept_after_each_request(asked: NDArray[np.float64]) -> NDArray[np.float64]:
    """LRU: there if asked for within the characteristic time (H. Che, Y. Tung, Z. Wang 2002)."""
    return 1 - np.exp(-asked)


def kept_after_its_arrival(asked: NDArray[np.float64]) -> NDArray[np.float64]:
    """FIFO and RANDOM: a stay lasts the characteristic time from its arrival on (E. Gelenbe 1973)."""
    return asked / (1 + asked)


def hit_ratio(occupancy: Occupancy, chances: NDArray[np.float64], capacity: int) -> float:
    """With the characteristic time at which `capacity` objects are there on average, by bisection."""
    low, high = 0.0, 1e9
    for _ in range(200):
        time = (low + high) / 2
        low, high = (time, high) if occupancy(chances * time).sum() < capacity else (low, time)
    return float(np.dot(chances, occupancy(chances * low)))


def popularity() -> NDArray[np.float64]:
    weights = np.arange(1, OBJECTS + 1) ** -EXPONENT
    return weights / weights.sum()


def test_the_formulas_give_the_known_values() -> None:
    known = {kept_after_each_request: 0.556, kept_after_its_arrival: 0.510}
    for occupancy, value in known.items():
        assert hit_ratio(occupancy, popularity(), CAPACITY) == pytest.approx(value, abs=1e-3)


@pytest.fixture(scope="module")
def asked() -> list[int]:
    rng = np.random.default_rng(13)
    return np.searchsorted(np.cumsum(popularity()), rng.random(1_000_000)).tolist()


@pytest.mark.parametrize(
    ("policy", "occupancy"),
    [("lru", kept_after_each_request), ("fifo", kept_after_its_arrival), ("random", kept_after_its_arrival)],
)
def test_a_cache_meets_its_characteristic_time(asked: list[int], policy: str, occupancy: Occupancy) -> None:
    cache = eviction_policies[policy](CAPACITY, rng=random.Random(3))
    hits = np.array(cache.replay(asked, [1] * len(asked), [0.0] * len(asked)), dtype=np.float64)
    found = batch_means(hits[100_000:])
    assert found.trusted
    expected = hit_ratio(occupancy, popularity(), CAPACITY)
    assert abs(found.mean - expected) < ERROR + Z * found.error
    assert Z * found.error < 0.003, "or the comparison would say little"


def test_the_workload_asks_by_its_popularity(bare_scenario: Callable[..., Scenario]) -> None:
    scenario = bare_scenario({"rate": "1/s", "objects": 50, "popularity": "zipf(0.9)"}, {})
    count = 100_000
    seen = np.bincount(
        [request.object for request in islice(Workload(scenario).stream(0), count)], minlength=50
    )
    weights = np.arange(1, 51) ** -0.9
    chances = weights / weights.sum()
    away = (seen - count * chances) / np.sqrt(count * chances * (1 - chances))
    assert np.abs(away).max() < Z + 0.8, "fifty comparisons, together one in a million"


@pytest.fixture(scope="module")
def expiring() -> Scenario:
    """One object, asked for twice per lifetime on average, fetched in no time."""
    changes = {
        "workload": {"rate": "2/s", "objects": 1},
        "backend.origin.service_time": "0s",
        "backend.origin.cache_control": "max-age=1",
        "duration": "2000s",
        "warmup": "0s",
    }
    return load_scenario("small-cache", changes).scenario


def test_a_fresh_answer_is_a_hit_until_its_lifetime_ends(expiring: Scenario) -> None:
    records = simulate(expiring, costs=Costs.zero()).records
    expires, expected = -1.0, []
    for now in records.sent.tolist():
        expected.append(now < expires)
        expires = expires if expected[-1] else now + 1.0
    assert len(expected) > 3500
    assert records.hit.tolist() == expected


def test_a_fixed_lifetime_gives_its_hit_ratio(expiring: Scenario) -> None:
    """λT / (1 + λT): after each fetch, λT requests are hits before the next fetch."""
    found = simulate(expiring, 10, costs=Costs.zero()).values("hit_ratio")
    assert abs(estimate(found).z_score(2 / 3)) < Z
