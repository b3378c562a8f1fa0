"""A retry storm: an outage is over, and the server stays busy with answers that come too late.

The system is that of the shipped scenario ``retry-storm``.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenarios.loading import Variant, load_scenario
from simulator import Costs, simulate
from simulator.result import Run

CAPACITY_RPS, LOAD_RPS, LIMIT_S, OUTAGE_S = 100, 65, 0.2, 0.6
"""What the server can do, what comes, how long a client waits for an attempt, and the outage."""
SLOWER = 10
"""How many times as slow the server is in the outage."""
BEGIN_S, SHOWN_S = 0.4, 8.0
"""When the outage begins, and how long a simulation lasts."""
RETRIES = 3
BIN_S = 0.2


def storm_variant(
    service: Mapping[str, Any],
    load: float = LOAD_RPS,
    outage_s: float = OUTAGE_S,
    duration_s: float = SHOWN_S,
    warmup_s: float = 0.0,
    label: str = "",
) -> Variant:
    """The shipped scenario with another service, load and outage.

    Parameters
    ----------
    service : mapping
        Settings of the service, such as ``{"retry": {"attempts": 4}}``.
    load : float
        Requests per second.
    outage_s, duration_s : float
        How long the server is ten times as slow, and how long the run lasts.
    warmup_s : float
        From then on, requests count in averages.
    label : str
        The variant's name.
    """
    whole = {"upstreams": "web", "deadline": False, **service}
    changes = {
        "workload.rate": f"{load:g}/s",
        "duration": f"{duration_s:g}s",
        "warmup": f"{warmup_s:g}s",
        "backend.web.slow_during": {"0": f"{BEGIN_S:g}s..{BEGIN_S + outage_s:.6g}s"},
        "compare": {"proxy.service.web": [whole]},
    }
    (variant,) = load_scenario("retry-storm", changes).variants
    return Variant({"": label}, variant.scenario) if label else variant


@dataclass(frozen=True)
class Storm:
    """What happened, in bins of `BIN_S` seconds.

    Attributes
    ----------
    times : ndarray of float
        Middle of each bin, in seconds.
    good, attempts : ndarray of float
        Good answers, and attempts that reached the server, per second.
    queue : ndarray of float
        Requests at the server, on average.
    healed_s : float or None
        Seconds from the end of the outage until clients are served well; None if they are not.
    """

    times: NDArray[np.float64]
    good: NDArray[np.float64]
    attempts: NDArray[np.float64]
    queue: NDArray[np.float64]
    healed_s: float | None

    @property
    def at_the_end(self) -> float:
        """Good answers per second in the last second."""
        return float(self.good[-round(1 / BIN_S) :].mean())

    @property
    def attempts_at_the_end(self) -> float:
        """Attempts per second in the last second."""
        return float(self.attempts[-round(1 / BIN_S) :].mean())


def retries(budget: float | None = None, most: int = RETRIES) -> dict[str, Any]:
    """The settings of a service that repeats a failed request, with a budget per request or without."""
    return {"retry": {"attempts": most + 1} | ({} if budget is None else {"budget": budget})}


@functools.lru_cache(maxsize=256)
def simulated_storm(load: float, budget: float, outage_s: float, most: int = RETRIES) -> Storm:
    """Simulate a storm with a retry budget.

    Parameters
    ----------
    load : float
        Requests per second.
    budget : float
        Retries per request, on average.
    outage_s : float
    most : int
        Retries of one request.
    """
    return storm_of(storm_variant(retries(budget, most), load, outage_s))


def storm_of(variant: Variant) -> Storm:
    """Simulate one variant, without the costs of proxy and network."""
    run = simulate(variant.scenario, costs=Costs.zero()).runs[0]
    edges = np.arange(0.0, variant.scenario.duration + BIN_S / 2, BIN_S)
    records, (arrived, queue) = run.records, _at_the_server(run, edges)
    good = np.histogram(records.done[records.status == 200], edges)[0] / BIN_S
    return Storm((edges[:-1] + edges[1:]) / 2, good, arrived, queue, run.summary.recovery_s)


def _at_the_server(run: Run, edges: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Arrivals per second, and requests inside, for each bin."""
    series = run.queues["web/0"]
    came = np.diff(series.values, prepend=0.0)
    arrived = np.histogram(series.times, edges, weights=np.maximum(came, 0.0))[0] / BIN_S
    inside = [series.mean((begin, end)) for begin, end in itertools.pairwise(edges)]
    return arrived, np.array(inside)


def heals(load: float, budget: float, capacity: float = CAPACITY_RPS) -> bool:
    """The rule: a budget heals if and only if all attempts together fit into the capacity."""
    return load * (1.0 + budget) < capacity


def healing_s(load: float, budget: float, outage_s: float) -> float:
    """Seconds from the end of an outage until answers come in time again; infinite if they never do.

    In the outage, attempts come as before, and the server does a tenth of its work. The rest must be worked
    off beside the new attempts, down to what the server does while a client waits.

    Parameters
    ----------
    load : float
        Requests per second.
    budget : float
        Retries per request.
    outage_s : float
    """
    if not heals(load, budget):
        return float("inf")
    attempts = load * (1.0 + budget)
    backlog = (attempts - CAPACITY_RPS / SLOWER) * outage_s - CAPACITY_RPS * LIMIT_S
    return max(backlog, 0.0) / (CAPACITY_RPS - attempts)
