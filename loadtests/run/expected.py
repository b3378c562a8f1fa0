"""What a scenario lets happen in a run, so that it does not make the run void."""

from __future__ import annotations

from policies.http_cache.directives import parse_cache_control
from policies.settings.routes import is_status
from scenarios.schema import Scenario


def refetches(scenario: Scenario) -> bool:
    """Whether the proxy sends revalidation requests in the background, after stale responses."""
    said = (parse_cache_control(backend.cache_control) for backend in scenario.backend.values())
    return scenario.caching and any("stale-while-revalidate" in directives for directives in said)


def fails(scenario: Scenario) -> bool:
    """Whether the scenario has faults or limits, so that requests may be refused, lost or repeated."""
    proxies = [*scenario.chain, *scenario.sidecars.values()]
    services = [service for proxy in proxies for service in proxy.service.values()]
    guards = ("retry", "hedge", "breaker", "queue", "limit", "rate")
    return (
        any(backend.fail for backend in scenario.backend.values())
        or any(getattr(service, key) is not None for service in services for key in guards)
        or any(proxy.limits.answer_timeout < scenario.duration for proxy in proxies)
        or any(route.timeout or route.try_timeout for proxy in proxies for route in proxy.route)
        or bool(injected(scenario))
        or any(status >= 400 for status in _own_answers(scenario))
    )


def shares_errors(scenario: Scenario) -> bool:
    """Whether clients that wait for one fetch may all get its error."""
    caches = [route.cache for proxy in scenario.chain for route in proxy.route]
    coalesces = any(cache is not None and cache.coalesce for cache in caches)
    return coalesces and any(backend.errors for backend in scenario.backend.values())


def _own_answers(scenario: Scenario) -> list[int]:
    """The statuses that routes or their arms answer by themselves."""
    routes = [route for proxy in scenario.chain for route in proxy.route]
    arms = [int(arm) for route in routes for arm in route.arms if is_status(arm)]
    return [*arms, *(route.respond for route in routes if route.respond is not None)]


def mirrored(scenario: Scenario) -> frozenset[str]:
    """The replicas that get copies of requests, some of them through other proxies."""
    topology, names = scenario.topology, scenario.proxies
    led = {
        upstream.address
        for proxy in scenario.chain
        for route in proxy.route
        for mirror in route.mirror
        for upstream in proxy.service[mirror.to].upstreams
    }
    through = [number for name in led & set(names) for number in topology.behind(names.index(name))]
    for number in through:
        services = scenario.chain[number].service.values()
        led |= {upstream.address for service in services for upstream in service.upstreams}
    return frozenset(name for name in scenario.replicas if name.rpartition("/")[0] in led)


def injected(scenario: Scenario) -> set[str]:
    """The kinds of faults that routes inject."""
    routes = [route for proxy in scenario.chain for route in proxy.route]
    return {fault.kind for route in routes for fault in route.fault}
