"""The idle probe: what a request costs when nothing queues, measured once and then frozen.

One user asks the real system, so slowly that no request ever waits for another. Whatever the
answers take beyond the demanded work is the cost of proxy, kernel, client and backend. Two short
runs tell the parts from each other: one in which all answers come from the backend, and one in
which all come from the cache.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests import LoadTestError, Measurement, Stage
from policies.settings import RouteCache
from scenarios.distributions import parse_distribution
from scenarios.schema import Scenario
from simulator import Costs
from simulator.costs import spread_of
from twin.measuring import TRIES, measure_once
from twin.outcome import Calibration
from twin.progress import Reporter

_WORK = 0.005
PROBES_S = (4.0, 2.5)
"""Seconds of the two probes: answers from the backend, and answers from the cache."""
_CUT = 0.5
"""Seconds at the start of a probe that do not count: connections, first imports, cold caches."""


def calibrate(
    stage: Stage,
    scenario: Scenario,
    reporter: Reporter,
    probes_s: tuple[float, float] = PROBES_S,
    tries: int = TRIES,
) -> Calibration:
    """Measure a scenario's costs on the idle real system.

    Parameters
    ----------
    stage : Stage
        Where real runs happen.
    scenario : Scenario
        Whose proxy settings, sizes and objects are probed.
    reporter : Reporter
        Shows a progress bar.
    probes_s : tuple of float
        Seconds of the two probes, each well above the half second that is cut off; shorter ones
        know the costs less exactly.
    tries : int
        How often a void probe is made before it is used as it is, and said to be void.
    """
    with reporter.step("calibrate", sum(probes_s), unit="s") as advance:
        reporter.note("answers from the backend")
        miss, _ = measure_once(stage, miss_probe(scenario, probes_s[0]), advance, tries)
        reporter.note("answers from the cache")
        hit, _ = measure_once(stage, hit_probe(scenario, probes_s[1]), advance, tries)
    return costs_from(miss, hit)


def miss_probe(scenario: Scenario, seconds: float = PROBES_S[0]) -> Scenario:
    """The scenario with one slow user, equal work, full-speed replicas and no cache."""
    routes = tuple(route.model_copy(update={"cache": None}) for route in scenario.proxy.route)
    return _idle(scenario, routes, seconds, work=_WORK)


def hit_probe(scenario: Scenario, seconds: float = PROBES_S[1]) -> Scenario:
    """The scenario with one slow user, few objects and a cache that holds them all."""
    stored = {"cache": RouteCache(ttl=3600.0)}
    routes = tuple(route.model_copy(update=stored if route.to else {}) for route in scenario.proxy.route)
    probe = _idle(scenario, routes, seconds, work=0.0)
    workload = probe.workload.model_copy(update={"objects": min(20, probe.workload.objects)})
    store = probe.proxy.cache.model_copy(update={"capacity": 2**28})
    proxy = probe.proxy.model_copy(update={"cache": store})
    return probe.model_copy(update={"workload": workload, "proxy": proxy})


def _idle(scenario: Scenario, routes: tuple[Any, ...], seconds: float, work: float) -> Scenario:
    workload = scenario.workload.model_copy(
        update={
            "users": 1,
            "rate": None,
            "connections": None,
            "trace": None,
            "think": parse_distribution("uniform(2ms, 8ms)"),
        }
    )
    service_time = parse_distribution(f"{work * 1e3}ms")
    backend = {
        name: group.model_copy(
            update={"service_time": service_time, "slow": {}, "cache_control": "max-age=3600"}
        )
        for name, group in scenario.backend.items()
    }
    proxy = scenario.proxy.model_copy(update={"route": routes})
    return scenario.model_copy(
        update={
            "workload": workload,
            "backend": backend,
            "proxy": proxy,
            "duration": seconds,
            "warmup": _CUT,
            "compare": {},
        }
    )


def costs_from(miss: Measurement, hit: Measurement) -> Calibration:
    """Tell the parts of the overhead from each other.

    Parameters
    ----------
    miss, hit : Measurement
        The two probes.

    Notes
    -----
    A hit takes ``client_link + hit_cpu``; a miss takes ``client_link + upstream_link + miss_cpu +
    demand + service_extra``. The CPU demands are the proxy process's own CPU time per request (without
    that of the few misses that fill the cache in the second probe),
    ``service_extra`` is how much longer the backends' slots were held than was demanded.

    Raises
    ------
    LoadTestError
        If a probe saw no answers of its kind, so that there is nothing to measure.
    """
    answered = miss.records.within((_CUT, math.inf))
    from_store = hit.records.within((_CUT, math.inf))
    from_store = from_store.select(from_store.hit)
    if not len(answered) or not len(from_store):
        raise LoadTestError("the idle probe got no answers to calibrate with")
    over = answered.response - _WORK
    stored = from_store.response
    extra = max(miss.backends["busy_seconds"] - miss.backends["demand_seconds"], 0.0) / len(miss.records)
    beyond = max(_typical(over) - extra, 0.0)
    miss_cpu = min(miss.proxy["cpu_seconds"] / len(miss.records), beyond)
    hits = int(np.count_nonzero(hit.records.hit))
    of_hits = hit.proxy["cpu_seconds"] - (len(hit.records) - hits) * miss_cpu
    hit_cpu = min(max(of_hits, 0.0) / hits, _typical(stored))
    client_link = _typical(stored) - hit_cpu
    costs = Costs(
        hit_cpu=hit_cpu,
        miss_cpu=miss_cpu,
        client_link=client_link,
        upstream_link=max(beyond - miss_cpu - client_link, 0.0),
        service_extra=extra,
        hit_spread=spread_of(stored.tolist()),
        miss_spread=spread_of(over.tolist()),
    )
    samples = {"miss": len(answered), "hit": len(from_store)}
    return Calibration(costs, samples, [*miss.void, *hit.void])


def _typical(values: NDArray[np.float64]) -> float:
    """The mean without the outermost hundredths: one hiccup of the machine is not a cost of every request."""
    low, high = np.quantile(values, [0.01, 0.99])
    return float(values[(values >= low) & (values <= high)].mean())
