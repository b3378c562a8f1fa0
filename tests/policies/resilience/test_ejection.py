"""Ejection that grows, and ejection by success rate, with exact numbers; without the keys nothing is new."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.balancing import Upstreams
from policies.resilience import PassiveEjection, Precautions, SuccessRates, outliers
from policies.settings import Eject, Service


def durations(eject: PassiveEjection, times: int, idle: float = 0.0) -> list[float]:
    """Of ejections one after the other, with `idle` seconds between them."""
    now, found = 0.0, []
    for _ in range(times):
        eject.intervals(now)
        while not eject.ended(0, True, now):
            pass
        began = now
        while not eject.returning(now):
            now += 0.5
            eject.intervals(now)
        found.append(now - began)
        now += idle
    return found


@pytest.mark.parametrize(
    ("grow", "longest", "expected"),
    [
        (False, 300.0, [30.0] * 5),
        (True, 300.0, [30.0, 60.0, 90.0, 120.0, 150.0]),
        (True, 100.0, [30.0, 60.0, 90.0, 100.0, 100.0]),
        (True, 10.0, [30.0] * 5),
        (2.0, 300.0, [30.0, 60.0, 120.0, 240.0, 300.0]),
    ],
)
def test_the_nth_ejection_lasts_as_long_as_the_rule_says(
    grow: bool | float, longest: float, expected: list[float]
) -> None:
    eject = PassiveEjection(2, 1, 30.0, 0.5, grow=grow, longest=longest, every=1e9)
    assert durations(eject, 5) == expected
    assert eject.times(0) == 5


def test_good_intervals_shrink_it_again() -> None:
    eject = PassiveEjection(2, 1, 30.0, 0.5, grow=True, every=10.0)
    assert durations(eject, 3) == [30.0, 60.0, 90.0]  # over at 180
    eject.intervals(211.0)  # the interval from 180 on is the first good one: three of them
    assert eject.ended(0, True, 211.0)
    assert eject.returning(240.9) == []
    assert eject.returning(241.0) == [0]


def test_an_interval_with_a_part_of_an_ejection_is_not_good() -> None:
    eject = PassiveEjection(2, 1, 5.0, 0.5, grow=True, every=10.0)
    eject.intervals(0.0)
    assert eject.ended(0, True, 8.0)
    eject.intervals(13.0)
    assert eject.returning(13.0) == [0]
    eject.intervals(20.0)
    assert eject.ended(0, True, 20.0)
    assert eject.returning(29.9) == []
    assert eject.returning(30.0) == [0], "the second ejection lasts twice as long"


def test_a_long_silence_forgets_everything_and_costs_little() -> None:
    eject = PassiveEjection(2, 1, 30.0, 0.5, grow=True, every=0.001)
    eject.intervals(0.0)
    assert eject.ended(0, True, 0.0)
    assert eject.intervals(1e9) == []
    assert eject.returning(1e9) == [0]
    assert eject.ended(0, True, 1e9)
    assert eject.returning(1e9 + 30.0) == [0]


def test_of_five_one_outlier_is_1_9_deviations_below_and_of_four_none_is() -> None:
    for hosts, found in ((4, []), (5, [0]), (10, [0])):
        assert outliers({index: float(index > 0) for index in range(hosts)}, 1.9) == found
    assert outliers({}, 1.9) == []
    assert outliers(dict.fromkeys(range(6), 0.25), 1.9) == []
    # Envoy's documentation has the same rule: mean .98, deviation .02598, threshold .9306
    assert outliers({0: 0.93, 1: 0.99, 2: 0.99, 3: 0.99, 4: 1.0}, 1.9) == [0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.1, 5))
def test_outliers_are_below_everybody_else_and_never_a_majority(
    rates: list[float], deviations: float
) -> None:
    out = outliers(dict(enumerate(rates)), deviations)
    kept = [rate for index, rate in enumerate(rates) if index not in out]
    assert kept
    assert all(rates[index] < min(kept) for index in out)
    if deviations >= math.sqrt(len(rates)):
        assert out == []


def test_success_rates_need_hosts_and_requests() -> None:
    rates = SuccessRates(6, hosts=5, requests=100, deviations=1.9)

    def feed(hosts: int, requests: int) -> list[int]:
        for index in range(hosts):
            for number in range(requests):
                rates.ended(index, index == 2 and number % 2 == 0)
        return rates.interval({})

    assert feed(5, 100) == [2]
    assert feed(4, 100) == []
    assert feed(5, 99) == []
    assert feed(5, 100) == [2], "each interval counts anew"


def service(**eject: object) -> Service:
    return Service.model_validate(
        {"upstreams": [f"h:{port}" for port in range(1, 6)], "eject": {"for": "30s", "errors": 1000, **eject}}
    )


def test_who_fails_often_but_never_in_a_row_is_ejected_when_the_interval_ends() -> None:
    upstreams = Upstreams([1.0] * 5)
    decisions = Precautions(service(success_rate=True), upstreams)
    for number in range(1000):
        now = number / 100
        decisions.refresh(now)
        decisions.ended(number % 5, number % 10 == 3, now)  # every second request of upstream 3 fails
    decisions.refresh(9.999)
    assert upstreams.available == [0, 1, 2, 3, 4]
    decisions.refresh(11.5)
    assert upstreams.available == [0, 1, 2, 4]
    assert (decisions.ejected_since(3), decisions.ejections(3)) == (10.0, 1)
    decisions.refresh(39.9)
    assert upstreams.available == [0, 1, 2, 4]
    decisions.refresh(40.0)
    assert upstreams.available == [0, 1, 2, 3, 4]
    assert (decisions.ejected_since(3), decisions.ejections(3)) == (None, 1)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.floats(0, 5)), max_size=200), st.randoms())
def test_without_the_new_keys_everything_is_as_before(
    ends: list[tuple[int, bool, float]], rng: random.Random
) -> None:
    """An ejection of its own lasts `for`, whatever came before; at most two of five at once."""
    settings = Service.model_validate(
        {"upstreams": [f"h:{port}" for port in range(1, 6)], "eject": {"errors": 2, "for": "3s"}}
    )
    upstreams = Upstreams([1.0] * 5)
    decisions = Precautions(settings, upstreams)
    in_a_row, back_at, now = [0] * 5, dict[int, float](), 0.0
    for index, failed, gap in ends:
        now += gap
        decisions.refresh(now)
        back_at = {other: at for other, at in back_at.items() if at > now}
        assert upstreams.available == [other for other in range(5) if other not in back_at]
        decisions.ended(index, failed, now)
        in_a_row[index] = in_a_row[index] + 1 if failed else 0
        if in_a_row[index] >= 2 and index not in back_at and len(back_at) < 2:
            back_at[index], in_a_row[index] = now + 3.0, 0


def test_upstreams_come_and_go() -> None:
    upstreams = Upstreams([1.0] * 4, slow_start=10.0)
    decisions = Precautions(service(errors=1, most=0.5).model_copy(update={"health": None}), upstreams)
    decisions.change((), (2, 3), 0.0)
    assert upstreams.available == [0, 1]
    decisions.ended(0, True, 1.0)
    decisions.ended(1, True, 1.0)
    assert upstreams.available == [1], "half of two may be ejected"
    decisions.change((2,), (1,), 2.0)
    assert upstreams.available == [2]
    assert decisions.reasons(1) == []
    decisions.change((1,), (), 3.0)
    assert upstreams.available == [1, 2]
    assert upstreams.share[1] == 0.1, "who comes is in slow start"
    decisions.change((), (1, 2), 4.0)
    assert upstreams.available == [0], "there is a reason against all that are there"


def test_the_settings_say_what_envoy_says() -> None:
    eject = Eject.model_validate({"success_rate": True})
    assert eject.success_rate is not None
    judged = eject.success_rate
    assert (judged.hosts, judged.requests, judged.deviations) == (5, 100, 1.9)
    assert (eject.every, eject.most_for, eject.grow) == (10.0, 300.0, False)
