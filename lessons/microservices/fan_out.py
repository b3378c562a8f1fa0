"""A page that needs many calls: as slow as the slowest of them, by formulas and by simulation."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenarios.loading import LoadedScenario, parse_scenario
from simulator import Costs, simulate

CALL_MS, SLOW_MS = 20.0, 200.0
"""Mean work of a call, and what a slow call takes longer, in milliseconds."""
_CALLS = 6_000
"""Calls of a simulation, over all pages."""
_UNTIL_S, _STEPS = 1.5, 6_000
"""Range and steps of the integral; no page takes longer with a probability that could be seen."""


def harmonic(calls: int) -> float:
    """1 + 1/2 + … + 1/calls: the mean of the longest of so many exponential times, in their means."""
    return float((1.0 / np.arange(1, calls + 1)).sum())


def _ready(seconds: NDArray[np.float64], slow: float) -> NDArray[np.float64]:
    """The probability that one call is answered within so many seconds."""
    mean, late = CALL_MS / 1e3, np.maximum(seconds - SLOW_MS / 1e3, 0.0)
    return (1.0 - slow) * -np.expm1(-seconds / mean) + slow * -np.expm1(-late / mean)


def page_ms(calls: int, slow: float = 0.0) -> float:
    """Mean time of a page, exactly: the integral of the probability that a call is still open.

    Parameters
    ----------
    calls : int
        Calls of the page, all at once; they do not wait for each other.
    slow : float
        The share of the calls that take `SLOW_MS` longer, between 0 and 1.
    """
    seconds = np.linspace(0.0, _UNTIL_S, _STEPS)
    return 1e3 * float(np.trapezoid(1.0 - _ready(seconds, slow) ** calls, seconds))


def slow_pages(calls: int, slow: float, attempts: int = 1) -> float:
    """The share of the pages with at least one call all of whose attempts are slow."""
    return 1.0 - (1.0 - slow**attempts) ** calls


class Pages(NamedTuple):
    """What a simulation says about pages.

    Attributes
    ----------
    mean_ms : float
        Mean time of a page.
    slow : float
        The share of the pages that took longer than `SLOW_MS`.
    """

    mean_ms: float
    slow: float


def pages_scenario(calls: int, slow: float, duration_s: float, rate: float = 8.0) -> LoadedScenario:
    """Pages at random moments, each of `calls` calls to one service that has room for all of them."""
    room = 64 if calls <= 20 else 400
    data: dict[str, Any] = {
        "title": "A page is as slow as the slowest of its calls.",
        "seed": 7, "duration": f"{duration_s:g}s", "warmup": "0s",
        "workload": {"rate": f"{rate:g}/s", "objects": 100, "fanout": calls},
        "backend": {"web": {"concurrency": room, "service_time": f"exponential({CALL_MS:g}ms)"}},
        "proxy": {
            "route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}, "limits": {"threads": 512},
        },
    }  # fmt: skip
    if slow:
        data["backend"]["web"]["hiccup"] = {"share": slow, "lasts": f"{SLOW_MS:g}ms"}
    return parse_scenario(data)


@functools.lru_cache(maxsize=256)
def simulated_pages(calls: int, slow: float = 0.0) -> Pages:
    """Simulate pages of so many calls, of which the share `slow` is slow."""
    rate = 8.0
    pages = max(_CALLS // calls, 30)
    scenario = pages_scenario(calls, slow, pages / rate, rate).variants[0].scenario
    response = simulate(scenario, costs=Costs.zero()).records.whole().response * 1e3
    return Pages(float(response.mean()), float((response > SLOW_MS).mean()))


def fork_join_ms(load: float, work_ms: float = CALL_MS) -> float:
    """Mean time of a page of two calls, each at a server with a queue of its own, exactly.

    L. Flatto, S. Hahn 1984; R. Nelson, A. Tantawi 1988: (12 - load) / 8 times the time of one queue.

    Parameters
    ----------
    load : float
        The share of the time in which each server is busy, below 1.
    work_ms : float
        Mean of the exponential work of a call.
    """
    return (12.0 - load) / 8.0 * work_ms / (1.0 - load)


@functools.lru_cache(maxsize=8)
def simulated_fork_join_ms(load: float, work_ms: float = CALL_MS, pages: int = 40_000) -> float:
    """The same, simulated: two servers, and the calls of a page go to one each."""
    rate = 1e3 * load / work_ms
    data = {
        "title": "fork and join", "seed": 1, "duration": f"{pages / rate:g}s", "warmup": "1s",
        "workload": {"rate": f"{rate:g}/s", "objects": 100, "fanout": 2},
        "backend": {"web": {"replicas": 2, "service_time": f"exponential({work_ms:g}ms)"}},
        "proxy": {
            "route": [{"to": "web"}], "service": {"web": {"upstreams": "web", "balance": "round_robin"}},
            "limits": {"threads": 4096},
        },
    }  # fmt: skip
    return simulate(parse_scenario(data).scenario, costs=Costs.zero()).summary.mean_ms
