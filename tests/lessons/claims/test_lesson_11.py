"""What lesson 11 says, and what the model computes, which a test compares with the measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lessons.proxy_or_vpn.cells import WAYS
from twin.exposure import Cell, Item, Observer, State, Way
from twin.exposure.model import modelled
from twin.exposure.verdicts import Verdict, change
from twin.exposure.vocabulary import PROXIES, TITLES, Finding, Visit, states_of

PATH_AND_CONTENT = (Item.PATH, Item.CONTENT)


def cell(
    who: Observer, item: Item, way: Way, state: State = State.CONNECTED, *, encrypted: bool = True
) -> Cell:
    return modelled(Visit(way, state, encrypted)).cells[who, item]


def seen(who: Observer, way: Way, state: State = State.CONNECTED, *, encrypted: bool = True) -> set[Item]:
    return {item for item in Item if cell(who, item, way, state, encrypted=encrypted) is Cell.SEEN}


def verdict(way: Way, state: State) -> Verdict:
    return change(modelled(Visit(way, state)), modelled(Visit(way))).verdict


def only_the_ends_read_the_page() -> bool:
    """But who ends TLS earlier reads it, too: the interceptor and the reverse proxy."""
    readers = {
        way: {who for who in Observer if cell(who, Item.PATH, way) is Cell.SEEN}
        for way in Way
        if way is not Way.HTTP
    }
    ended = {way for way, who in readers.items() if who == {Observer.SITE, Observer.PROVIDER}}
    return ended == {Way.INTERCEPT, Way.REVERSE} and all(
        who == {Observer.SITE} for way, who in readers.items() if way not in ended
    )


def the_host_is_clear_before_tls() -> bool:
    return all(Item.HOST in seen(Observer.LOCAL, way) for way in (Way.DIRECT, Way.CONNECT, Way.SOCKS5))


def local_of_vpn_reads_no_names() -> bool:
    hidden = {Item.HOST, Item.DESTINATION, Item.QUERY, Item.OTHER}
    return not hidden & seen(Observer.LOCAL, Way.VPN) and hidden <= seen(Observer.PROVIDER, Way.VPN)


def nobody_hides_volume() -> bool:
    on_the_way = (Observer.LOCAL, Observer.NETWORK)
    return all(cell(who, Item.VOLUME, way) is Cell.DERIVABLE for who in on_the_way for way in Way)


def provider_of_vpn_sees_where() -> bool:
    where = {Item.CLIENT, Item.HOST, Item.DESTINATION}
    before, now = seen(Observer.LOCAL, Way.DIRECT), seen(Observer.PROVIDER, Way.VPN)
    return where <= before and where <= now and not {*PATH_AND_CONTENT} & now


def reverse_hides_the_site() -> bool:
    return (
        cell(Observer.LOCAL, Item.DESTINATION, Way.REVERSE) is Cell.UNSEEN
        and Item.CLIENT in seen(Observer.SITE, Way.REVERSE)
        and Item.CLIENT not in seen(Observer.SITE, Way.CONNECT)
    )


def dead_ones() -> bool:
    proxies = {verdict(way, State.DEAD) for way in PROXIES}
    return proxies == {Verdict.CLOSED} and verdict(Way.VPN, State.DEAD) is Verdict.OPEN


def switch_closes() -> bool:
    return verdict(Way.VPN, State.DEAD_SWITCH) is verdict(Way.VPN, State.BEFORE_SWITCH) is Verdict.CLOSED


def ipv6_leaks() -> bool:
    both = verdict(Way.VPN, State.IPV6_BOTH) is Verdict.SAME
    return both and verdict(Way.VPN, State.IPV6) is Verdict.OPEN


def proxy_hides() -> bool:
    """The client's address from the site, for its programs; names only with TLS to the proxy."""
    hidden = all(Item.CLIENT not in seen(Observer.SITE, way) for way in PROXIES if way is not Way.REVERSE)
    names = {way for way in PROXIES if Item.HOST not in seen(Observer.LOCAL, way)}
    return (
        hidden
        and names == {Way.TLS_PROXY}
        and all(Item.OTHER in seen(Observer.LOCAL, way) for way in PROXIES)
    )


