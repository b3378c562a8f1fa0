"""Which cache of several proxies served a response, by its field Cache-Status."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.reverse.routing import RequestAttributes, Routes
from policies.settings import Route
from scenarios.schema import Scenario
from scenarios.workload import client_address

_ENTRY = re.compile(r"\s*([^\s;]+)\s*;\s*(hit|fwd=[a-z-]+;\s*collapsed)?\b")
"""A cache's name, and whether it is a hit, or a response that another request was fetching."""


class CacheStatusReader:
    """Reads the Cache-Status of responses that came through a scenario's proxies.

    Every cache on the way appends an entry (RFC 9211, section 2), so the last entry is that of the cache
    next to the client. Caches are known by their names, such as ``proxy.1`` (see
    `loadtests.run.proxy_files.named`). Proxies that were started by hand may all have the default name:
    their entries follow each other as the first way through the scenario's proxies does, where a proxy
    that does not look up the object appends nothing. A single proxy may be another one than ours, whose
    cache may have any name.

    Parameters
    ----------
    scenario : Scenario
    """

    def __init__(self, scenario: Scenario) -> None:
        self._numbers = {name: number for number, name in enumerate(scenario.proxies, 1)}
        self._hops: list[tuple[int, Routes, tuple[Route, ...]]] = []
        topology = scenario.topology
        way = list(topology.doors[:1])
        while way:
            rules = scenario.hop(number := way[-1]).proxy.route
            self._hops.append((number + 1, Routes(rules), rules))
            way = list(topology.leads[number][:1])
        self._lookups: dict[tuple[int, str], list[int]] = {}

    def place(self, number: int, client: str, cache_status: str) -> int:
        """The number of the proxy whose cache served the response, as in `scenarios.Records`.

        Parameters
        ----------
        number : int
            Number of the object.
        client : str
            Address of the client.
        cache_status : str
            The response's field.
        """
        if not cache_status:
            return 0
        unnamed: Iterator[int] | None = None
        for said in reversed(cache_status.split(",")):
            entry = _ENTRY.match(said)
            name, hit = entry.groups() if entry is not None else ("", None)
            place = self._numbers.get(name)
            if place is None:
                if unnamed is None:
                    unnamed = iter(self._places(number, client))
                place = next(unnamed, 0)
                hit = hit if name == _UNNAMED or len(self._numbers) == 1 else None
            if hit is not None:
                return place
        return 0

    def _places(self, number: int, client: str) -> list[int]:
        """The proxies on the first way that look up an object, from the clients' side, counted from 1."""
        if (number, client) not in self._lookups:
            self._lookups[number, client] = list(self._looking_up(number, client))
        return self._lookups[number, client]

    def _looking_up(self, number: int, client: str) -> Iterator[int]:
        for hops, (place, routes, rules) in enumerate(self._hops):
            source = client_address(0) if hops else client
            asked = RequestAttributes("127.0.0.1", f"/objects/{number}", "GET", source, lambda _name: None)
            route = routes.match(asked)
            if route is not None and rules[route].cache is not None:
                yield place


_UNNAMED = "proxytwin"
"""The name that a cache has by default."""
