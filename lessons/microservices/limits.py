"""Four limits of requests in flight before a service that is overloaded, or becomes slower."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenarios.loading import LoadedScenario, load_scenario
from simulator import Costs, simulate

SLOTS, WORK_MS = 10, 40
CAPACITY_RPS = 1000 * SLOTS / WORK_MS
"""Answers per second of the healthy service."""
BEGIN_S, SHOWN_S = 2.0, 10.0
"""When the service becomes slower, and how long a simulation lasts."""
BIN_S = 0.5
FIXED, THRESHOLD_MS = 20, 3 * WORK_MS
"""The fixed limit, and the response time above which ``aimd`` lowers its own."""
LIMITS: dict[str, Any] = {
    "no limit": None,
    "fixed": FIXED,
    "aimd": {"policy": "aimd", "latency": f"{THRESHOLD_MS}ms"},
    "vegas": {"policy": "vegas"},
}


def limited(policy: str, load: float, slower: float = 1.0, duration_s: float = SHOWN_S) -> LoadedScenario:
    """The service of the shipped scenario ``adaptive-limit``, with ten slots, behind a limit.

    Parameters
    ----------
    policy : str
        A key of `LIMITS`, or the name of a registered concurrency limit.
    load : float
        Requests per second, as a share of what the healthy service can do.
    slower : float
        How many times as slow the service is from `BEGIN_S` on.
    duration_s : float
    """
    limit = LIMITS.get(policy, {"policy": policy, "latency": f"{THRESHOLD_MS}ms"})
    changes: dict[str, Any] = {
        "workload.rate": f"{load * CAPACITY_RPS:g}/s",
        "duration": f"{duration_s:g}s",
        "warmup": "0s",
        "proxy.limits.threads": 4096,
        "compare": {
            "proxy.service.web": [{"upstreams": "web"} | ({} if limit is None else {"limit": limit})]
        },
    }
    if slower > 1:
        changes["backend.web.slow"] = {"0": slower}
        changes["backend.web.slow_during"] = {"0": f"{BEGIN_S:g}s..{duration_s:g}s"}
    return load_scenario("adaptive-limit", changes)


@dataclass(frozen=True)
class Limited:
    """What happened, in bins of `BIN_S` seconds.

    Attributes
    ----------
    times : ndarray of float
        Middle of each bin, in seconds.
    done : ndarray of float
        Good answers, as a share of what the service can do in that bin.
    response_ms : ndarray of float
        Mean response time of the good answers that came in the bin; NaN without any.
    goodput, mean_ms, refused : float
        In the second half: good answers as a share of what the service can do, their mean response time,
        and the share of the requests that were refused.
    """

    times: NDArray[np.float64]
    done: NDArray[np.float64]
    response_ms: NDArray[np.float64]
    goodput: float
    mean_ms: float
    refused: float


def simulated_limit(policy: str, load: float, slower: float = 1.0, duration_s: float = SHOWN_S) -> Limited:
    """Simulate `limited`, without the costs of proxy and network.

    Only the results of `LIMITS` are remembered: a limit of one's own may change from cell to cell.
    """
    simulate_it = remembered_limit if policy in LIMITS else _simulated
    return simulate_it(policy, load, slower, duration_s)


def _simulated(policy: str, load: float, slower: float, duration_s: float) -> Limited:
    scenario = limited(policy, load, slower, duration_s).variants[0].scenario
    records = simulate(scenario, costs=Costs.zero()).records
    good = records.select(records.status == 200)
    edges = np.arange(0.0, duration_s + BIN_S / 2, BIN_S)
    answers = np.histogram(good.done, edges)[0]
    time = np.histogram(good.done, edges, weights=1e3 * good.response)[0]
    can = np.where(edges[:-1] >= BEGIN_S, CAPACITY_RPS / slower, CAPACITY_RPS) * BIN_S
    half, late = duration_s / 2, records.due > duration_s / 2
    done_late = good.select((good.done > half) & (good.done <= duration_s))
    return Limited(
        (edges[:-1] + edges[1:]) / 2,
        answers / can,
        np.divide(time, answers, out=np.full(len(answers), np.nan), where=answers > 0),
        len(done_late) / half / (CAPACITY_RPS / slower),
        1e3 * float(done_late.response.mean()) if len(done_late) else float("nan"),
        float((records.status[late] != 200).mean()),
    )


remembered_limit = functools.lru_cache(maxsize=256)(_simulated)


def finite_queue(load: float, places: int, slots: int = SLOTS) -> tuple[float, float]:
    """A fixed limit exactly: the share refused, and the mean time in units of the work (M/M/c/L).

    Parameters
    ----------
    load : float
        Share of the capacity that is asked for.
    places : int
        The limit, not below `slots`.
    slots : int
        Requests in service at once.
    """
    chances = [1.0]
    for number in range(1, places + 1):
        chances.append(chances[-1] * load * slots / min(number, slots))
    shares = np.array(chances) / sum(chances)
    inside = float(shares @ np.arange(places + 1))
    return float(shares[-1]), inside / (load * slots * (1.0 - float(shares[-1])))
