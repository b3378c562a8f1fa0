"""One fetches, the others wait, and each is told once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policies.coalescing import Flights


def test_the_first_fetches_and_the_others_wait_in_order() -> None:
    flights: Flights[str] = Flights()
    assert [flights.join("a", waiter) for waiter in ("one", "two", "three")] == [True, False, False]
    assert flights.join("b", "other")
    assert flights.landed("a") == ["two", "three"]
    assert flights.join("a", "four"), "nobody fetches it any more"
    assert flights.landed("a") == []


def test_who_leaves_is_not_told() -> None:
    flights: Flights[str] = Flights()
    flights.join("a", "one")
    flights.join("a", "two")
    assert flights.leave("a", "two")
    assert not flights.leave("a", "two")
    assert flights.landed("a") == []
    assert not flights.leave("a", "one")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=100))
def test_everyone_fetches_or_is_told_and_never_two_fetch_the_same(events: list[tuple[bool, int]]) -> None:
    flights: Flights[int] = Flights()
    flying: set[int] = set()
    waiting: dict[int, list[int]] = {}
    for number, (asks, key) in enumerate(events):
        if asks:
            fetches = flights.join(key, number)
            assert fetches == (key not in flying)
            flying.add(key)
            if not fetches:
                waiting.setdefault(key, []).append(number)
        elif key in flying:
            assert flights.landed(key) == waiting.pop(key, [])
            flying.remove(key)
    assert len(flights) == len(flying)
