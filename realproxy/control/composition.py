"""Builds the parts that the settings ask for, and hands them to the core.

The core (`realproxy.proxying.pipeline` and what it imports) knows its options as small Protocols only.
"""

from __future__ import annotations

import contextlib
import random
import ssl
from functools import partial

from policies.bad_input import BadInput
from policies.balancing import dispatch_rng
from policies.settings import Cache, ProxySettings, Route
from policies.settings import Service as ServiceSettings
from realproxy.cache.collapse import Collapser
from realproxy.cache.disk_store import DiskStore
from realproxy.cache.disk_tier import TieredStore
from realproxy.cache.partial import PartialContentWriter
from realproxy.cache.store import CacheStore
from realproxy.errors import UpstreamError
from realproxy.net.identity import calling_context
from realproxy.net.resolver import Resolver
from realproxy.proxying.error_pages import ErrorPages
from realproxy.proxying.faults import inject
from realproxy.proxying.forward_access import ForwardAccess
from realproxy.proxying.mirror import Mirror
from realproxy.proxying.pipeline import run
from realproxy.proxying.route_actions import RouteActions
from realproxy.proxying.rules import RequestRules
from realproxy.proxying.snapshot import ConfigSnapshot, forward_cache_scope, route_cache_scopes
from realproxy.proxying.split_control import SplitControl
from realproxy.runtime.blocking import BlockedThreads
from realproxy.upstream.hedging import hedged_wait
from realproxy.upstream.parent_proxy import ParentProxy
from realproxy.upstream.pool import ConnectionPool
from realproxy.upstream.service import Service
from realproxy.upstream.transport import UpstreamTransport

_PLAIN = {"when", "to", "respond", "cache", "fault"}
"""What a route may have without `RouteActions`."""


def build_snapshot(
    settings: ProxySettings, seed: int | None = None, before: ConfigSnapshot | None = None, listens: int = 0
) -> ConfigSnapshot:
    """The parts that requests need under these settings; `listens` is the port of this proxy.

    Services and the store live on from `before` if their settings are the same: services with all they know
    about their upstreams, the store with all its responses. With a `seed`, random numbers come from
    ``random.Random(f"{seed}/{name}")``, where the name is that of a service, ``cache`` or ``faults``.

    Raises `BadInput` if a file cannot be read, or if the settings of a cache with a disk tier have changed.
    """
    waits = before.waits if before is not None else BlockedThreads()
    pool = before.pool if before is not None else ConnectionPool(settings.limits, waits)
    mutual = any(service.mutual for service in settings.service.values())
    identity = settings.identity if mutual else None
    proven = calling_context(identity, "settings") if identity is not None else None
    services = {
        name: _service(name, service, seed, before, proven, pool.resolver)
        for name, service in settings.service.items()
    }
    rules = build_rules(settings, pool.resolver)  # before a store that would have to be closed again
    if before is not None and before.settings.cache == settings.cache:
        store, collapser = before.store, collapser_of(before)
    else:
        if before is not None and (before.settings.cache.disk or settings.cache.disk):
            raise BadInput("settings", "cache", "cannot change while the proxy runs, for it has a disk tier")
        store = _store(settings.cache, _rng(seed, "cache"))
        collapser = Collapser(store, settings.limits.idle_timeout, waits)
    splits, mirrors, actions = _route_actions(settings, seed, before, listens)
    has_faults = any(route.fault for route in settings.route)
    return ConfigSnapshot(
        settings=settings,
        limits=settings.limits,
        rules=rules,
        cache_scopes=[route_cache_scopes(route, settings.trusted_hops) for route in settings.route],
        route_actions=actions,
        splits=splits,
        mirrors=mirrors,
        forward_cache_scope=forward_cache_scope(settings.forward),
        services=services,
        store=store,
        make_writer=PartialContentWriter,
        collapser=collapser,
        pool=pool,
        waits=waits,
        named_services=_named_services(settings, listens),
        inject_faults=partial(inject, waits, _rng(seed, "faults")) if has_faults else None,
    )


