"""Answers that expire: the formulas, and the scenarios that a lesson simulates for them.

One object is asked for λ times a second at random moments; an answer is fresh for T seconds after its
arrival, and a fetch takes D. After a fetch the object is fresh for T, then someone asks, after 1/λ on
average, and the next fetch takes D: a cycle in which 1 + λ(T + D) ask, if those who come meanwhile wait.
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
"""Of a simulated run: enough for two digits, few enough for a slider."""


def hit_ratio(rate: float, fresh_s: float, fetch_s: float = 0.0) -> float:
    """λ(T + D) / (1 + λ(T + D)): all but the first of a cycle, who fetches."""
    return rate * (fresh_s + fetch_s) / (1 + rate * (fresh_s + fetch_s))


def fetches_per_expiry(rate: float, fetch_s: float) -> float:
    """1 + λD: the first who finds the answer expired, and all who come until the new one is there."""
    return 1 + rate * fetch_s


def share_that_waits(rate: float, fresh_s: float, fetch_s: float, window_s: float) -> float:
    """e^(-λW) (1 + λD) / (1 + λ(T + D)): only if no one asks in the window W, the next one must wait."""
    waiting = math.exp(-rate * window_s) * (1 + rate * fetch_s)
    return waiting / (1 + rate * (fresh_s + fetch_s))


def mixed_hit_ratio(scenario: Scenario, fresh_s: float) -> float:
    """`hit_ratio` over all objects, each as popular as the scenario says, with coalescing."""
    (backend,) = scenario.backend.values()
    workload = scenario.workload
    chances = workload.popularity.probabilities(workload.objects)
    rate, fetch_s = workload.rate or 0.0, backend.service_time.mean
    return float(sum(chance * hit_ratio(rate * chance, fresh_s, fetch_s) for chance in chances))


def lifetimes(fresh_s: float, rate: float, **changes: object) -> LoadedScenario:
    """The shipped scenario ``time-to-live`` with another lifetime, in seconds, and requests per second."""
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
    """The shipped scenario ``stampede`` with other requests per second, and seconds of a fetch."""
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
    """The pages of ``stale-while-revalidate`` alone, each asked for `rate` times a second."""
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
    """What the simulator foresees for one lifetime; asked again, it is remembered."""
    return simulate(lifetimes(fresh_s, rate).variants[0].scenario).summary


@dataclass(frozen=True)
class Stampede:
    """One object that expires again and again.

    Attributes
    ----------
    summary : Summary
        The figures.
    inside : Series
        Requests that the origin works on, over time.
    """

    summary: Summary
    inside: Series


@functools.lru_cache(maxsize=256)
def simulated_stampede(rate: float, fetch_s: float) -> dict[bool, Stampede]:
    """What the simulator foresees without coalescing, and with it."""
    found = {}
    for variant in stampede(rate, fetch_s).variants:
        run = simulate(variant.scenario).runs[0]
        found[bool(variant.setting[COALESCE])] = Stampede(run.summary, run.queues["origin/0"])
    return found


@dataclass(frozen=True)
class Pages:
    """Pages that expire.

    Attributes
    ----------
    summary : Summary
        The figures.
    response : ndarray of float
        Response times in seconds.
    """

    summary: Summary
    response: NDArray[np.float64]

    @property
    def waits(self) -> float:
        """Share of the requests that waited for a fetch, their own or another's."""
        return float(np.mean(self.response > PAGES_FETCH_S / 50))


@functools.lru_cache(maxsize=256)
def simulated_pages(rate: float, window_s: int) -> Pages:
    """What the simulator foresees for pages with one window of grace."""
    scenario = pages(rate, window_s).variants[0].scenario
    run = simulate(scenario).runs[0]
    return Pages(run.summary, run.records.within(scenario.window).response)
