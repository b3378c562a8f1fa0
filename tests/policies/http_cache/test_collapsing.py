"""One fetches, the others wait, and each is told once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.http_cache.collapsing import (
    HIT_FOR_MISS,
    MOST_APART,
    MOST_FAILURES,
    MOST_REMEMBERED,
    Decision,
    Flight,
    FlightResult,
    Flights,
    after,
    flight_result,
    shareable,
)
from policies.http_cache.freshness import Answer, NotStored


def ask(flights: Flights[str], key: str, waiter: str, now: float = 0.0, *, leads: bool = True) -> Decision:
    return flights.ask(key, waiter, now, leads=leads)[0]


def flight_of(flights: Flights[str], key: str, waiter: str, now: float = 0.0) -> Flight[str]:
    flight = flights.ask(key, waiter, now)[1]
    assert flight is not None
    return flight


def test_the_first_fetches_and_the_others_wait_in_order() -> None:
    flights: Flights[str] = Flights()
    flight = flight_of(flights, "a", "one")
    assert [ask(flights, "a", waiter) for waiter in ("two", "three")] == [Decision.WAIT, Decision.WAIT]
    assert flights.waiting == 2
    assert ask(flights, "b", "other") is Decision.FETCH
    assert flights.complete(flight, FlightResult.SHARED, 0.0) == ["two", "three"]
    assert ask(flights, "a", "four") is Decision.FETCH, "nobody fetches it any more"
    assert flights.complete(flight, FlightResult.SHARED, 0.0) == []


def test_who_leaves_is_not_told() -> None:
    flights: Flights[str] = Flights()
    flight = flight_of(flights, "a", "one")
    ask(flights, "a", "two")
    assert flights.leave(flight, "two")
    assert not flights.leave(flight, "two")
    assert flights.complete(flight, FlightResult.SHARED, 0.0) == []
    assert not flights.leave(flight, "one")


def test_what_is_private_is_fetched_by_each_for_a_while() -> None:
    """Hit-for-miss: requests for what cannot be shared must not be put in a row."""
    flights: Flights[str] = Flights()
    flight = flight_of(flights, "a", "one")
    assert ask(flights, "a", "two") is Decision.WAIT
    flights.complete(flight, FlightResult.PRIVATE, now=1.0)
    assert ask(flights, "a", "three", now=HIT_FOR_MISS) is Decision.ALONE
    assert ask(flights, "b", "three", now=HIT_FOR_MISS) is Decision.FETCH
    assert ask(flights, "a", "four", now=1.0 + HIT_FOR_MISS) is Decision.FETCH


def test_an_answer_that_can_be_shared_ends_that_while() -> None:
    flights: Flights[str] = Flights()
    flights.complete(flight_of(flights, "a", "one"), FlightResult.PRIVATE, 0.0)
    flights.shareable("a")
    assert ask(flights, "a", "two") is Decision.FETCH


def test_what_is_private_is_remembered_of_so_many_keys() -> None:
    flights: Flights[str] = Flights()
    for number in range(MOST_REMEMBERED + 1):
        flights.complete(flight_of(flights, f"{number}", "one"), FlightResult.PRIVATE, 0.0)
    assert ask(flights, "0", "two") is Decision.FETCH
    assert ask(flights, "1", "two") is Decision.ALONE


def test_a_failure_says_nothing_of_the_next_answer() -> None:
    flights: Flights[str] = Flights()
    flights.complete(flight_of(flights, "a", "one"), FlightResult.FAILED, 0.0)
    assert ask(flights, "a", "two") is Decision.FETCH


def test_who_may_not_lead_waits_if_there_is_something_to_wait_for() -> None:
    flights: Flights[str] = Flights()
    assert ask(flights, "a", "one", leads=False) is Decision.ALONE
    ask(flights, "a", "two")
    assert ask(flights, "a", "three", leads=False) is Decision.WAIT


def test_who_comes_after_a_change_does_not_wait_for_an_older_fetch() -> None:
    flights: Flights[str] = Flights()
    old = flight_of(flights, "a", "one")
    ask(flights, "a", "two")
    flights.invalidate("a")
    assert not flights.is_newest(old)
    new = flight_of(flights, "a", "three")
    ask(flights, "a", "four")
    assert new is not old
    assert flights.complete(old, FlightResult.SHARED, 0.0) == ["two"]
    assert flights.complete(new, FlightResult.SHARED, 0.0) == ["four"], (
        "the old one's end is not the new one's"
    )


@pytest.mark.parametrize(
    ("status", "usable", "ended"),
    [
        (200, True, FlightResult.SHARED), (404, True, FlightResult.SHARED),
        (200, False, FlightResult.PRIVATE), (404, False, FlightResult.PRIVATE),
        (500, False, FlightResult.FAILED), (502, False, FlightResult.FAILED),
        (503, True, FlightResult.SHARED), (501, False, FlightResult.PRIVATE),
    ],
)  # fmt: skip
def test_how_a_fetch_ends(status: int, usable: bool, ended: FlightResult) -> None:
    assert flight_result(status, usable) is ended


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(None, 60.0), True), (Answer(None, 60.0, 60.0), False), (Answer(None, 0.0), False),
        (Answer(None, 60.0, validate=True), False), (Answer(NotStored.PRIVATE, 60.0), False),
    ],
)  # fmt: skip
def test_only_what_is_fresh_and_may_be_stored_is_given_to_others(answer: Answer, expected: bool) -> None:
    """RFC 9111, 4: collapsed requests need an answer that could be reused for each of them."""
    assert shareable(answer) is expected


def test_who_waited_in_vain_tries_again_but_not_for_ever() -> None:
    assert after(FlightResult.PRIVATE, 0) is Decision.ALONE
    assert [after(FlightResult.FAILED, count) for count in range(1, MOST_FAILURES + 1)] == [
        Decision.WAIT,
        Decision.FAIL,
    ]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=100))
def test_everyone_fetches_or_is_told_and_never_two_fetch_the_same(events: list[tuple[bool, int]]) -> None:
    flights: Flights[int] = Flights()
    flying: dict[int, Flight[int]] = {}
    waiting: dict[int, list[int]] = {}
    for number, (asks, key) in enumerate(events):
        if asks:
            turn, flight = flights.ask(key, number, 0.0)
            assert turn is (Decision.WAIT if key in flying else Decision.FETCH)
            assert flight is not None
            if turn is Decision.WAIT:
                waiting.setdefault(key, []).append(number)
            flying[key] = flight
        elif key in flying:
            assert flights.complete(flying.pop(key), FlightResult.SHARED, 0.0) == waiting.pop(key, [])
    assert len(flights) == len(flying)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (416, NotStored.REQUEST_FIELDS),
        (200, NotStored.REQUEST_FIELDS),
        (429, NotStored.STATUS),
        (425, NotStored.STATUS),
    ],
)
def test_a_response_about_one_request_says_nothing_about_the_key(status: int, reason: NotStored) -> None:
    assert flight_result(status, usable=False, reason=reason) is FlightResult.APART
    flights: Flights[str] = Flights()
    flight = flight_of(flights, "a", "one")
    ask(flights, "a", "two")
    assert flights.complete(flight, FlightResult.APART, 0.0) == ["two"]
    assert ask(flights, "a", "two", 1.0) is Decision.FETCH, "the key does not count as unshareable"


def test_after_some_responses_about_other_requests_nobody_waits_any_more() -> None:
    decisions = [after(FlightResult.APART, 0, apart) for apart in range(1, MOST_APART + 2)]
    assert decisions == [Decision.WAIT] * (MOST_APART - 1) + [Decision.ALONE] * 2
