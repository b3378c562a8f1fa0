"""Responses that expire: formulas, and the scenarios that the lesson simulates for them.

One object is requested λ times per second at random moments. A response is fresh for T seconds after its
arrival, and a fetch takes D. This makes a cycle: the object is fresh for T, the next request comes after
1/λ on average, and its fetch takes D. With coalescing, a cycle has 1 + λ(T + D) requests and one fetch.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenarios import Scenario, load_scenario
from scenarios.loading import LoadedScenario
from scenarios.records import Summary
from simulator import simulate
from simulator.series import Series

COALESCE = "proxy.route.0.cache.coalesce"
PAGES_FETCH_S, PAGES_FRESH_S, PAGES = 0.1, 2.0, 50
_REQUESTS = 4_000
"""Requests of a simulated run: enough for two digits, few enough for a slider."""


def hit_ratio(rate: float, fresh_s: float, fetch_s: float = 0.0) -> float:
    """λ(T + D) / (1 + λ(T + D)): all requests of a cycle are hits, except the first."""
    return rate * (fresh_s + fetch_s) / (1 + rate * (fresh_s + fetch_s))


def fetches_per_expiry(rate: float, fetch_s: float) -> float:
    """1 + λD: the first request after the expiry, and all requests that arrive during its fetch."""
    return 1 + rate * fetch_s


def share_that_waits(rate: float, fresh_s: float, fetch_s: float, window_s: float) -> float:
    """e^(-λW) (1 + λD) / (1 + λ(T + D)): requests wait only if none came within the window W."""
    waiting = math.exp(-rate * window_s) * (1 + rate * fetch_s)
    return waiting / (1 + rate * (fresh_s + fetch_s))


def mixed_hit_ratio(scenario: Scenario, fresh_s: float) -> float:
    """`hit_ratio` over all objects of a scenario, weighted by their popularity, with coalescing."""
    (backend,) = scenario.backend.values()
    workload = scenario.workload
    chances = workload.popularity.probabilities(workload.objects)
    rate, fetch_s = workload.rate or 0.0, backend.service_time.mean
    return float(sum(chance * hit_ratio(rate * chance, fresh_s, fetch_s) for chance in chances))


def lifetimes(fresh_s: float, rate: float, **changes: object) -> LoadedScenario:
    """The shipped scenario ``time-to-live`` with this lifetime in seconds and rate in requests/s."""
    return load_scenario(
        "time-to-live",
        {
            "workload.rate": f"{rate:g}/s",
            "backend.origin.cache_control": f"max-age={fresh_s:g}",
            "duration": f"{_REQUESTS / rate:.6g}s",
            "compare": {},
            **{key.replace("__", "."): value for key, value in changes.items()},
        },
    )


def stampede(rate: float, fetch_s: float) -> LoadedScenario:
    """The shipped scenario ``stampede`` with this rate in requests/s and fetch time in seconds."""
    return load_scenario(
        "stampede",
        {
            "workload.rate": f"{rate:g}/s",
            "backend.origin.service_time": f"{fetch_s:g}s",
            "duration": f"{min(20.0, _REQUESTS / rate):.6g}s",
            "warmup": "0s",
        },
    )


def pages(rate: float, window_s: int) -> LoadedScenario:
    """The scenario ``stale-while-revalidate`` without variants; each page gets `rate` requests/s."""
    said = f"max-age={PAGES_FRESH_S:g}"
    return load_scenario(
        "stale-while-revalidate",
        {
            "workload.rate": f"{PAGES * rate:g}/s",
            "workload.objects": PAGES,
            "backend.pages.cache_control": f"{said}, stale-while-revalidate={window_s}" if window_s else said,
            "proxy.route": [{"to": "pages", "cache": {"coalesce": True}}],
            "duration": f"{_REQUESTS / (PAGES * rate):.6g}s",
            "compare": {},
        },
    )


@functools.lru_cache(maxsize=256)
def simulated_lifetime(fresh_s: float, rate: float) -> Summary:
    """Simulate one lifetime, in seconds; results are cached."""
    return simulate(lifetimes(fresh_s, rate).variants[0].scenario).summary


@dataclass(frozen=True)
class Stampede:
    """A simulation of one object that expires again and again.

    Attributes
    ----------
    summary : Summary
        The metrics of the run.
    inside : Series
        Number of requests at the origin over time.
    """

    summary: Summary
    inside: Series


@functools.lru_cache(maxsize=256)
def simulated_stampede(rate: float, fetch_s: float) -> dict[bool, Stampede]:
    """Simulate a stampede; the keys say whether fetches are coalesced. Results are cached."""
    found = {}
    for variant in stampede(rate, fetch_s).variants:
        run = simulate(variant.scenario).runs[0]
        found[bool(variant.setting[COALESCE])] = Stampede(run.summary, run.queues["origin/0"])
    return found


@dataclass(frozen=True)
class Pages:
    """A simulation of pages that expire.

    Attributes
    ----------
    summary : Summary
        The metrics of the run.
    response : ndarray of float
        Response times in seconds.
    """

    summary: Summary
    response: NDArray[np.float64]

    @property
    def waits(self) -> float:
        """Share of the requests that waited for a fetch, including the fetch of another request."""
        return float(np.mean(self.response > PAGES_FETCH_S / 50))


@functools.lru_cache(maxsize=256)
def simulated_pages(rate: float, window_s: int) -> Pages:
    """Simulate pages with a window of stale-while-revalidate, in seconds; results are cached."""
    scenario = pages(rate, window_s).variants[0].scenario
    run = simulate(scenario).runs[0]
    return Pages(run.summary, run.records.within(scenario.window).response)
