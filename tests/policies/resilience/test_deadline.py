"""Deadlines that travel: what is read, what is left, and what goes on."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.resilience import deadline

SECONDS = st.floats(-10, 1e6)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("123.4", 0.1234), (" 5 \t", 0.005), ("0", 0.0), ("-1", -0.001), ("+7", 0.007), (".5", 0.0005),
        ("1.", 0.001),
        *((text, None) for text in (
            None, "", "soon", "1e3", "nan", "inf", "0x10", "1_000", "1, 2", "1 2", "\u0663", "--1", "1" * 13,
        )),
    ],
)  # fmt: skip
def test_only_a_plain_number_is_a_deadline(text: str | None, seconds: float | None) -> None:
    assert deadline.parse_timeout(text) == (None if seconds is None else pytest.approx(seconds))


@given(st.lists(st.none() | SECONDS, max_size=4), st.floats(0, 1e6))
def test_the_smallest_limit_holds(limits: list[float | None], arrived: float) -> None:
    known = [limit for limit in limits if limit is not None]
    due = deadline.due(arrived, *limits)
    assert due == (arrived + min(known) if known else None)
    assert (
        deadline.left(due, arrived) == (pytest.approx(min(known)) if known else math.inf) or min(known) < 1e-6
    )


@given(SECONDS)
def test_what_goes_on_is_never_more_than_what_is_left_and_less_by_under_a_microsecond(left: float) -> None:
    sent = deadline.parse_timeout(deadline.field_value(left))
    assert sent is not None
    assert sent >= 0
    if left >= 0:
        assert -1e-9 * max(left, 1) <= left - sent < 1.001e-6 + 1e-9 * left


@given(SECONDS, st.lists(st.floats(0, 100), max_size=8))
def test_each_hop_leaves_less(left: float, works: list[float]) -> None:
    for work in works:
        passed_on = deadline.parse_timeout(deadline.field_value(left - work))
        assert passed_on is not None
        assert passed_on <= max(left, 0.0)
        left = passed_on


@given(st.floats(0, 100), st.none() | st.floats(0, 200), st.floats(0, 100))
def test_nobody_waits_in_a_queue_beyond_the_deadline(wait: float, due: float | None, now: float) -> None:
    seconds, status = deadline.patience(wait, due, now)
    assert 0 <= seconds <= wait
    if due is not None and due - now < wait:
        assert (seconds, status) == (max(due - now, 0.0), 504)
    else:
        assert (seconds, status) == (wait, 503)
