"""The proxies that clients ask, and which of them a client asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from loadtests.users.host import Host
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


def door_at(host: Host, target: str = "") -> Door:
    """The proxy at `host`; `target` is what clients tell a forward proxy to ask."""
    # RFC 9112, section 3.2: origin-form to a server, absolute-form to a proxy
    return Door(host, f"http://{target}" if target else host.prefix, target or host.authority)


def doors_by_client(doors: Sequence[Door], clients: int) -> dict[str, Door]:
    """The door of each client, by its address: client n asks the one at n modulo their number."""
    return {client_address(number): doors[number % len(doors)] for number in range(clients)}
