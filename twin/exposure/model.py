"""What everybody would see by the topology and the protocols alone: the model of the table.

Each way is a list of flows. A flow crosses wires, and carries items in the clear. No packet is looked at
here: the measurement finds its cells in recordings, and a test compares both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from twin.exposure.rules import derive
from twin.exposure.vocabulary import VPNS, Cell, Finding, Item, Observer, State, Visit, Way

_LOCAL, _ENTRY, _EXIT = Observer.LOCAL, Observer.ENTRY, Observer.EXIT
_NAMES, _NETWORK = Observer.NAMES, Observer.NETWORK
_WIRES = (_LOCAL, _ENTRY, _EXIT, _NAMES, _NETWORK)
_ALL = frozenset({Item.HOST, Item.PATH, Item.CONTENT})


@dataclass(frozen=True)
class _Flow:
    """Packets that cross wires, and what an observer of these wires reads in them."""

    wires: tuple[Observer, ...]
    clear: frozenset[Item]
    visit: bool = True
    """Whether these packets carry the page; else they only look a name up, or knock in vain."""


def modelled(visit: Visit) -> Finding:
    """What the topology and the protocols say of a visit."""
    way, state = visit.way, visit.state
    if state in (State.BEFORE_SWITCH, State.DEAD_SWITCH):
        return _finding([], [], frozenset(), frozenset(), Way.DIRECT, answered=False)
    if state is State.DEAD and way not in VPNS:
        other = _other_directly()
        return _finding(_dead(way), other, frozenset(), frozenset(), way, answered=False)
    tunnelled = way in VPNS and state in (State.CONNECTED, State.IPV6_BOTH)
    if way in VPNS and not tunnelled:
        return _through_nothing(visit)
    if tunnelled:
        return _tunnelled(visit)
    flows, program = _proxied(visit)
    site = _site_sees(visit)
    return _finding(flows, _other_directly(), program, site, way)


def _https(encrypted: bool) -> frozenset[Item]:
    """What a request shows: with TLS only the server name of its handshake."""
    return frozenset({Item.HOST}) if encrypted else _ALL


def _look_up(wires: tuple[Observer, ...], *more: Item) -> _Flow:
    """A query and its answer, which hold the name and the address in the clear."""
    return _Flow(wires, frozenset({Item.QUERY, Item.HOST, Item.DESTINATION, *more}), visit=False)


def _proxied(visit: Visit) -> tuple[list[_Flow], frozenset[Item]]:
    """The flows of a visit, and what the provider's program holds in the clear beyond its wires."""
    shown = _https(visit.encrypted)
    asks = _look_up((_EXIT, _NAMES))
    sends = _Flow((_EXIT, _NETWORK), shown | {Item.DESTINATION})
    to_provider = _Flow((_LOCAL, _ENTRY), shown | {Item.CLIENT, Item.HOST})
    program: frozenset[Item] = frozenset()
    flows = [to_provider, asks, sends]
    match visit.way:
        case Way.DIRECT:
            page = _Flow((_LOCAL, _NETWORK), shown | {Item.CLIENT, Item.DESTINATION})
            flows = [_look_up((_LOCAL, _NAMES), Item.CLIENT), page]
        case Way.HTTP:  # this kind of proxy gets no https:// URL
            page = _Flow((_EXIT, _NETWORK), _ALL | {Item.DESTINATION})
            flows = [replace(to_provider, clear=_ALL | {Item.CLIENT}), asks, page]
        case Way.TLS_PROXY:
            hidden = frozenset({Item.CLIENT}) if visit.encrypted else to_provider.clear
            flows, program = [replace(to_provider, clear=hidden), asks, sends], shown | {Item.HOST}
        case Way.SOCKS5:
            named = replace(to_provider, clear=to_provider.clear | {Item.DESTINATION})
            flows = [_look_up((_LOCAL, _NAMES), Item.CLIENT), named, sends]
        case Way.INTERCEPT:
            program = _ALL
        case Way.REVERSE:
            query = _Flow((_LOCAL, _NAMES), frozenset({Item.CLIENT, Item.QUERY, Item.HOST}), visit=False)
            told = set() if visit.encrypted else {Item.CLIENT, *_ALL}  # the address in X-Forwarded-For
            flows = [query, to_provider, replace(sends, clear=frozenset({Item.DESTINATION, *told}))]
            program = _ALL
    return flows, program


