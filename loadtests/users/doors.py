"""The proxies that clients ask, and which of them a client asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from loadtests.users.host import Host, parse_host
from scenarios.workload import client_address


class Door(NamedTuple):
    """A proxy as its clients see it.

    Attributes
    ----------
    host : Host
        Where it listens.
    origin : str
        Begins every request's target.
    authority : str
        The field Host.
    """

    host: Host
    origin: str
    authority: str


def doors_at(places: Sequence[tuple[str, str]]) -> list[Door]:
    """The proxies that listen at URLs; each with what clients tell a forward proxy to ask, or an empty text.

    All requests have the same field Host: whichever door they take, they are for one site, and caches
    behind the doors store its objects once.

    Raises
    ------
    BadInput
        For what is no URL of a proxy.
    """
    hosts = [parse_host(url) for url, _ in places]
    site = next((target for _, target in places if target), hosts[0].authority)
    # RFC 9112, section 3.2: origin-form to a server, absolute-form to a proxy
    return [
        Door(host, f"http://{target}" if target else host.prefix, target or site)
        for host, (_, target) in zip(hosts, places, strict=True)
    ]


def doors_by_client(doors: Sequence[Door], clients: int) -> dict[str, Door]:
    """The door of each client, by its address: client n asks the one at n modulo their number."""
    return {client_address(number): doors[number % len(doors)] for number in range(clients)}
