"""What is built from the settings. Nothing here changes once it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

from policies.forward.anonymity import header_rules
from policies.http_cache.causes import TOLD_BY_PROXIES
from policies.settings import STALE, Forward, Limits, ProxySettings, Route
from policies.settings.faults import Fault
from realproxy.cache.cache_rules import CacheRules
from realproxy.cache.shared_fetch import Collapsing
from realproxy.cache.store import CacheStore
from realproxy.cache.writer import CacheWriter
from realproxy.downstream.connection import DownstreamConnection
from realproxy.messages.headers import REPLACED, UNHEARD
from realproxy.messages.record import RequestRecord
from realproxy.proxying.rules import RequestRules
from realproxy.runtime.blocking import BlockedThreads
from realproxy.upstream.pool import ConnectionPool
from realproxy.upstream.service import Service


class CacheScope(NamedTuple):
    """Where the store keeps the responses to a request, and by which rules.

    `service` begins with the name of the service, and is empty for the forward side. `wait` is the number of
    seconds for which a request may wait for another request's fetch.
    """

    service: str
    rules: CacheRules
    wait: float


InjectFaults = Callable[[Sequence[Fault], DownstreamConnection, RequestRecord], None]
"""Injects faults: waits, ends the request with `LocalReply` or `Aborted`, or filters the response."""


class Actions(Protocol):
    """What a route does beyond naming a service, see `realproxy.proxying.route_actions`."""

    def begin(self, request: Any) -> Any:
        """Let a `RequestContext` in, or answer it; returns an `Outcome` if it was answered."""


class ConfigSnapshot(NamedTuple):
    """One configuration, made ready for requests. `realproxy.control.composition` builds it."""

    settings: ProxySettings
    limits: Limits
    rules: RequestRules
    cache_scopes: list[dict[str, CacheScope] | None]  # of each route, by service
    route_actions: Sequence[Actions | None]  # of each route; None if it only names a service, or a status
    splits: list[Any]  # the `SplitControl` of each route with several services
    mirrors: list[Any]
    forward_cache_scope: CacheScope | None
    services: dict[str, Service]
    store: CacheStore
    make_writer: type[CacheWriter]
    collapser: Collapsing
    pool: ConnectionPool
    waits: BlockedThreads
    named_services: Mapping[str, tuple[Route, Actions | None]]  # hosts of the forward side, as routes to them
    inject_faults: InjectFaults | None  # None if no route has faults


def _scope_name(service: str, route: Route) -> str:
    """The name for a service's responses in the keys of the store.

    Routes that change what the service gets of a request do not share its responses with other routes: one
    URL of the client's would be two of the service's.
    """
    changes = [each.model_dump_json() for each in (route.rewrite, route.request) if each is not None]
    return service + "".join(f"~{blake2b(text.encode(), digest_size=6).hexdigest()}" for text in changes)


_ADDRESSES = frozenset({b"x-forwarded-for", b"forwarded"})  # the proxy adds to what the client says
_TOLD = frozenset(name.encode() for name in TOLD_BY_PROXIES)


def route_cache_scopes(route: Route, trusted_hops: int) -> dict[str, CacheScope] | None:
    """Where the store keeps the responses of a route's services, which share nothing; None if nowhere."""
    cache = route.cache
    if cache is None:
        return None
    unheard = UNHEARD | REPLACED | _TOLD if trusted_hops else UNHEARD | REPLACED
    rules = CacheRules(cache.ttl, cache.stale, targeted=True, unheard=unheard)
    wait = cache.wait if cache.coalesce else 0.0
    return {service: CacheScope(_scope_name(service, route), rules, wait) for service in route.services}


def forward_cache_scope(forward: Forward | None) -> CacheScope | None:
    """Where the store keeps those of the forward side; only the origin says how long they are fresh."""
    if forward is None or not forward.cache:
        return None
    rewritten = header_rules(forward.anonymity)
    unheard = UNHEARD | (rewritten.drops - _ADDRESSES if rewritten.address else rewritten.drops)
    rules = CacheRules(ttl=None, stale=STALE, targeted=False, unheard=unheard)
    return CacheScope("", rules, forward.wait if forward.coalesce else 0.0)