def _dead(way: Way) -> list[_Flow]:
    """Nobody listens at the provider: the program knocks, is refused, and stops."""
    knocks = [_Flow((_LOCAL, _ENTRY), frozenset({Item.CLIENT}), visit=False)]
    if way is Way.SOCKS5:
        return [_look_up((_LOCAL, _NAMES), Item.CLIENT), *knocks]
    if way is Way.REVERSE:
        asked = frozenset({Item.CLIENT, Item.QUERY, Item.HOST})
        return [_Flow((_LOCAL, _NAMES), asked, visit=False), *knocks]
    return knocks


def _through_nothing(visit: Visit) -> Finding:
    """A VPN that is not there, or does not carry IPv6: the visit goes directly."""
    if visit.state is not State.IPV6:
        return modelled(Visit(Way.DIRECT, State.CONNECTED, visit.encrypted))
    page = _Flow((_LOCAL, _NETWORK), _https(visit.encrypted) | {Item.CLIENT, Item.DESTINATION})
    # The system asks its name server over IPv4, through the tunnel; only the page goes beside it.
    tunnel = _tunnel([_look_up((_EXIT, _NAMES))], visit, page=False)
    inside = frozenset({Item.QUERY, Item.HOST, Item.DESTINATION, Item.CLIENT})
    site = frozenset({Item.CLIENT, Item.DESTINATION, *_ALL})
    other, program = _other_tunnelled(visit)
    return _finding([page, *tunnel], other, inside, site, visit.way, program_of_other=program)


def _tunnelled(visit: Visit) -> Finding:
    shown = _https(visit.encrypted)
    inner = [_look_up((_EXIT, _NAMES)), _Flow((_EXIT, _NETWORK), shown | {Item.DESTINATION})]
    inside = shown | {Item.QUERY, Item.HOST, Item.DESTINATION, Item.CLIENT}
    other, program = _other_tunnelled(visit)
    site = _site_sees(visit)
    flows = _tunnel(inner, visit)
    return _finding(flows, other, frozenset(inside), site, visit.way, program_of_other=program)


def _tunnel(inner: list[_Flow], visit: Visit, *, page: bool = True) -> list[_Flow]:
    """The flows inside a tunnel, and its own packets on the client's side."""
    encrypts = visit.encrypted or visit.way is Way.WIREGUARD  # whose encryption cannot be switched off
    read = frozenset() if encrypts else frozenset().union(*(flow.clear for flow in inner))
    return [*inner, _Flow((_LOCAL, _ENTRY), frozenset({Item.CLIENT, *read}), visit=page)]


def _site_sees(visit: Visit) -> frozenset[Item]:
    known = {Item.DESTINATION, *_ALL}
    if visit.way in (Way.DIRECT, Way.REVERSE):  # a reverse proxy tells the address in X-Forwarded-For
        known.add(Item.CLIENT)
    return frozenset(known)


def _other_directly() -> list[_Flow]:
    """A program that knows of no proxy visits its own site, which is in another network."""
    return [_Flow((_LOCAL, _NAMES), frozenset({Item.OTHER})), _Flow((_LOCAL,), frozenset({Item.OTHER}))]


def _other_tunnelled(visit: Visit) -> tuple[list[_Flow], frozenset[Item]]:
    encrypts = visit.encrypted or visit.way is Way.WIREGUARD
    wires = (_EXIT, _NAMES) if encrypts else (_EXIT, _NAMES, _LOCAL, _ENTRY)
    return [_Flow(wires, frozenset({Item.OTHER}))], frozenset({Item.OTHER})


def _finding(
    flows: list[_Flow],
    other: list[_Flow],
    program: frozenset[Item],
    site: frozenset[Item],
    way: Way,
    *,
    answered: bool = True,
    program_of_other: frozenset[Item] = frozenset(),
) -> Finding:
    """The cells that follow from flows, and from what the programs of provider and site hold."""
    page = [flow for flow in flows if flow.visit]
    seen = {wire: _clear(wire, [*flows, *other]) for wire in _WIRES}
    volume = {wire for flow in page for wire in flow.wires}
    seen[Observer.PROVIDER] = seen[_ENTRY] | seen[_EXIT] | program | program_of_other
    seen[Observer.SITE] = site
    if volume & {_ENTRY, _EXIT}:
        volume.add(Observer.PROVIDER)
    if answered and _NETWORK in volume:
        volume.add(Observer.SITE)
    cells: dict[tuple[Observer, Item], Cell] = {}
    for observer in Observer:
        found = derive(
            seen[observer], enough_bytes=observer in volume, name_leads_there=way is not Way.REVERSE
        )
        cells |= {(observer, item): found[item] for item in Item}
    return Finding(answered, cells)


def _clear(wire: Observer, flows: Iterable[_Flow]) -> frozenset[Item]:
    return frozenset().union(*(flow.clear for flow in flows if wire in flow.wires))
