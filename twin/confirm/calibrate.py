"""Calibration: the costs of a request when nothing queues, measured once and then frozen.

One user sends requests to the real system, so slowly that no request ever waits for another. The time that
a response takes beyond the demanded work is the cost of proxy, kernel, client and backend. Short runs, the
probes, separate these parts: in the first, all responses come from the backend; then there is one probe
for each proxy on the way, in which all responses come from its cache. The way is a longest one from a door to
the backends. The proxies beside it cost as much as the one on the way that is as many hops from the doors.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests import LoadTestError, Measurement, Stage
from loadtests.peers.registry import OURS
from policies.settings import ProxySettings, RouteCache
from scenarios.backends import CallSettings
from scenarios.distributions import parse_distribution, parse_popularity
from scenarios.schema import LinkSettings, Scenario
from simulator import Costs
from simulator.costs import spread_of
from twin.confirm.call_costs import calls_per_request, sidecar_costs, slot_extra
from twin.confirm.measure import TRIES, measure_once
from twin.confirm.outcome import Calibration
from twin.progress import Reporter

_WORK = 0.005
PROBES_S = (4.0, 2.5)
"""Seconds of the probe for responses from the backend, and of a probe for responses from a cache."""
_MANY = 20_000
_MOMENT = 1e-6
"""Freshness of a response, in seconds, that is stored and never used."""
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
        Seconds of the probe for the backend and of the probe for each cache on the way. They must be
        well above the half second of warm-up; the shorter they are, the less exact are the costs.
    tries : int
        How often a void probe is tried before its result is used and reported as void.
    """
    way = scenario.topology.longest_way()
    real = getattr(stage, "real", OURS)
    with reporter.step("calibrate", probes_s[0] + len(way) * probes_s[1], unit="s") as advance:
        reporter.note("responses from the backend")
        miss, _ = measure_once(stage, miss_probe(scenario, probes_s[0], real), advance, tries)
        hits = []
        for number in way:
            which = "the cache" if len(scenario.chain) == 1 else f"the cache of {scenario.proxies[number]}"
            reporter.note(f"responses from {which}")
            hit, _ = measure_once(stage, hit_probe(scenario, probes_s[1], number), advance, tries)
            hits.append(hit)
    return costs_from(miss, *hits, way=way)


def miss_probe(scenario: Scenario, seconds: float = PROBES_S[0], real: str = OURS) -> Scenario:
    """The scenario with one slow user on one way, equal work, full-speed replicas and no hits.

    What the scenario caches is stored, but fresh only for a moment: storing is a part of a miss. (The
    forward side has no ``ttl``, so there nothing is stored.) Other proxies count in seconds: of them so many
    objects are asked for that hardly one is asked for twice.
    """
    if real == OURS or not scenario.caching:
        return idle(scenario, seconds, work=_WORK, storing=None)
    probe = idle(scenario, seconds, work=_WORK, storing=0)
    update = {"objects": _MANY, "popularity": parse_popularity("uniform")}
    workload, proxy = probe.workload.model_copy(update=update), probe.chain[0]
    room = int(1.5 * _MANY * (workload.size.mean + proxy.cache.overhead))
    cache = proxy.cache.model_copy(update={"capacity": max(proxy.cache.capacity, room)})
    return probe.model_copy(update={"workload": workload, "proxy": proxy.model_copy(update={"cache": cache})})


def hit_probe(scenario: Scenario, seconds: float = PROBES_S[1], place: int = 0) -> Scenario:
    """The scenario with one slow user and few objects, all of which the cache of one proxy holds."""
    probe = idle(scenario, seconds, work=0.0, storing=place)
    workload = probe.workload.model_copy(update={"objects": min(20, probe.workload.objects)})
    return probe.model_copy(update={"workload": workload})


def idle(scenario: Scenario, seconds: float, work: float, storing: int | None) -> Scenario:
    """One slow user and equal work; proxy number `storing` stores all responses, the others none.

    If `storing` is None, no response is fresh for longer than a moment.

    All requests take the longest way through the proxies.
    """
    way = scenario.topology.longest_way()
    workload = scenario.workload.model_copy(
        update={
            "users": 1,
            "rate": None,
            "connections": None,
            "trace": None,
            "fanout": 1,
            "doors": (scenario.proxies[way[0]],),
            "think": parse_distribution("uniform(2ms, 8ms)"),
        }
    )
    service_time = parse_distribution(f"{work * 1e3}ms")
    said = None if storing is None else "max-age=3600"
    backend = {
        name: group.model_copy(
            update={
                "service_time": service_time,
                "cache_control": said,
                "calls": tuple(map(_once, group.calls)),
                **_EVEN,
            }
        )
        for name, group in scenario.backend.items()
    }
    following = {number: scenario.proxies[behind] for number, behind in itertools.pairwise(way)}
    proxies = tuple(
        _leading_to(
            following.get(place),
            _passing(proxy) if storing is None else _storing(proxy, place == storing),
            scenario.proxies,
        )
        for place, proxy in enumerate(scenario.chain)
    )
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


