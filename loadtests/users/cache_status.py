"""Which cache of a chain of proxies served a response, by its field Cache-Status."""

from __future__ import annotations

import re

from policies.reverse.routing import RequestAttributes, Routes
from policies.settings import Route
from scenarios.schema import Scenario
from scenarios.workload import client_address

_HIT = re.compile(r"\s*(?:[\w.:-]+\s*;\s*(?:hit|fwd=[a-z-]+;\s*collapsed)\b|HIT\b)")
"""A hit at a cache of any name, or a response that another request was fetching; and X-Cache of Squid."""


class CacheStatusReader:
    """Reads the Cache-Status of responses that came through a scenario's proxies.

    Every cache on the way appends an entry (RFC 9211, section 2), so the last entry is that of the cache
    next to the client. A proxy that does not look up the object appends nothing.

    Parameters
    ----------
    scenario : Scenario
    """

    def __init__(self, scenario: Scenario) -> None:
        hops = [scenario.hop(number).proxy for number in range(len(scenario.chain))]
        self._hops: list[tuple[Routes, tuple[Route, ...]]] = [(Routes(hop.route), hop.route) for hop in hops]
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
        if (number, client) not in self._lookups:
            self._lookups[number, client] = self._places(number, client)
        said = reversed(cache_status.split(","))
        entries = zip(self._lookups[number, client], said, strict=False)
        return next((place for place, entry in entries if _HIT.match(entry)), 0)

    def _places(self, number: int, client: str) -> list[int]:
        """The proxies that look up an object, from the clients' side, counted from 1."""
        places = []
        for place, (routes, rules) in enumerate(self._hops, 1):
            source = client if place == 1 else client_address(0)
            asked = RequestAttributes("127.0.0.1", f"/objects/{number}", "GET", source, lambda _name: None)
            route = routes.match(asked)
            if route is not None and rules[route].cache is not None:
                places.append(place)
        return places
