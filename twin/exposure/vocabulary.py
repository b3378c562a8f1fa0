"""What the exposure table speaks of: items, observers, ways to visit a site, and states.

The order in each enumeration is the order in tables and pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Item(StrEnum):
    """Something about a visit that somebody may learn."""

    CLIENT = "client address"
    DESTINATION = "destination address"
    HOST = "host name"
    PATH = "path"
    CONTENT = "content"
    QUERY = "name query"
    OTHER = "other programs"
    VOLUME = "volume and times"


class Observer(StrEnum):
    """Who looks: at a wire, or inside a program."""

    LOCAL = "local network"
    ENTRY = "provider, client side"
    PROVIDER = "provider itself"
    EXIT = "provider, site side"
    NAMES = "name server"
    NETWORK = "destination's network"
    SITE = "destination"


class Way(StrEnum):
    """How the client visits the site: the columns of the table."""

    DIRECT = "direct"
    HTTP = "http-proxy"
    CONNECT = "connect"
    TLS_PROXY = "connect-over-tls"
    SOCKS5 = "socks5"
    SOCKS5H = "socks5h"
    INTERCEPT = "intercepting"
    REVERSE = "reverse-proxy"
    VPN = "vpn"
    WIREGUARD = "wireguard"


TITLES: Mapping[Way, str] = {
    Way.DIRECT: "direct, no proxy",
    Way.HTTP: "plain HTTP proxy",
    Way.CONNECT: "CONNECT",
    Way.TLS_PROXY: "CONNECT over TLS",
    Way.SOCKS5: "SOCKS5, local names",
    Way.SOCKS5H: "SOCKS5, remote names",
    Way.INTERCEPT: "intercepting TLS proxy",
    Way.REVERSE: "reverse proxy",
    Way.VPN: "VPN",
    Way.WIREGUARD: "WireGuard",
}
VPNS = (Way.VPN, Way.WIREGUARD)
"""The ways that carry all packets of the client's machine, not the requests of one program."""
PROXIES = tuple(way for way in Way if way not in (Way.DIRECT, *VPNS))


class State(StrEnum):
    """When the visit is made; not every state exists for every way."""

    CONNECTED = "connected"
    BEFORE = "before it is connected"
    BEFORE_SWITCH = "before, with a kill switch"
    DEAD = "proxy or tunnel dead"
    DEAD_SWITCH = "dead, with a kill switch"
    IPV6 = "IPv6 beside IPv4"
    IPV6_BOTH = "IPv6, the tunnel carries both"


def states_of(way: Way) -> tuple[State, ...]:
    """The states that exist for a way, in the order of the table."""
    if way is Way.DIRECT:
        return State.CONNECTED, State.IPV6
    if way in VPNS:
        return tuple(State)
    return State.CONNECTED, State.DEAD, State.IPV6


class Cell(StrEnum):
    """What an observer learns of an item."""

    SEEN = "seen in the bytes"
    DERIVABLE = "derivable"
    UNSEEN = "not seen"


MARK = {Cell.SEEN: "●", Cell.DERIVABLE: "◐", Cell.UNSEEN: "·"}
"""One character for a cell in a terminal."""
PLAIN_MARK = {Cell.SEEN: "S", Cell.DERIVABLE: "d", Cell.UNSEEN: "."}
"""The same where a terminal has only ASCII."""

Cells = Mapping[tuple[Observer, Item], Cell]


@dataclass(frozen=True)
class Visit:
    """One visit by one way in one state.

    Parameters
    ----------
    way : Way
    state : State
    encrypted : bool
        Whether the site speaks TLS, and the VPN and the TLS proxy encrypt.
    """

    way: Way
    state: State = State.CONNECTED
    encrypted: bool = True


@dataclass(frozen=True)
class Finding:
    """What became of a visit.

    Parameters
    ----------
    answered : bool
        Whether the program got its answer.
    cells : mapping of (Observer, Item) to Cell
        All observers and items.
    measured : bool
        False for what the model says.
    """

    answered: bool
    cells: Cells
    measured: bool = False


def visits_of(ways: tuple[Way, ...], *, encrypted: bool = True) -> list[Visit]:
    """All visits of these ways, or without encryption only those of the connected state."""
    return [
        Visit(way, state, encrypted)
        for way in ways
        for state in (states_of(way) if encrypted else (State.CONNECTED,))
    ]
