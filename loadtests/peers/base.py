"""What a translator from our settings to another proxy's must say, and what no such proxy obeys."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ClassVar

from loadtests.peers.set_keys import set_keys
from policies.balancing.whole_weights import whole_weights
from policies.http_cache.directives import parse_cache_control
from policies.settings import ProxySettings, RouteCache, Service
from policies.settings.routes import STALE
from scenarios.schema import Scenario

_EVERY_PEER = (
    "listen", "workers", "route.*.to", "route.*.cache", "route.*.cache.*", "cache.*",
    "service.*.upstreams.*", "service.*.balance", "service.*.hash_on", "service.*.failover",
    "limits.connect_timeout", "limits.answer_timeout", "limits.idle_timeout", "limits.upstream_idle",
    "limits.header_timeout",
)  # fmt: skip
"""Keys that each translator knows. It may refuse a value."""
_NO_PEER = ("cache.admission", "cache.disk", "cache.disk.*", "cache.hit_lock", "cache.explain")

Problem = tuple[str, str]
"""A dotted key of the proxy's file or of the scenario, and what was expected."""


@dataclass(frozen=True)
class Order:
    """What a peer is to be.

    Attributes
    ----------
    settings : ProxySettings
        With real addresses.
    sizes : sequence of int
        Bytes of the scenario's objects.
    folder : path
        For its files.
    port : int
        Where it listens, on the loopback.
    """

    settings: ProxySettings
    sizes: Sequence[int]
    folder: Path
    port: int

    @property
    def cache(self) -> RouteCache | None:
        """The cache of the only route."""
        return self.settings.route[0].cache

    @property
    def service(self) -> Service:
        """The only service that the only route leads to."""
        return self.settings.service[self.settings.route[0].services[0]]

    @property
    def servers(self) -> list[tuple[str, int]]:
        """Address and integer weight of each upstream."""
        upstreams = self.service.upstreams
        whole = whole_weights([upstream.weight for upstream in upstreams])
        return list(zip([upstream.address for upstream in upstreams], whole, strict=True))


class Peer(ABC):
    """A translator for one proxy.

    Attributes
    ----------
    name : str
        As in ``--real``.
    title : str
        As in tables.
    program, package : str
        Its command, and the Debian package that has it.
    least : tuple of int
        The oldest version whose configuration is written.
    ask_version : str
        The option that makes it print its version.
    obeyed : tuple of str
        Keys beyond those of every peer, with ``*`` for any part.
    balances : dict of str to str
        Its own word for each of our balancing policies that it has.
    evictions : dict of str to str
        The same for eviction policies.
    approximate : dict of str to str
        How its balancing and eviction policies differ from ours of the same name.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    program: ClassVar[str]
    package: ClassVar[str]
    least: ClassVar[tuple[int, ...]]
    ask_version: ClassVar[str] = "-v"
    obeyed: ClassVar[tuple[str, ...]] = ()
    balances: ClassVar[Mapping[str, str]] = {}
    evictions: ClassVar[Mapping[str, str]] = {"lru": "lru"}
    approximate: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def files(self, order: Order) -> dict[str, str]:
        """The texts of its files, by their names in the folder."""

    @abstractmethod
    def command(self, program: str, order: Order) -> list[str]:
        """The command line that runs it in the foreground."""

    def refused(self, scenario: Scenario, sizes: Callable[[], Sequence[int]]) -> Iterator[Problem]:
        """What it cannot obey beyond what all peers share; the settings have one route and one service."""
        return iter(())

    def remarks(self, scenario: Scenario) -> Iterator[str]:
        """How it differs from our proxy in this scenario, beyond `approximate`."""
        return iter(())

    def problems(self, scenario: Scenario, sizes: Callable[[], Sequence[int]]) -> Iterator[Problem]:
        """Every key of a scenario that it cannot obey, with the reason.

        Parameters
        ----------
        scenario : Scenario
        sizes : callable
            Returns the sizes of the scenario's objects.
        """
        if len(scenario.chain) > 1:
            yield "proxy.1", f"{self.title} stands for one proxy, not for a chain of them"
            return
        if scenario.sidecars:
            yield "backend", f"{self.title} stands for one proxy, not for the sidecars of 'calls'"
            return
        shared = list(self._problems_of_one(scenario))
        yield from ((f"proxy.{key}", f"{self.title} cannot obey it: {why}") for key, why in shared)
        if not shared:
            yield from (
                (key, f"{self.title} cannot obey it: {why}") for key, why in self.refused(scenario, sizes)
            )

    def notes(self, scenario: Scenario) -> list[str]:
        """How it differs from what the names in a scenario say, one sentence each."""
        settings = scenario.chain[0]
        named = [service.balance for service in settings.service.values()]
        named += [settings.cache.policy] if settings.caching else []
        said = [
            f"{name}: {self.approximate[name]}" for name in dict.fromkeys(named) if name in self.approximate
        ]
        return [f"{self.title}: {line}" for line in [*said, *self.remarks(scenario)]]

    def _problems_of_one(self, scenario: Scenario) -> Iterator[Problem]:
        settings = scenario.chain[0]
        known = (*_EVERY_PEER, *self.obeyed)
        for key in set_keys(settings):
            if key.startswith("cache.") and not settings.caching:
                continue
            taken = any(fnmatchcase(key, pattern) for pattern in known)
            if not taken or any(fnmatchcase(key, pattern) for pattern in _NO_PEER):
                yield key, "it has nothing that does the same"
        if len(settings.route) != 1:
            yield "route", f"expected one route, not {len(settings.route)}"
            return
        if not isinstance(settings.route[0].to, str):
            yield "route.0.to", "expected the name of one service"
            return
        name = settings.route[0].to
        service = settings.service[name]
        if service.balance not in self.balances:
            yield f"service.{name}.balance", f"{service.balance!r} is none of {_listed(self.balances)}"
        if settings.caching and settings.cache.policy not in self.evictions:
            yield "cache.policy", f"{settings.cache.policy!r} is none of {_listed(self.evictions)}"


def stale_is_plain(cache: RouteCache | None) -> bool:
    """Whether nobody asked for stale responses for another time than the default."""
    return cache is None or cache.stale == STALE


def waits(cache: RouteCache) -> bool:
    """Whether somebody has set how long a request waits for another one's fetch."""
    return cache.coalesce and cache.wait != RouteCache().wait


def refreshing(scenario: Scenario) -> Iterator[str]:
    """The keys of the backends whose responses may be refreshed behind the back of clients."""
    if scenario.caching:
        for name, backend in scenario.backend.items():
            if "stale-while-revalidate" in parse_cache_control(backend.cache_control):
                yield f"backend.{name}.cache_control"


def milliseconds(seconds: float) -> str:
    """A time of at least 1 ms as nginx, HAProxy and Varnish write it."""
    return f"{max(1, round(seconds * 1e3))}ms"


def field_of(hash_on: str) -> tuple[str, str]:
    """The kind and the name in `Service.hash_on`: ``client``, ``path``, ``header`` or ``cookie``."""
    kind, _, name = hash_on.partition(":")
    return kind, name


def version_in(text: str) -> tuple[int, ...]:
    """The first version number in a text; empty if there is none."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return () if found is None else tuple(int(part) for part in found.groups() if part)


def _listed(names: Mapping[str, str]) -> str:
    return ", ".join(names)
