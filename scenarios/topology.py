"""How the proxies of a scenario lead to each other, from the doors, which clients ask, to the backends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from policies.registry import nearest
from policies.settings import ProxySettings
from scenarios.modelled import not_modelled


class Topology(NamedTuple):
    """Who asks whom among the proxies, by their positions in the file.

    Attributes
    ----------
    doors : tuple of int
        The proxies that clients ask; client n asks the one at n modulo their number.
    leads : tuple of tuple of int
        For each proxy, the proxies that it may ask, without repetition.
    tiers : tuple of int
        For each proxy, the most hops from a door to it. A proxy leads only to higher tiers. -1 if no
        request reaches it.
    """

    doors: tuple[int, ...]
    leads: tuple[tuple[int, ...], ...]
    tiers: tuple[int, ...]

    @property
    def backwards(self) -> list[int]:
        """The proxies, each after all that it leads to; those of a row from the last to the first."""
        hops: dict[int, int] = {}  # at most, to a proxy that leads to no other

        def note(number: int) -> int:
            if number not in hops:
                hops[number] = max((1 + note(one) for one in self.leads[number]), default=0)
            return hops[number]

        return sorted(range(len(self.leads)), key=lambda number: (note(number), -number))

    def longest_way(self) -> list[int]:
        """The proxies of a longest way from a door to a backend: one of each tier."""
        way = [max(range(len(self.tiers)), key=lambda number: (self.tiers[number], -number))]
        while tier := self.tiers[way[0]]:
            in_front = (n for n, those in enumerate(self.leads) if way[0] in those)
            way.insert(0, next(number for number in in_front if self.tiers[number] == tier - 1))
        return way

    def behind(self, number: int) -> frozenset[int]:
        """A proxy, and all that its requests may reach."""
        found, ahead = set[int](), [number]
        while ahead:
            if (one := ahead.pop()) not in found:
                found.add(one)
                ahead += self.leads[one]
        return frozenset(found)


def topology_of(chain: Sequence[ProxySettings], names: Sequence[str], doors: Sequence[str]) -> Topology:
    """The topology of the proxies; `doors` are names, and none means the first proxy.

    Raises
    ------
    ValueError
        If a door is unknown, or proxies lead round in a circle.
    """
    for place, name in enumerate(doors):
        if name not in names:
            raise ValueError(f"workload.doors: no proxy {name!r}{nearest(name, list(names))}")
        if name in doors[:place]:
            raise ValueError(f"workload.doors: {name!r} is there twice; expected each proxy once")
    first = tuple(names.index(name) for name in doors) or (0,)
    leads = tuple(_leads_of(number, chain, names) for number in range(len(chain)))
    tiers = [-1] * len(chain)
    for door in first:
        _walk(door, [], leads, tiers, names)
    return Topology(first, leads, tuple(tiers))


def asked_by_forward(number: int, chain: Sequence[ProxySettings]) -> int | None:
    """The proxy that the clients of a forward proxy name: the next one in the file that has routes."""
    behind = range(number + 1, len(chain))
    return next((place for place in behind if chain[place].route), None)


def _leads_of(number: int, chain: Sequence[ProxySettings], names: Sequence[str]) -> tuple[int, ...]:
    proxy = chain[number]
    if not proxy.route:
        asked = asked_by_forward(number, chain)
        return () if asked is None else (asked,)
    used = [name for route in proxy.route for name in (*route.services, *(copy.to for copy in route.mirror))]
    led = (upstream.address for name in used for upstream in proxy.service[name].upstreams)
    return tuple(dict.fromkeys(names.index(address) for address in led if address in names))


def _walk(
    number: int, way: list[int], leads: Sequence[Sequence[int]], tiers: list[int], names: Sequence[str]
) -> None:
    """Note that a proxy can be reached on this way, and those behind it."""
    if number in way:
        circle = " → ".join(names[one] for one in [*way[way.index(number) :], number])
        raise ValueError(f"{names[number]}.service: leads round in a circle: {circle}")
    if tiers[number] >= len(way):
        return
    tiers[number] = len(way)
    for following in leads[number]:
        _walk(following, [*way, number], leads, tiers, names)


def check_proxies(
    chain: Sequence[ProxySettings], names: Sequence[str], backends: Sequence[str], doors: Sequence[str]
) -> None:
    """Check that every proxy is asked, leads only to backends and other proxies, and can be modelled.

    Raises
    ------
    ValueError
        With the key and what was expected.
    """
    for number in range(len(chain)):
        _check_upstreams(number, chain, names, backends)
    topology = topology_of(chain, names, doors)
    for number, name in enumerate(names):
        if not chain[number].route:
            _check_forward(number, names, topology)
        if topology.tiers[number] < 0:
            raise ValueError(
                f"{name}: no client reaches it; expected it in 'upstreams' of a proxy, or in workload.doors"
            )


def _check_upstreams(
    number: int, chain: Sequence[ProxySettings], names: Sequence[str], backends: Sequence[str]
) -> None:
    proxy, key = chain[number], names[number]
    known = [*backends, *(names if len(names) > 1 else ())]
    for name, service in proxy.service.items():
        for upstream in service.upstreams:
            if upstream.address == key and key not in backends:
                raise ValueError(f"{key}.service.{name}.upstreams: leads to itself")
            if upstream.address not in known:
                hint = nearest(upstream.address, [one for one in known if one != key])
                raise ValueError(f"{key}.service.{name}.upstreams: no backend {upstream.address!r}{hint}")
    for name, problem in not_modelled(proxy, key):
        raise ValueError(f"{key}.{name}: {problem}")


def _check_forward(number: int, names: Sequence[str], topology: Topology) -> None:
    """A proxy without routes is for clients, who name the proxy behind it."""
    asked = any(number in led for led in topology.leads)
    if number not in topology.doors or asked or not topology.leads[number]:
        raise ValueError(f"{names[number]}.route: expected at least one route for the workload to take")
