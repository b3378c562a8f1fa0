"""The measurement on real packets: the same twice, as the topology says, and by observers that see.

A visit's secrets are random. The one chance for a false alarm is a binary address that random bytes look
like: below 0.0006 for a measurement (`twin.exposure.search`).
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from twin.exposure import Cell, Exposure, Item, Observer, State, Way, expose
from twin.exposure import wires as wires_module
from twin.exposure.model import modelled
from twin.exposure.proof import Proof
from twin.exposure.verdicts import Verdict
from twin.exposure.vocabulary import VPNS, Finding, Visit

pytestmark = [
    pytest.mark.skipif(getattr(os, "geteuid", lambda: -1)() != 0, reason="needs root"),
    pytest.mark.needs("ip", "wireguard-go", "wg", "setpriv"),
]
HIDDEN_BY_TLS = (Item.PATH, Item.CONTENT)
WIRES = (Observer.LOCAL, Observer.ENTRY, Observer.EXIT, Observer.NAMES, Observer.NETWORK)


@pytest.fixture(scope="module")
def table() -> Exposure:
    found = expose()
    assert found.obstacles == {}
    return found


@pytest.fixture(scope="module")
def learns(table: Exposure) -> Callable[..., set[Item]]:
    """What an observer learns in a way and a state: seen in the bytes, or also derivable."""

    def ask(
        observer: Observer, way: Way, state: State = State.CONNECTED, *, derived: bool = False
    ) -> set[Item]:
        cells = table.cells(way, state)
        enough = {Cell.SEEN, Cell.DERIVABLE} if derived else {Cell.SEEN}
        return {item for item in Item if cells[observer, item] in enough}

    return ask


Learns = Callable[..., set[Item]]


def differences(found: dict[Visit, Finding], other: dict[Visit, Finding]) -> list[str]:
    return [
        f"{visit}: {key}: {found[visit].cells[key]} and {other[visit].cells[key]}"
        for visit in found
        for key in found[visit].cells
        if found[visit].cells[key] is not other[visit].cells[key]
    ] + [f"{visit}: answered" for visit in found if found[visit].answered != other[visit].answered]


def test_the_second_table_is_the_first(table: Exposure) -> None:
    assert differences(table.findings, expose().findings) == []


def test_every_cell_of_every_visit_is_what_the_topology_says(table: Exposure) -> None:
    assert all(found.measured for found in table.findings.values())
    assert differences(table.findings, {visit: modelled(visit) for visit in table.findings}) == []


def test_every_not_seen_is_proven(table: Exposure) -> None:
    assert table.unproven() == []
    assert set(table.proofs().values()) == set(Proof)
    assert table.control is not None
    sees = {key for key, cell in table.control.cells.items() if cell is not Cell.UNSEEN}
    assert sees == {(who, item) for who in Observer for item in Item}


@pytest.mark.parametrize("way", VPNS)
def test_the_wire_of_a_vpns_client_shows_only_who_asks_the_provider_and_how_much(
    learns: Learns, way: Way
) -> None:
    for observer in (Observer.LOCAL, Observer.ENTRY):
        assert learns(observer, way, derived=True) == {Item.CLIENT, Item.VOLUME}


def test_without_its_cipher_the_same_wire_shows_everything(table: Exposure) -> None:
    cells = table.findings[Visit(Way.VPN, encrypted=False)].cells
    for observer in (Observer.LOCAL, Observer.ENTRY):
        assert all(cells[observer, item] is not Cell.UNSEEN for item in Item)


@pytest.mark.parametrize("way", VPNS)
def test_the_provider_of_a_vpn_learns_where_to_but_not_what(learns: Learns, way: Way) -> None:
    assert learns(Observer.PROVIDER, way) == {*Item} - {Item.VOLUME, *HIDDEN_BY_TLS}
    assert {Item.DESTINATION, Item.HOST, Item.QUERY} <= learns(Observer.EXIT, way)


def test_a_vpn_beyond_its_provider_adds_no_encryption(table: Exposure) -> None:
    """Without TLS, the site's side has all but the client's address, whatever the VPN encrypts."""
    cells = table.findings[Visit(Way.WIREGUARD, encrypted=False)].cells
    seen = {item for item in Item if cells[Observer.EXIT, item] is Cell.SEEN}
    assert seen == {*Item} - {Item.CLIENT, Item.VOLUME}


def test_local_names_leak_to_the_local_network_and_remote_names_do_not(learns: Learns) -> None:
    assert Item.QUERY in learns(Observer.LOCAL, Way.SOCKS5)
    assert Item.CLIENT in learns(Observer.NAMES, Way.SOCKS5)
    assert Item.QUERY not in learns(Observer.LOCAL, Way.SOCKS5H)
    assert Item.CLIENT not in learns(Observer.NAMES, Way.SOCKS5H)


def test_connect_hides_the_path_but_not_the_host(learns: Learns) -> None:
    for observer in (Observer.LOCAL, Observer.ENTRY, Observer.PROVIDER):
        assert Item.HOST in learns(observer, Way.CONNECT)
        assert not {*HIDDEN_BY_TLS} & learns(observer, Way.CONNECT)


def test_connect_over_tls_hides_the_host_from_the_local_network_for_one_program_only(learns: Learns) -> None:
    assert learns(Observer.LOCAL, Way.TLS_PROXY, derived=True) == {Item.CLIENT, Item.OTHER, Item.VOLUME}


def test_a_plain_proxy_shows_all_to_all_on_the_way(learns: Learns) -> None:
    for observer in (Observer.LOCAL, Observer.ENTRY, Observer.PROVIDER, Observer.EXIT, Observer.NETWORK):
        assert {Item.HOST, *HIDDEN_BY_TLS} <= learns(observer, Way.HTTP)


def test_an_intercepting_proxy_reads_what_its_wires_do_not_show(learns: Learns) -> None:
    assert {*HIDDEN_BY_TLS} <= learns(Observer.PROVIDER, Way.INTERCEPT)
    for wire in WIRES:
        assert not {*HIDDEN_BY_TLS} & learns(wire, Way.INTERCEPT)


def test_a_reverse_proxy_hides_the_site_and_not_the_client(learns: Learns) -> None:
    assert Item.DESTINATION not in learns(Observer.LOCAL, Way.REVERSE, derived=True)
    assert Item.CLIENT in learns(Observer.SITE, Way.REVERSE)


@pytest.mark.parametrize("way", [way for way in Way if way not in (Way.DIRECT, Way.REVERSE)])
def test_all_others_hide_the_client_from_the_site(learns: Learns, way: Way) -> None:
    for observer in (Observer.EXIT, Observer.NETWORK, Observer.SITE):
        assert Item.CLIENT not in learns(observer, way)


def test_only_a_vpn_carries_the_program_that_knows_of_no_proxy(learns: Learns) -> None:
    assert [way for way in Way if Item.OTHER not in learns(Observer.LOCAL, way)] == list(VPNS)


@pytest.mark.parametrize("way", VPNS)
def test_a_vpn_fails_open_without_a_kill_switch_and_closed_with_one(table: Exposure, way: Way) -> None:
    states = table.states(way)
    for state in (State.BEFORE, State.DEAD):
        assert states[state].verdict is Verdict.OPEN and table.finding(way, state).answered
        assert {Item.HOST, Item.DESTINATION, Item.QUERY} <= {*states[state].leaks[Observer.LOCAL]}
        assert Item.CLIENT in states[state].leaks[Observer.SITE]
    for state in (State.BEFORE_SWITCH, State.DEAD_SWITCH):
        assert states[state].verdict is Verdict.CLOSED and not table.finding(way, state).answered
        assert all(table.cells(way, state)[who, item] is Cell.UNSEEN for who in WIRES for item in Item)


@pytest.mark.parametrize("way", VPNS)
def test_a_vpn_for_ipv4_alone_leaks_native_ipv6(table: Exposure, way: Way) -> None:
    leak = table.states(way)[State.IPV6]
    assert leak.verdict is Verdict.OPEN and Item.CLIENT in leak.leaks[Observer.SITE]
    assert Item.HOST in leak.leaks[Observer.LOCAL]
    assert table.states(way)[State.IPV6_BOTH].verdict is Verdict.SAME


def test_a_dead_proxy_fails_closed(table: Exposure) -> None:
    dead = [table.states(way)[State.DEAD] for way in Way if way not in (Way.DIRECT, *VPNS)]
    assert len(dead) == 7 and {one.verdict for one in dead} == {Verdict.CLOSED}


def test_without_encryption_the_table_shows_the_plain_visits() -> None:
    found = expose((Way.CONNECT,), encrypted=False)
    assert (
        found.cells(Way.CONNECT)[Observer.LOCAL, Item.PATH] is Cell.SEEN and found.states(Way.CONNECT) == {}
    )


def test_a_blind_observer_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    take = wires_module.Tap.take

    def blind(tap: wires_module.Tap) -> list[bytes]:
        packets = take(tap)
        return [] if tap._device == "local" else packets

    monkeypatch.setattr(wires_module.Tap, "take", blind)
    unproven = expose((Way.CONNECT,)).unproven()
    assert any("local network did not see the path" in line for line in unproven)
    assert all("local network" in line for line in unproven)
