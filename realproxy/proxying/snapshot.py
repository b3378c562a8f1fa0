"""What the settings say, made ready for requests. Nothing here changes once it is built."""

from __future__ import annotations

import random
import ssl

from policies.bad_input import BadInput
from policies.reverse.routing import Routes
from policies.settings import ProxySettings
from realproxy.cache.collapse import Collapser
from realproxy.cache.store import CacheStore
from realproxy.net.address import split_address
from realproxy.net.tls import client_context
from realproxy.proxying.forward_access import ForwardAccess
from realproxy.runtime.blocking import BlockedThreads
from realproxy.upstream.pool import ConnectionPool
from realproxy.upstream.service import Service


class ConfigSnapshot:
    """The routes, services, store and upstream connections of a proxy.

    Parameters
    ----------
    settings : ProxySettings
        Of the whole proxy.
    seed : int or None
        Chance then comes from ``random.Random(f"{seed}/{service}")`` for every service's balancer
        and from ``random.Random(f"{seed}/cache")`` for the store; unseeded if None.
    before : ConfigSnapshot or None
        The site that this one takes over from. What its settings say in the same words lives on:
        services with all they know about their upstreams, the store with all that is in it.

    Attributes
    ----------
    settings : ProxySettings
        As given.
    routes : Routes
        The compiled rules.
    fault_rng : random.Random
        The chance of injected faults.
    services : dict of str to Service
        By name.
    store : CacheStore
        Of answers.
    gathering : Collapser
        Of requests for what is not there yet.
    pool : ConnectionPool
        Of upstream connections.
    forwarding : ForwardAccess or None
        What the forward side allows; None if it is off.
    waits : BlockedThreads
        What the workers wait for.

    Raises
    ------
    BadInput
        If a hosts file of the forward side cannot be read.
    """

    def __init__(
        self, settings: ProxySettings, seed: int | None = None, before: ConfigSnapshot | None = None
    ) -> None:
        self.settings = settings
        self.services: dict[str, Service]
        self.store: CacheStore
        self.gathering: Collapser
        self.waits: BlockedThreads
        self.pool: ConnectionPool
        self.routes = Routes(settings.route)
        self.fault_rng = _rng(seed, "faults")
        self.waits = BlockedThreads() if before is None else before.waits
        kept = before.services if before is not None else {}
        same = {
            name
            for name, service in settings.service.items()
            if before is not None and before.settings.service.get(name) == service
        }
        self.services = {
            name: kept[name] if name in same else Service(name, service, _rng(seed, name))
            for name, service in settings.service.items()
        }
        for name in same:
            kept[name].read_files()
        if before is not None and before.settings.cache == settings.cache:
            self.store, self.gathering = before.store, before.gathering
        else:
            if before is not None and (before.settings.cache.disk or settings.cache.disk):
                raise BadInput(
                    "settings", "cache", "cannot change while the proxy runs, for it has a disk tier"
                )
            self.store = CacheStore(settings.cache, _rng(seed, "cache"))
            self.gathering = Collapser(self.store, settings.limits.idle_timeout, self.waits)
        self.pool = ConnectionPool(settings.limits, self.waits) if before is None else before.pool
        self.forwarding = (
            ForwardAccess(settings.forward, self.pool.resolver, settings.limits)
            if settings.forward is not None
            else None
        )


def _rng(seed: int | None, name: str) -> random.Random:
    return random.Random() if seed is None else random.Random(f"{seed}/{name}")


def check_addresses(settings: ProxySettings, where: str) -> list[BadInput]:
    """What is wrong with upstreams: a real proxy needs ``host:port``, and files that can be read."""
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
