"""The search for secrets, the rules of "derivable", and the verdicts: bytes and sets in, cells out."""

from __future__ import annotations

import ipaddress
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.exposure.control import everything_about
from twin.exposure.dns_messages import encode_name
from twin.exposure.rules import derive
from twin.exposure.search import HEADERS, Secrets, find_items, has_address, has_other
from twin.exposure.topology import _Plan
from twin.exposure.verdicts import Verdict, change
from twin.exposure.vocabulary import Cell, Finding, Item, Observer

CLIENT, DESTINATION = ("10.77.3.21", "fd12::3:21"), ("10.77.9.140", "fd12::9:140")


def wanted() -> Secrets:
    return Secrets("zone.test", CLIENT, DESTINATION)


def test_each_secret_is_found_by_itself_and_nothing_else_is() -> None:
    visit = wanted()
    for data, items in (
        (visit.host.encode(), {Item.HOST}),
        (visit.path.encode(), {Item.PATH}),
        (visit.page(), {Item.CONTENT}),
        (visit.request_label.encode(), {Item.CONTENT}),
        (encode_name(visit.host), {Item.HOST, Item.QUERY}),
        (b"X-Forwarded-For: 10.77.3.21\r\n", {Item.CLIENT}),
        (ipaddress.ip_address(CLIENT[1]).packed, {Item.CLIENT}),
        (ipaddress.ip_address(DESTINATION[0]).packed, {Item.DESTINATION}),
    ):
        assert find_items(visit, [b"before", b"head" + data + b"tail" if len(data) > 99 else data]) == items
    assert has_other(visit, [encode_name(visit.other_host)]) and not has_other(visit, [visit.host.encode()])


@given(st.binary(max_size=2000), st.integers(0, 50))
def test_a_name_is_found_wherever_it_stands(noise: bytes, place: int) -> None:
    visit = wanted()
    packet = noise[:place] + visit.host.upper().encode() + noise[place:]
    assert Item.HOST in find_items(visit, [packet])


def test_random_bytes_hold_no_secret() -> None:
    """The false-alarm rate is that of four bytes among headers: below 1 in 2 million for this test."""
    visit = wanted()
    assert find_items(visit, [secrets.token_bytes(1400) for _ in range(10)]) == frozenset()


@pytest.mark.parametrize("text", [b"10.77.3.210", b"110.77.3.21", b"10.77.3.2"])
def test_a_longer_or_shorter_address_is_another_one(text: bytes) -> None:
    assert not has_address("10.77.3.21", [text], text)


def test_a_binary_address_counts_only_among_headers() -> None:
    packed = ipaddress.ip_address(CLIENT[0]).packed
    for before, found in ((HEADERS - 4, True), (HEADERS - 3, False)):
        packet = bytes(before) + packed
        assert has_address(CLIENT[0], [packet], packet) is found


def test_two_packets_together_hold_no_secret_that_neither_holds() -> None:
    visit = wanted()
    half = visit.host.encode()
    assert find_items(visit, [half[:8], half[8:]]) == frozenset()


def test_the_control_holds_everything() -> None:
    visit = wanted()
    data = everything_about(visit)
    assert find_items(visit, [data]) == {*Item} - {Item.OTHER, Item.VOLUME} and has_other(visit, [data])


def test_the_address_is_derivable_from_a_name_that_leads_there() -> None:
    for leads, cell in ((True, Cell.DERIVABLE), (False, Cell.UNSEEN)):
        cells = derive({Item.HOST}, enough_bytes=False, name_leads_there=leads)
        assert cells[Item.DESTINATION] is cell
        assert cells[Item.VOLUME] is Cell.UNSEEN
    assert derive({Item.HOST, Item.DESTINATION}, enough_bytes=True, name_leads_there=True) == {
        **dict.fromkeys(Item, Cell.UNSEEN),
        Item.HOST: Cell.SEEN, Item.DESTINATION: Cell.SEEN, Item.VOLUME: Cell.DERIVABLE,
    }  # fmt: skip


def test_open_means_that_somebody_but_the_provider_learns_more() -> None:
    none = {(who, item): Cell.UNSEEN for who in Observer for item in Item}
    quiet = Finding(True, none)
    assert change(quiet, quiet).verdict is Verdict.SAME
    assert change(Finding(False, none), quiet).verdict is Verdict.CLOSED
    leaky = Finding(False, none | {(Observer.LOCAL, Item.HOST): Cell.DERIVABLE})
    assert str(change(leaky, quiet)) == "open (local network: host name)"
    assert change(quiet, leaky).verdict is Verdict.SAME
    told = Finding(True, none | {(Observer.PROVIDER, Item.HOST): Cell.SEEN})
    assert change(told, quiet).verdict is Verdict.SAME


def test_all_addresses_of_the_small_internet_have_the_form_in_which_programs_write_them() -> None:
    plans = [_Plan() for _ in range(200)]
    ends = [end for plan in plans for _ in range(7) for end in plan.network()]
    assert all(str(ipaddress.ip_address(text)) == text for end in ends for text in (end.v4, end.v6))
    assert len({end.v4 for end in ends[:14]}) == 14
