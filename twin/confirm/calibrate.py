"""Calibration: the costs of a request when nothing queues, measured once and then frozen.

One user sends requests to the real system, so slowly that no request ever waits for another. The time that
a response takes beyond the demanded work is the cost of proxy, kernel, client and backend. Short runs, the
probes, separate these parts: in the first, all responses come from the backend; then there is one probe
for each proxy, in which all responses come from its cache.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests import LoadTestError, Measurement, Stage
from policies.settings import ProxySettings, RouteCache
from scenarios.distributions import parse_distribution
from scenarios.schema import LinkSettings, Scenario
from simulator import Costs
from simulator.costs import spread_of
from twin.confirm.measure import TRIES, measure_once
from twin.confirm.outcome import Calibration
from twin.progress import Reporter

_WORK = 0.005
PROBES_S = (4.0, 2.5)
"""Seconds of the probe for responses from the backend, and of a probe for responses from a cache."""
CUT = 0.5
"""Warm-up of a probe in seconds: connections are opened, modules imported, and caches filled."""


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
        The probes use its proxy settings, sizes and objects.
    reporter : Reporter
        Shows a progress bar.
    probes_s : tuple of float
        Seconds of the probe for the backend and of the probe for each cache. They must be well above the
        half second of warm-up; the shorter they are, the less exact are the costs.
    tries : int
        How often a void probe is tried before its result is used and reported as void.
    """
    proxies = len(scenario.chain)
    with reporter.step("calibrate", probes_s[0] + proxies * probes_s[1], unit="s") as advance:
        reporter.note("responses from the backend")
        miss, _ = measure_once(stage, miss_probe(scenario, probes_s[0]), advance, tries)
        hits = []
        for place in range(proxies):
            which = "the cache" if proxies == 1 else f"the cache of {scenario.proxies[place]}"
            reporter.note(f"responses from {which}")
            hit, _ = measure_once(stage, hit_probe(scenario, probes_s[1], place), advance, tries)
            hits.append(hit)
    return costs_from(miss, *hits)


def miss_probe(scenario: Scenario, seconds: float = PROBES_S[0]) -> Scenario:
    """The scenario with one slow user, equal work, full-speed replicas and no cache."""
    return idle(scenario, seconds, work=_WORK, storing=None)


def hit_probe(scenario: Scenario, seconds: float = PROBES_S[1], place: int = 0) -> Scenario:
    """The scenario with one slow user and few objects, all of which the cache of one proxy holds."""
    probe = idle(scenario, seconds, work=0.0, storing=place)
    workload = probe.workload.model_copy(update={"objects": min(20, probe.workload.objects)})
    return probe.model_copy(update={"workload": workload})


def idle(scenario: Scenario, seconds: float, work: float, storing: int | None) -> Scenario:
    """A probe: one slow user and equal work; proxy number `storing` stores all responses, the others none."""
    workload = scenario.workload.model_copy(
        update={
            "users": 1,
            "rate": None,
            "connections": None,
            "trace": None,
            "fanout": 1,
            "think": parse_distribution("uniform(2ms, 8ms)"),
        }
    )
    service_time = parse_distribution(f"{work * 1e3}ms")
    backend = {
        name: group.model_copy(
            update={"service_time": service_time, "cache_control": "max-age=3600", **_EVEN}
        )
        for name, group in scenario.backend.items()
    }
    proxies = tuple(_storing(proxy, place == storing) for place, proxy in enumerate(scenario.chain))
    return scenario.model_copy(
        update={
            "workload": workload,
            "backend": backend,
            "proxy": proxies if isinstance(scenario.proxy, tuple) else proxies[0],
            "link": LinkSettings(),
            "duration": seconds,
            "warmup": CUT,
            "compare": {},
        }
    )


_EVEN: dict[str, Any] = {
    "slow": {}, "slow_during": {}, "fail": {}, "jitter": None, "hiccup": None, "errors": 0.0,
}  # fmt: skip
"""Settings of a backend whose replicas are all equally fast, at all times."""


