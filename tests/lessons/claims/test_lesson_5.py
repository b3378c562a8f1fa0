"""What lesson 5 says, and what its model and small real runs compute."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lessons.not_only_http import all_ways, converse, measure_enough, setup_share, what_goes_through
from lessons.not_only_http.exercise import _CASES, _enough
from lessons.not_only_http.explorer import REQUESTS, ROUND_TRIPS_MS
from lessons.not_only_http.tunnel_model import WAYS

CLIENT_MS, SERVER_MS = _CASES[0][:2]


@functools.cache
def refusals() -> tuple[int, int]:
    """The status for what is not HTTP, and for what has no route."""
    answers = what_goes_through().answers
    refused = [answers[name]["HTTP port, no setup"].split()[1] for name in ("lines of text", "HTTP")]
    return int(refused[0]), int(refused[1])


def first_ms(way: str) -> float:
    return converse(way, CLIENT_MS, SERVER_MS).first_ms


def exchanges(way: str) -> float:
    """Exchanges of the setup, from the simulated time to the first response."""
    return (first_ms(way) - first_ms("raw TCP")) / CLIENT_MS


def takes_of_a_round_trip() -> float:
    message = converse("raw TCP", CLIENT_MS, SERVER_MS).messages[0]
    return (message.arrived - message.sent) / CLIENT_MS


CLAIMS: dict[str, Callable[[], Sequence[Any] | bool]] = {
    "There are three ways to tell it": lambda: [len({name.rstrip("45a, login") for name in WAYS})],
    "between client and proxy takes 60 ms. The round trip between proxy and server takes 20 ms.": lambda: [
        CLIENT_MS, SERVER_MS,
    ],
    "has the response 80 ms later": lambda: [first_ms("raw TCP")],
    "requests until the setup of SOCKS5 takes less than 10 %": lambda: [100 * _CASES[0][3]],
    "Each message takes half a round trip.": lambda: [takes_of_a_round_trip()],
    "small relays that delay every byte by half a round trip": lambda: [takes_of_a_round_trip()],
    "Put the proxy next to the client (0 ms).": lambda: [ROUND_TRIPS_MS[0]],
    "Send ten *requests* on a connection.": lambda: [(REQUESTS[0], 10)],
    "for raw TCP, 1 for CONNECT and SOCKS4a, 2 for SOCKS5, and 3 with a login": lambda: [
        exchanges("CONNECT"), exchanges("SOCKS5"), exchanges("SOCKS5, login"),
    ],
    "This takes about 5 seconds.": lambda: [
        (5 * sum(way.first_ms for way in all_ways(CLIENT_MS, SERVER_MS).values()) / 1e3, 5),
    ],
    "It refuses everything that is not HTTP (400), or that it has no route for (404).": refusals,
    "the share `share` (such as 0.1) of": lambda: [_CASES[0][3]],
    "With SOCKS5 and round trips of 60 and 20 ms, 14 requests bring the share below a tenth.": lambda: [
        CLIENT_MS, SERVER_MS, _enough(*_CASES[0]), (setup_share("SOCKS5", 60, 20, 14), 0.1),
    ],
}  # fmt: skip

OTHERS = {
    "a number of things that the next cell starts": (
        "So the experiment adds two **delay lines**", "talks to a real Redis in two ways",
        "The next cell starts three real proxies", "chain two proxies",
        "measure two forward proxies in a row",
        "with two Redis servers behind it",
    ),
    "counted in this very text": ("This has two consequences",),
    "held by the lesson's confirmation": (
        "The dots are a little above", "each message wakes a thread or two",
    ),
    "a distance": ("*The proxy is far away", "more important if the proxy is far away"),
}  # fmt: skip
REASONS = [piece for pieces in OTHERS.values() for piece in pieces]


@pytest.mark.parametrize("said", CLAIMS)
def test_a_claim_is_what_is_computed(said: str, against_text: Callable[..., None]) -> None:
    against_text(5, said, CLAIMS[said]())


def test_each_number_and_comparison_in_the_text_is_a_claim(uncovered: Callable[..., list[str]]) -> None:
    assert uncovered(5, CLAIMS, REASONS) == []


def test_each_exception_is_in_the_text(unknown: Callable[..., list[str]]) -> None:
    assert unknown(5, REASONS) == []


def test_the_number_of_requests_that_are_enough_is_measured_on_a_real_connection() -> None:
    """Delays of a busy machine move it by a few requests; and some setups are never small enough."""
    assert measure_enough(client_ms=60, server_ms=20, most=25) == pytest.approx(_enough(*_CASES[0]), abs=4)
    assert measure_enough(client_ms=20, server_ms=20, share=0.01, most=3) is None