def _route_actions(
    settings: ProxySettings, seed: int | None, before: ConfigSnapshot | None, listens: int
) -> tuple[list[SplitControl], list[Mirror], list[RouteActions | None]]:
    """The splits, mirrors and actions of the routes.

    A split lives on from `before` if its route is the same.
    """
    splits: list[SplitControl] = []
    mirrors: list[Mirror] = []
    actions: list[RouteActions | None] = []
    former = {split.number: split for split in before.splits} if before is not None else {}
    for number, route in enumerate(settings.route):
        served = [settings.service[name] for name in route.services]
        changes = any(service.request or service.response for service in served)
        if not (route.arms or changes or route.model_dump(exclude=_PLAIN, exclude_defaults=True)):
            actions.append(None)
            continue
        split = None
        if route.arms:
            split = former.get(number)
            if split is None or split.route != route:
                split = SplitControl(number, route, _rng(seed, f"split {number}"))
            splits.append(split)
        own = [Mirror(mirror, _rng(seed, f"mirror {number} {mirror.to}"), run) for mirror in route.mirror]
        mirrors += own
        pages = ErrorPages(route.errors, f"route.{number}.errors")
        actions.append(RouteActions(number, settings, listens, split, own, pages))
    return splits, mirrors, actions


def _named_services(settings: ProxySettings, listens: int) -> dict[str, tuple[Route, RouteActions | None]]:
    """A route to each service, for the forward side where their names are hosts."""
    found: dict[str, tuple[Route, RouteActions | None]] = {}
    for name, service in settings.service.items() if _hosts(settings) else ():
        route, actions = Route(to=name), None
        if service.request or service.response:
            alone = settings.model_copy(update={"route": (route,)})
            actions = RouteActions(0, alone, listens, None, [], ErrorPages({}, ""))
        found[name] = route, actions
    return found


def _hosts(settings: ProxySettings) -> tuple[str, ...]:
    """The services that are hosts of the forward side."""
    return tuple(settings.service) if settings.forward is not None and settings.forward.services else ()


def collapser_of(snapshot: ConfigSnapshot) -> Collapser:
    """What the snapshot collapses requests with, more than the core knows of it."""
    assert isinstance(snapshot.collapser, Collapser)
    return snapshot.collapser


def build_rules(settings: ProxySettings, resolver: Resolver) -> RequestRules:
    """The rules of both sides; raises `BadInput` if a file of the forward side cannot be read."""
    forward, limits = settings.forward, settings.limits
    if forward is None:
        return RequestRules(settings, None)
    parent = None
    if forward.next_proxy is not None:
        parent = ParentProxy(forward.next_proxy, forward.parent_ca, resolver, limits)
    return RequestRules(settings, ForwardAccess(forward, resolver, limits, parent, _hosts(settings)))


def _store(settings: Cache, rng: random.Random) -> CacheStore:
    if settings.disk is None:
        return CacheStore(settings, rng)
    with contextlib.ExitStack() as undo:
        disk = DiskStore(settings.disk)
        undo.callback(disk.stop)
        store = TieredStore(settings, rng, disk)
        undo.pop_all()
    return store


def _service(
    name: str, settings: ServiceSettings, seed: int | None, before: ConfigSnapshot | None,
    proven: ssl.SSLContext | None, resolver: Resolver,
) -> Service:  # fmt: skip
    """A service; if its settings are as before, it keeps what it knows, and reads its files again."""
    mutual = None
    if proven is not None and settings.mutual:
        mutual = proven, name if settings.mutual is True else settings.mutual
    has_transport = mutual or settings.tls is not None or settings.proxy_protocol is not None
    transport = UpstreamTransport(settings, mutual) if has_transport else None
    if before is not None and before.settings.service.get(name) == settings:
        service = before.services[name]
        service.transport = transport
        return service
    rng = dispatch_rng(seed, name)
    wait = partial(hedged_wait, settings.hedge.after) if settings.hedge is not None else None

    def look_up(host: str) -> list[str]:
        try:
            return [address for address, _ in resolver.resolve((host, 0))]
        except UpstreamError:
            return []

    service = Service(name, settings, rng, transport, wait, seed, look_up)
    if before is not None and name in before.services:
        service.warm_new(before.services[name].roster.names)
    return service


def _rng(seed: int | None, name: str) -> random.Random:
    return random.Random() if seed is None else random.Random(f"{seed}/{name}")
