"""What a student should find in the shipped scenarios of chains, workers and fan-out.

Each runs as it is shipped, but with a proxy that costs nothing, and longer. Expected values are
exact where there is a formula (z-test with fixed seeds: a correct model fails one comparison in a
million), else an approximation's, with the tolerance that is known of it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from scenarios import load_scenario
from simulator import Costs, Result, simulate
from simulator.statistics import batch_means

Z = 4.9


@cache
def simulated(name: str, duration: str, warmup: str = "5s") -> dict[str, Result]:
    """Every variant of a shipped scenario, by its label."""
    loaded = load_scenario(name, {"duration": duration, "warmup": warmup})
    return {variant.label: simulate(variant.scenario, costs=Costs.zero()) for variant in loaded.variants}


def characteristic_time(rates: NDArray[np.float64], objects: int) -> float:
    """How long an object stays if it is not requested again: Che's characteristic time, by bisection."""
    low, high = 0.0, 1e7
    for _ in range(200):
        time = (low + high) / 2
        low, high = (time, high) if (1 - np.exp(-rates * time)).sum() < objects else (low, time)
    return low


def lru_hits(chances: NDArray[np.float64], objects: int) -> NDArray[np.float64]:
    """Hit ratio of each object in an LRU cache (H. Che, Y. Tung, Z. Wang 2002)."""
    return 1 - np.exp(-chances * characteristic_time(chances, objects))


# -- the tail at scale: J. Dean, L. A. Barroso 2013 -----------------------------------------------

SLOW, HEDGE = 0.01, 0.032


def later_than(seconds: float) -> float:
    """Chance that one call takes longer: exponential with mean 10 ms, and a second more by chance."""
    return (1 - SLOW) * np.exp(-seconds / 0.01) + SLOW * min(1.0, np.exp(-(seconds - 1.0) / 0.01))


def hedged_later_than(seconds: float) -> float:
    """The same if another server is asked after `HEDGE`: both must be late."""
    return later_than(seconds) * later_than(seconds - HEDGE)


def calls(result: Result) -> NDArray[np.float64]:
    """Response times of single calls, pages taken apart."""
    return result.records.within(result.scenario.window).response


def assert_share(times: NDArray[np.float64], limit: float, expected: float) -> None:
    """Calls are independent here, since no call waits for a server: a binomial z-test."""
    error = np.sqrt(expected * (1 - expected) / len(times))
    assert abs((times > limit).mean() - expected) < Z * error


def test_tail_at_scale() -> None:
    """One call in a hundred is slow, so 63 % of the pages that need a hundred calls are."""
    alone, alone_hedged, page, page_hedged = simulated("tail-at-scale", "40s").values()
    for result in (alone, page):
        assert_share(calls(result), 0.5, SLOW)
    assert pytest.approx(0.63, abs=0.005) == 1 - (1 - SLOW) ** 100
    whole = page.records.within(page.scenario.window).whole().response
    assert_share(whole, 0.5, 1 - (1 - SLOW) ** 100)
    whole = page_hedged.records.within(page_hedged.scenario.window).whole().response
    assert_share(whole, 0.5, 1 - (1 - hedged_later_than(0.5)) ** 100)
    assert alone.summary.p99_ms == pytest.approx(1000, rel=0.02)
    assert hedged_later_than(0.0416) == pytest.approx(0.01, rel=0.01), "p99 with hedging: 42 ms"
    assert_share(calls(alone_hedged), 0.0416, hedged_later_than(0.0416))
    assert alone_hedged.summary.p99_ms == pytest.approx(42, rel=0.05)


def attempts(result: Result) -> int:
    """How often any server began to work."""
    inside = (series.values for name, series in result.queues.items() if name != "proxy")
    return sum(int(np.count_nonzero(np.diff(values) > 0)) for values in inside)


def test_a_hedge_at_p95_costs_five_per_cent_more_load() -> None:
    results = list(simulated("tail-at-scale", "40s").values())
    for plain, hedged in (results[:2], results[2:]):
        works = list(map(attempts, (plain, hedged)))
        sent = len(plain.records)
        assert works[0] == sent == len(hedged.records)
        expected = later_than(HEDGE)
        assert expected == pytest.approx(0.05, abs=0.001)
        error = np.sqrt(expected * (1 - expected) / sent)
        assert abs(works[1] / sent - 1 - expected) < Z * error


