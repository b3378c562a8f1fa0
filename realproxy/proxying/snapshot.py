"""What is built from the settings. Nothing here changes once it is built."""

from __future__ import annotations

import random
import ssl
from typing import NamedTuple

from policies.bad_input import BadInput
from policies.settings import STALE, Forward, ProxySettings, Route
from realproxy.cache.collapse import Collapser
from realproxy.cache.rules import CacheRules
from realproxy.cache.store import CacheStore
from realproxy.net.address import split_address
from realproxy.net.tls import client_context
from realproxy.proxying.rules import RequestRules
from realproxy.runtime.blocking import BlockedThreads
from realproxy.upstream.pool import ConnectionPool
from realproxy.upstream.service import Service


class CacheScope(NamedTuple):
    """Where the store keeps the responses to a request, and by which rules.

    `service` is empty for the forward side. `wait` is the number of seconds for which a request may wait for
    another request's fetch.
    """

    service: str
    rules: CacheRules
    wait: float


class ConfigSnapshot:
    """The rules, services, store and upstream connections of a proxy.

    Parameters
    ----------
    seed : int or None
        ``random.Random(f"{seed}/{service}")`` then drives every service's balancer, and
        ``random.Random(f"{seed}/cache")`` the store; both are unseeded if None.
    before : ConfigSnapshot or None
        The snapshot that this one replaces. A service or store whose settings are the same lives on, with
        all that it knows or has stored.

    Attributes
    ----------
    cache_scopes : list of (CacheScope or None)
        Of each route.
    waits : BlockedThreads
        What the workers wait for.

    Raises
    ------
    BadInput
        If a hosts file of the forward side cannot be read, or the disk tier would have to change.
    """

    def __init__(
        self, settings: ProxySettings, seed: int | None = None, before: ConfigSnapshot | None = None
    ) -> None:
        self.store: CacheStore
        self.collapser: Collapser
        self.settings, self.limits = settings, settings.limits
        self.fault_rng = _rng(seed, "faults")
        self.waits: BlockedThreads = before.waits if before else BlockedThreads()
        self.services = _services(settings, seed, before)
        if before is not None and before.settings.cache == settings.cache:
            self.store, self.collapser = before.store, before.collapser
        else:
            if before is not None and (before.settings.cache.disk or settings.cache.disk):
                raise BadInput(
                    "settings", "cache", "cannot change while the proxy runs, for it has a disk tier"
                )
            self.store = CacheStore(settings.cache, _rng(seed, "cache"))
            self.collapser = Collapser(self.store, settings.limits.idle_timeout, self.waits)
        self.pool: ConnectionPool = before.pool if before else ConnectionPool(settings.limits, self.waits)
        self.rules = RequestRules(settings, self.pool.resolver)
        self.cache_scopes = [route_cache_scope(route) for route in settings.route]
        self.forward_cache_scope = forward_cache_scope(settings.forward)


def _services(settings: ProxySettings, seed: int | None, before: ConfigSnapshot | None) -> dict[str, Service]:
    """The services of the settings; a service with the same settings as before is kept."""
    services = {}
    for name, service in settings.service.items():
        if before is not None and before.settings.service.get(name) == service:
            services[name] = before.services[name]
            services[name].read_files()
        else:
            services[name] = Service(name, service, _rng(seed, name))
    return services


def route_cache_scope(route: Route) -> CacheScope | None:
    """Where the store keeps the responses of a route; None if nowhere."""
    cache = route.cache
    if cache is None or route.to is None:
        return None
    rules = CacheRules(cache.ttl, cache.stale, targeted=True)
    return CacheScope(route.to, rules, cache.wait if cache.coalesce else 0.0)


def forward_cache_scope(forward: Forward | None) -> CacheScope | None:
    """Where the store keeps those of the forward side; only the origin says how long they are fresh."""
    if forward is None or not forward.cache:
        return None
    rules = CacheRules(ttl=None, stale=STALE, targeted=False)
    return CacheScope("", rules, forward.wait if forward.coalesce else 0.0)


def _rng(seed: int | None, name: str) -> random.Random:
    return random.Random() if seed is None else random.Random(f"{seed}/{name}")


def check_addresses(settings: ProxySettings, where: str) -> list[BadInput]:
    """The problems of upstreams: a real proxy needs ``host:port``, and files that can be read."""
    found = []
    for name, service in settings.service.items():
        for number, upstream in enumerate(service.upstreams):
            try:
                split_address(upstream.address)
            except ValueError as error:
                problem = str(error)
                if ":" not in upstream.address:
                    problem += " (the name of a backend only means something in a scenario)"
                found.append(BadInput(where, f"service.{name}.upstreams.{number}.address", problem))
        if service.tls is not None:
            try:
                client_context(service.tls.ca)
            except OSError as error:
                reason = (error.strerror or "").lower()
                problem = (
                    "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read: {reason}"
                )
                found.append(BadInput(where, f"service.{name}.tls.ca", f"{service.tls.ca!r} {problem}"))
    return found
