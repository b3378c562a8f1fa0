"""The roster of a service: its upstreams, of which some may come and go with the addresses of their names.

Threads. A roster belongs to its service, which calls it under its lock. Lists are changed item by item, so
that a thread may read one item without the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from policies.settings import Service as ServiceSettings
from realproxy.net.address import Address, split_address
from realproxy.net.resolver import is_literal
from realproxy.upstream.endpoint import Endpoint

MOST = 16
"""Addresses of one name that are used."""


def placed(places: Sequence[str], busy: Sequence[bool], found: Iterable[str]) -> list[str]:
    """Where the addresses of a name go: who was there keeps its place.

    Parameters
    ----------
    places : sequence of str
        The address at every place, or an empty text.
    busy : sequence of bool
        Whether a request is under way at a place; others are taken first.
    found : iterable of str
        All addresses that the name has now. IPv6 is used if there is no IPv4, for it may not be reachable.
    """
    now = set(found)
    family = {address for address in now if ":" not in address} or now
    after = [address if address in family else "" for address in places]
    free = sorted((at for at, address in enumerate(after) if not address), key=lambda at: busy[at])
    for at, address in zip(free, sorted(family.difference(after)), strict=False):
        after[at] = address
    return after


class Roster:
    """The upstreams by index: as in the settings, and `MOST` places for each name that is resolved anew.

    `look_up` finds the addresses of a name, none if that fails; then its first place leads to the name.

    Attributes: `names` for the log and for messages, `addresses` as in the settings, `weights`, `endpoints`
    without a transport, `dials` (the address to dial where that is not the one in the settings), and
    `absent`, the indices that lead nowhere.
    """

    def __init__(self, settings: ServiceSettings, look_up: Callable[[str], list[str]]) -> None:
        self.names: list[str] = []
        self.addresses: list[Address] = []
        self.weights: list[float] = []
        self.endpoints: list[Endpoint] = []
        self.dials: list[Address | None] = []
        self.absent: set[int] = set()
        self._places: dict[Address, range] = {}
        for upstream in settings.upstreams:
            address, first = split_address(upstream.address), len(self.names)
            changes = settings.resolve is not None and not is_literal(address[0])
            for _ in range(MOST if changes else 1):
                self.names.append(upstream.address)
                self.addresses.append(address)
                self.weights.append(upstream.weight)
                self.endpoints.append(Endpoint([address]))
                self.dials.append(None)
            if changes and address not in self._places:
                self._places[address] = range(first, len(self.names))
            self.absent.update(range(first + 1, len(self.names)))
        for host in self.changing:
            self.update(host, look_up(host), [0] * len(self.names))

    @property
    def changing(self) -> list[str]:
        """The names that are resolved anew."""
        return list(dict.fromkeys(host for host, _ in self._places))

    def update(
        self, host: str, found: Sequence[str], outstanding: Sequence[int]
    ) -> tuple[list[int], list[int]]:
        """A name has these addresses now; returns the indices that come, and those that go.

        Without an address, nothing changes. A place whose address is another one goes and comes.
        """
        come: list[int] = []
        gone: list[int] = []
        for address, places in self._places.items():
            if address[0] != host or not found:
                continue
            before = [self._known(index) for index in places]
            after = placed(before, [outstanding[index] > 0 for index in places], found)
            for index, old, new in zip(places, before, after, strict=True):
                if old == new and (new or index in self.absent):
                    continue
                if index not in self.absent:
                    gone.append(index)
                    self.absent.add(index)
                if new:
                    come.append(index)
                    self._put(index, (new, address[1]))
        return come, gone

    def _known(self, index: int) -> str:
        dial = self.dials[index]
        return "" if dial is None or index in self.absent else dial[0]

    def _put(self, index: int, dial: Address) -> None:
        host, port = dial
        self.names[index] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.dials[index], self.endpoints[index] = dial, Endpoint([dial])
        self.absent.discard(index)
