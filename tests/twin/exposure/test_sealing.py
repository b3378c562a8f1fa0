"""The packets of the small VPN: sealed, counted, and opened once."""

from __future__ import annotations

import random
import secrets

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from twin.exposure.sealing import KEY_BYTES, WINDOW, Opener, Refused, ReplayWindow, Sealer

KEY = bytes(range(KEY_BYTES))


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_what_is_sealed_is_opened_and_not_readable_between(packets: list[bytes]) -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    sealed = [sealer.seal(packet) for packet in packets]
    assert all(packet not in one for packet, one in zip(packets, sealed, strict=True) if len(packet) > 8)
    assert [opener.open(one) for one in sealed] == packets


def test_the_counter_is_the_nonce_of_rfc_8439_and_never_comes_twice() -> None:
    sealer = Sealer(KEY)
    for number in range(300):
        head = number.to_bytes(8, "big")
        assert sealer.seal(b"packet") == head + ChaCha20Poly1305(KEY).encrypt(
            bytes(4) + head, b"packet", head
        )


def test_a_sealer_stops_before_it_uses_a_nonce_twice() -> None:
    sealer = Sealer(KEY)
    sealer._counter = 2**64 - 1
    sealer.seal(b"the last one")
    with pytest.raises(OverflowError):
        sealer.seal(b"one more")


def test_a_packet_that_comes_again_is_refused() -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    sealed = [sealer.seal(b"x") for _ in range(3)]
    for one in (sealed[2], sealed[0], sealed[1]):  # packets may overtake each other
        opener.open(one)
    for one in sealed:
        with pytest.raises(Refused, match="before"):
            opener.open(one)


@given(st.integers(0, 43), st.integers(1, 255))
def test_a_forged_packet_is_refused_and_does_not_move_the_window(place: int, change: int) -> None:
    sealed = bytearray(Sealer(KEY).seal(b"twenty bytes of text"))
    opener = Opener(KEY)
    forged = bytearray(sealed)
    forged[place] ^= change
    with pytest.raises(Refused):
        opener.open(bytes(forged))
    assert opener.open(bytes(sealed)) == b"twenty bytes of text"


def test_another_key_opens_nothing() -> None:
    with pytest.raises(Refused, match="forged"):
        Opener(secrets.token_bytes(KEY_BYTES)).open(Sealer(KEY).seal(b"x"))


def test_too_short_is_refused() -> None:
    with pytest.raises(Refused, match="short"):
        Opener(None).open(b"1234567")


@given(st.integers(0, 2**32), st.lists(st.integers(0, 3 * WINDOW), max_size=300))
def test_the_window_is_a_set_of_the_counters_that_are_not_too_old(start: int, counters: list[int]) -> None:
    window, seen, newest = ReplayWindow(), set[int](), -1
    random.Random(start).shuffle(counters)
    for counter in counters:
        new = counter not in seen and counter > newest - WINDOW
        assert window.is_new(counter) is new
        if new:
            window.note(counter)
            seen.add(counter)
            newest = max(newest, counter)