# -- one cache split over several workers ---------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_split_cache(workers: int) -> None:
    """Each worker is an LRU cache of an N-th of the objects that sees the same popularity: Che again."""
    result = simulated("split-cache", "40s")[str(workers)]
    chances = result.scenario.workload.popularity.probabilities(2_000)
    expected = float(np.dot(chances, lru_hits(chances, 400 // workers)))
    records = result.records.within(result.scenario.window)
    hits = batch_means(records.select(np.argsort(records.sent)).hit.astype(float))
    assert abs(hits.mean - expected) < 3e-3 + Z * hits.error


def test_the_lost_hits_are_those_of_a_smaller_cache() -> None:
    hits = [one.summary.hit_ratio for one in simulated("split-cache", "40s").values()]
    assert hits[0] - hits[-1] == pytest.approx(0.34, abs=0.03), "more than a third of all requests"
    assert hits == sorted(hits, reverse=True)


# -- a cache behind a cache -----------------------------------------------------------------------


@pytest.mark.parametrize(("label", "objects"), [("250KiB", 100), ("1MiB", 409)])
def test_edge_and_shield(label: str, objects: int) -> None:
    """The shield sees an object only when the edge has not seen it for the edge's characteristic time.

    V. Martina, M. Garetto, E. Leonardi, "A unified approach to the performance analysis of caching
    systems", INFOCOM 2014: misses of the edge as a Poisson stream, of which those in the time between
    the two characteristic times count; an approximation, good to a percentage point or two.
    """
    result = simulated("edge-and-shield", "40s")[label]
    chances = result.scenario.workload.popularity.probabilities(2_000)
    at_edge = lru_hits(chances, 100)
    misses = chances * (1 - at_edge)
    time = max(characteristic_time(misses, objects) - characteristic_time(chances, 100), 0.0)
    share = result.summary.cache_share
    assert share["proxy.0"] == pytest.approx(float(np.dot(chances, at_edge)), abs=0.01)
    assert share["proxy.1"] == pytest.approx(float(np.dot(misses, 1 - np.exp(-misses * time))), abs=0.02)


def test_a_shield_no_larger_than_the_edge_sees_hardly_any_hits() -> None:
    small, large = (
        one.summary.cache_share["proxy.1"] for one in simulated("edge-and-shield", "40s").values()
    )
    assert small < 0.03
    assert large > 0.2


# -- a forward proxy before a reverse one ---------------------------------------------------------


def test_forward_before_reverse() -> None:
    """A cache at the users' proxy answers most, and what it answers spares the second hop."""
    without, stored = simulated("forward-before-reverse", "40s").values()
    assert without.summary.cache_share["proxy.0"] == 0.0
    chances = without.scenario.workload.popularity.probabilities(500)
    for summary, place, objects in ((without.summary, "proxy.1", 200), (stored.summary, "proxy.0", 100)):
        expected = float(np.dot(chances, lru_hits(chances, objects)))
        assert summary.cache_share[place] == pytest.approx(expected, abs=0.015)
    assert without.summary.hit_ratio == pytest.approx(stored.summary.hit_ratio, abs=0.02)


# -- two shields side by side ---------------------------------------------------------------------


def test_two_shields() -> None:
    """By turns both keep the same; with half of the paths each, they are one shield of twice the size.

    The approximation of `test_edge_and_shield`: the shields see the misses of the edge, one shield of
    them a random half, or those of a random half of the objects.
    """
    in_turn, hashed = simulated("two-shields", "40s").values()
    chances = in_turn.scenario.workload.popularity.probabilities(2_000)
    at_edge = lru_hits(chances, 100)
    misses, stays = chances * (1 - at_edge), characteristic_time(chances, 100)

    def shields(rates: NDArray[np.float64], objects: int) -> float:
        seen = max(characteristic_time(rates, objects) - stays, 0.0)
        return float(np.dot(misses, 1 - np.exp(-rates * seen)))

    for result, expected in ((in_turn, shields(misses / 2, 409)), (hashed, shields(misses, 818))):
        share = result.summary.cache_share
        assert share["proxy.0"] == pytest.approx(float(np.dot(chances, at_edge)), abs=0.01)
        assert share["proxy.1"] + share["proxy.2"] == pytest.approx(expected, abs=0.025)
    saved = 1 - hashed.summary.fetch_rps / in_turn.summary.fetch_rps  # type: ignore[operator]
    assert saved == pytest.approx(0.33, abs=0.05), "a third of the fetches"