def all_but_the_providers_address() -> bool:
    return seen(Observer.LOCAL, Way.VPN) == {Item.CLIENT}


def like_direct_when_dead() -> bool:
    return modelled(Visit(Way.VPN, State.DEAD)) == modelled(Visit(Way.DIRECT))


def socks_without_tls() -> bool:
    return {*PATH_AND_CONTENT} <= seen(Observer.LOCAL, Way.SOCKS5, encrypted=False)


def wireguard_like_vpn() -> bool:
    return all(
        modelled(Visit(Way.VPN, state)) == modelled(Visit(Way.WIREGUARD, state))
        for state in states_of(Way.VPN)
    )


CLAIMS: dict[str, Callable[[], Sequence[Any] | bool]] = {
    "Five ways lead there": lambda: [len(WAYS)],
    "how many of the seven observers read the host name": lambda: [len(Observer)],
    "on how many of the five ways does the local network see": lambda: [len(WAYS)],
    "So path and content are in the clear only at both ends, and wherever somebody *ends* it earlier": (
        only_the_ends_read_the_page
    ),
    "TLS begins *after* the host name": the_host_is_clear_before_tls,
    "So the local network reads neither names nor addresses, and the provider reads both.": (
        local_of_vpn_reads_no_names
    ),
    "**The VPN's provider sees where you go**, as your local network did before.": provider_of_vpn_sees_where,
    "**`CONNECT` hides no name.**": lambda: Item.HOST in seen(Observer.LOCAL, Way.CONNECT),
    "**Nobody hides volume and times** from those on the way.": nobody_hides_volume,
    "**The reverse proxy hides the site from you**, and tells the site your address.": reverse_hides_the_site,
    "**A dead proxy fails closed, a dead VPN fails open.**": dead_ones,
    "A *kill switch* removes that route.": switch_closes,
    "a tunnel that carries only IPv4 leaves IPv6 to the old route all the time": ipv6_leaks,
    "**What a proxy hides:** your address from the site, for the programs that use it.": proxy_hides,
    "everything but its provider's address from the local network, for *all* programs": (
        all_but_the_providers_address
    ),
    "Which picture have you seen before?": like_direct_when_dead,
    "visits `http://` in place of `https://`?": socks_without_tls,
    "Is there a cell in which they differ?": wireguard_like_vpn,
}

OTHERS: dict[str, tuple[str, ...]] = {
    "counted in this very text": (
        "**Two things hide.**", "And three numbers.", "compare the model with your three numbers",
        "Two encryptions do not add up",
    ),
    "held by the tests of the notebook": ("This takes less than half a minute.",),
    "a definition": (
        "Stop 0 is the client, stop 1 is after the first wire", "; 0 means that there is none",
        "as many bytes as the page has knows how much was fetched",
    ),
    "a figure of speech": ("A table of a connected tunnel is half of the truth.",),
    "about the world": ("Many sites share the addresses of a large reverse proxy",),
}  # fmt: skip
REASONS = [piece for pieces in OTHERS.values() for piece in pieces]


@pytest.mark.parametrize("said", CLAIMS)
def test_a_claim_is_what_is_computed(said: str, against_text: Callable[..., None]) -> None:
    against_text(11, said, CLAIMS[said]())


def test_each_number_and_comparison_in_the_text_is_a_claim(uncovered: Callable[..., list[str]]) -> None:
    assert uncovered(11, CLAIMS, REASONS) == []


def test_each_exception_is_in_the_text(unknown: Callable[..., list[str]]) -> None:
    assert unknown(11, REASONS) == []


def test_the_ways_of_the_text_are_those_of_the_table(unknown: Callable[..., list[str]]) -> None:
    assert unknown(11, [f"* **{way}**:" for way in WAYS]) == []
    assert {"VPN", "CONNECT", "CONNECT over TLS", "reverse proxy"} <= set(TITLES.values())


def test_a_finding_of_the_model_is_never_called_measured() -> None:
    assert not any(modelled(Visit(way)).measured for way in Way)
    assert isinstance(modelled(Visit(Way.VPN)), Finding)
