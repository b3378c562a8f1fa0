"""What is built from the settings. Nothing here changes once it is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from policies.settings import STALE, Forward, Limits, ProxySettings, Route
from policies.settings.faults import Fault
from realproxy.cache.rules import CacheRules
from realproxy.cache.shared_fetch import Collapsing
from realproxy.cache.store import CacheStore
from realproxy.cache.writer import CacheWriter
from realproxy.downstream.connection import DownstreamConnection
from realproxy.messages.record import RequestRecord
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


class InjectFaults(Protocol):
    """Injects faults of a route into a request."""

    def __call__(self, faults: Sequence[Fault], client: DownstreamConnection, record: RequestRecord) -> None:
        """Wait, end the request with `LocalReply` or `Aborted`, or filter what is sent to the client."""


class ConfigSnapshot(NamedTuple):
    """One configuration, made ready for requests. `realproxy.control.composition` builds it.

    Attributes
    ----------
    rules : RequestRules
        Which requests are taken, and by which route.
    cache_scopes : list of (CacheScope or None)
        Of each route.
    make_writer : type of CacheWriter
        What records responses for the store.
    waits : BlockedThreads
        What the workers wait for.
    inject_faults : InjectFaults or None
        None if no route has faults.
    """

    settings: ProxySettings
    limits: Limits
    rules: RequestRules
    cache_scopes: list[CacheScope | None]
    forward_cache_scope: CacheScope | None
    services: dict[str, Service]
    store: CacheStore
    make_writer: type[CacheWriter]
    collapser: Collapsing
    pool: ConnectionPool
    waits: BlockedThreads
    inject_faults: InjectFaults | None


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
