"""What a student should find in the shipped scenarios about expiry: formulas, and each as it is shipped.

The proxy and the network cost nothing here. Where chance decides, a z-test on replications with fixed
seeds: a correct model fails one comparison in a million.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from scenarios import load_scenario
from simulator import Costs, Result, compare_paired, simulate
from simulator.statistics import estimate

Z = 4.9


@cache
def simulated(name: str, duration: str, warmup: str, replications: int) -> dict[str, Result]:
    """Every variant of a shipped scenario, by its label."""
    changes = {"duration": duration, "warmup": warmup}
    return {
        variant.label: simulate(variant.scenario, replications, costs=Costs.zero())
        for variant in load_scenario(name, changes).variants
    }


def z_score(result: Result, metric: str, expected: float) -> float:
    return abs(estimate(result.values(metric)).z_score(expected))


def test_stampede() -> None:
    """One fetch and, without coalescing, λD = 40 more: all requests that arrive during the fetch."""
    rate, fetch_s, fresh_s = 200, 0.2, 1.0
    each, coalesced = simulated("stampede", "40s", "0s", 6).values()
    assert z_score(each, "fetches_per_expiry", 1 + rate * fetch_s) < Z
    assert estimate(each.values("fetches_per_expiry")).half_width < 2
    assert (coalesced.values("fetches_per_expiry") == 1).all()
    misses = 1 - coalesced.values("hit_ratio")
    assert abs(estimate(misses).z_score(1 / (1 + rate * (fresh_s + fetch_s)))) < Z
    assert each.summary.fetch_rps > 30 * coalesced.summary.fetch_rps


def test_stale_while_revalidate_frees_the_tail_of_expiry() -> None:
    """Pages: (D + λD²/2) / (1 + λ(T + D)) of waiting a request, or none; the basket is in both."""
    rate, fetch_s, fresh_s, basket_ms = 3, 0.1, 2.0, 30.0
    waiting, behind = simulated("stale-while-revalidate", "30s", "5s", 6).values()
    page_ms = 1e3 * (fetch_s + rate * fetch_s**2 / 2) / (1 + rate * (fresh_s + fetch_s))
    assert z_score(waiting, "mean_ms", 0.8 * page_ms + 0.2 * basket_ms) < Z
    assert z_score(behind, "mean_ms", 0.2 * basket_ms) < Z
    assert waiting.summary.p95_ms == pytest.approx(100, abs=0.5)
    slowest_basket = {"p95_ms": 38.3, "p99_ms": 58.2}  # three in four, 19 in 20: Erlang with four phases
    for metric, expected in slowest_basket.items():
        assert getattr(behind.summary, metric) == pytest.approx(expected, rel=0.04)
        assert compare_paired(waiting, behind, metric).decided


def test_stale_while_revalidate_asks_the_backend_no_less_often() -> None:
    """40 pages, each anew when T is over, someone has asked, and the fetch is done; 30 baskets a second."""
    expected = 40 / (2.0 + 1 / 3 + 0.1) + 30
    for result in simulated("stale-while-revalidate", "30s", "5s", 6).values():
        assert result.summary.fetch_rps == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("fresh_s", [1, 3, 9])
def test_time_to_live(fresh_s: int) -> None:
    """Each object λ(T + D) hits a fetch. The empty start makes up to four more misses in a thousand."""
    result = simulated("time-to-live", "40s", "10s", 4)[f"max-age={fresh_s}"]
    workload = result.scenario.workload
    chances = workload.popularity.probabilities(workload.objects)
    asked = workload.rate * chances * (fresh_s + result.scenario.backend["origin"].service_time.mean)
    expected = float(np.dot(chances, asked / (1 + asked)))
    found = estimate(result.values("hit_ratio"))
    assert abs(found.mean - expected) < 0.004 + found.half_width
    assert found.half_width < 0.01 and not math.isnan(expected)