def _storing(proxy: ProxySettings, stores: bool) -> ProxySettings:
    """A proxy that stores every response, or none."""
    cache = RouteCache(ttl=3600.0) if stores else None
    plain = {"cache": cache, "fault": (), "sticky": None, "override": None, "canary": None, "mirror": ()}
    route = tuple(
        rule.model_copy(update={**plain, "to": rule.services[0]}) if rule.services else rule
        for rule in proxy.route
    )
    forward = proxy.forward and proxy.forward.model_copy(update={"cache": stores and not proxy.route})
    update: dict[str, Any] = {"route": route, "forward": forward}
    update["workers"] = 1  # the CPU time of one process can be measured
    if stores:
        # where the scenario stores nothing, nobody chose the default policy, which few other proxies have
        policy = proxy.cache.policy if proxy.caching else "lru"
        update["cache"] = proxy.cache.model_copy(update={"capacity": 2**28, "policy": policy})
    return proxy.model_copy(update=update)


def costs_from(miss: Measurement, *hits: Measurement) -> Calibration:
    """Compute the costs from the probes.

    Parameters
    ----------
    miss, *hits : Measurement
        The probes; those of the caches in the order of the proxies, from the clients' side.

    Notes
    -----
    A hit takes ``client_link + hit_cpu``; a miss takes ``client_link + upstream_link + miss_cpu +
    demand + service_extra``. The CPU demands are the CPU time of the proxy process per request, without
    the few misses that fill the cache. ``service_extra`` is the time that the backends' slots were held
    beyond the demand.

    With several proxies, a hit of the next proxy takes longer than a hit of this proxy. The difference
    is this proxy's ``miss_cpu + upstream_link`` and the difference of their ``hit_cpu``.

    Raises
    ------
    LoadTestError
        If a probe saw no responses of its kind, so that nothing can be measured.
    """
    answered = miss.records.within((CUT, math.inf))
    kept = [hit.records.within((CUT, math.inf)) for hit in hits]
    stored = [records.select(records.hit).response for records in kept]
    if not len(answered) or not all(map(len, stored)):
        raise LoadTestError("the calibration got no responses from the idle system")
    over = answered.response - _WORK
    extra = max(miss.backends["busy_seconds"] - miss.backends["demand_seconds"], 0.0) / len(miss.records)
    until = [*map(typical, stored), max(typical(over) - extra, 0.0)]
    way, found = 0.0, []
    for place, hit in enumerate(hits):
        miss_cpu = min(_cpu_seconds(miss, place) / len(miss.records), until[-1])
        hit_cpu = min(_cpu_of_a_hit(hit, place, miss_cpu), until[place])
        link = max(until[place] - way - hit_cpu, 0.0)  # from the proxy in front to this one
        way += link + miss_cpu
        found.append((hit_cpu, miss_cpu, link))
    links = [*(link for *_, link in found[1:]), max(until[-1] - way, 0.0)]
    first, *behind = (
        Costs(hit_cpu, miss_cpu, 0.0, link, extra)
        for (hit_cpu, miss_cpu, _), link in zip(found, links, strict=True)
    )
    costs = replace(
        first,
        client_link=found[0][2],
        hit_spread=spread_of(stored[0].tolist()),
        miss_spread=spread_of(over.tolist()),
        behind=tuple(behind),
    )
    samples = {"miss": len(answered), "hit": len(stored[0])}
    samples |= {f"hit of proxy.{place}": len(times) for place, times in enumerate(stored) if place}
    return Calibration(costs, samples, [reason for run in (miss, *hits) for reason in run.void])


def _cpu_seconds(run: Measurement, place: int) -> float:
    """CPU time of the process of one proxy, in seconds."""
    return run.behind_cpu_seconds[place - 1] if place else run.proxy["cpu_seconds"]


def _cpu_of_a_hit(run: Measurement, place: int, miss_cpu: float) -> float:
    """CPU seconds of one hit at a proxy, without the misses that filled its cache."""
    hits = int(np.count_nonzero(run.records.hit))
    return max(_cpu_seconds(run, place) - (len(run.records) - hits) * miss_cpu, 0.0) / hits


def typical(values: NDArray[np.float64]) -> float:
    """The mean without the lowest and highest 1 %: a hiccup of the machine is not a cost of each request."""
    low, high = np.quantile(values, [0.01, 0.99])
    return float(values[(values >= low) & (values <= high)].mean())