def _once(call: CallSettings) -> CallSettings:
    """A call that every request makes, once."""
    return call.model_copy(update={"times": 1, "parallel": False, "share": 1.0})


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


def _passing(proxy: ProxySettings) -> ProxySettings:
    """A proxy that stores what it does in the scenario, but has to ask again at once."""
    plain = _storing(proxy, stores=False)
    caches = [rule.cache and rule.cache.model_copy(update={"ttl": _MOMENT}) for rule in proxy.route]
    route = tuple(
        rule.model_copy(update={"cache": cache}) for rule, cache in zip(plain.route, caches, strict=True)
    )
    return plain.model_copy(update={"route": route})


def _leading_to(following: str | None, proxy: ProxySettings, names: Sequence[str]) -> ProxySettings:
    """A proxy all of whose services that lead to other proxies lead only to the one on the way."""
    services = {
        name: service.model_copy(
            update={"upstreams": tuple(one for one in service.upstreams if one.address == following)}
        )
        if following is not None and any(one.address in names for one in service.upstreams)
        else service
        for name, service in proxy.service.items()
    }
    return proxy.model_copy(update={"service": services})


def costs_from(miss: Measurement, *hits: Measurement, way: Sequence[int] = ()) -> Calibration:
    """Compute the costs from the probes.

    Parameters
    ----------
    miss, *hits : Measurement
        The probes; those of the caches in the order of the way, from the clients' side.
    way : sequence of int
        The numbers of the proxies on the way; by default, they are in the order of the file.

    Notes
    -----
    A hit takes ``client_link + hit_cpu``; a miss takes ``client_link + upstream_link + miss_cpu +
    demand + service_extra``. The CPU demands are the CPU time of the proxy process per request, without
    the few misses that fill the cache; a miss includes the storing. ``service_extra`` is the time that
    the backends' slots were held beyond the demand.

    With several proxies, a hit of the next proxy takes longer than a hit of this proxy. The difference
    is this proxy's CPU time in the same probe, where it stores nothing, its ``upstream_link``, and the
    difference of their ``hit_cpu``.

    The costs of sidecars are those of the calls of the first probe, see `twin.confirm.call_costs`.

    Raises
    ------
    LoadTestError
        If a probe saw no responses of its kind, so that nothing can be measured.
    """
    way = way or range(len(hits))
    answered = miss.records.within((CUT, math.inf))
    answered = answered.select(~answered.hit)
    kept = [hit.records.within((CUT, math.inf)) for hit in hits]
    stored = [records.select(records.hit).response for records in kept]
    if not len(answered) or not all(map(len, stored)):
        raise LoadTestError("the calibration got no responses from the idle system")
    extra = slot_extra(miss)
    sidecar = sidecar_costs(miss, extra, _WORK, CUT)
    over = answered.response - _WORK - calls_per_request(miss, CUT)
    until = [*map(typical, stored), max(typical(over) - extra, 0.0)]
    passed, found = 0.0, []  # the links so far
    for place, (number, hit) in enumerate(zip(way, hits, strict=True)):
        miss_cpu = min(_cpu_seconds(miss, number) / len(miss.records), until[-1])
        hit_cpu = min(_cpu_of_a_hit(hit, number, miss_cpu), until[place])
        in_front = sum(_cpu_seconds(hit, one) for one in way[:place]) / len(hit.records)
        link = max(until[place] - passed - in_front - hit_cpu, 0.0)  # from the proxy in front to this one
        passed += link
        found.append((hit_cpu, miss_cpu, link))
    behind_last = until[-1] - passed - sum(cpu for _, cpu, _ in found)
    if sidecar is not None:
        behind_last -= sidecar.miss_cpu + sidecar.upstream_link
    links = [*(link for *_, link in found[1:]), max(behind_last, 0.0)]
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
        sidecar=sidecar,
    )
    samples = {"miss": len(answered), "hit": len(stored[0])}
    samples |= {f"hit of proxy.{way[n]}": len(times) for n, times in enumerate(stored) if n}
    return Calibration(costs, samples, [reason for run in (miss, *hits) for reason in run.void])


def _cpu_seconds(run: Measurement, number: int) -> float:
    """CPU time of the process of one proxy, in seconds."""
    return run.behind_cpu_seconds[number - 1] if number else run.proxy["cpu_seconds"]


def _cpu_of_a_hit(run: Measurement, number: int, miss_cpu: float) -> float:
    """CPU seconds of one hit at a proxy, without the misses that filled its cache."""
    hits = int(np.count_nonzero(run.records.hit))
    return max(_cpu_seconds(run, number) - (len(run.records) - hits) * miss_cpu, 0.0) / hits


def typical(values: NDArray[np.float64]) -> float:
    """The mean without the lowest and highest 1 %: a hiccup of the machine is not a cost of each request."""
    low, high = np.quantile(values, [0.01, 0.99])
    return float(values[(values >= low) & (values <= high)].mean())
