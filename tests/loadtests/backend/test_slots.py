"""A replica's slots: so much work at once, in the order of arrival, neither faster nor slower than asked."""

import math
import threading
import time
from collections.abc import Callable

import pytest

from loadtests.backend.slots import Slots

SLACK_S = 0.05
"""How late a busy test machine may be; each test's signal is several times larger."""


Takes = Callable[[float, float, Callable[[], object]], None]


def work_in_turn(slots: Slots, demands: list[float]) -> tuple[list[int], float]:
    """Let requests wait for one slot in a certain order, then work.

    Returns their numbers as they end, and the seconds in which they do.
    """
    ended: list[int] = []

    def one(number: int, demand: float) -> None:
        slots.work(demand)
        ended.append(number)

    taken = slots._enter(time.monotonic())
    threads = [threading.Thread(target=one, args=demand) for demand in enumerate(demands)]
    for number, thread in enumerate(threads, start=1):
        thread.start()
        deadline = time.monotonic() + 20.0
        while slots.totals().queue < number:
            assert time.monotonic() < deadline
            time.sleep(0.0002)
    start = time.monotonic()
    slots._leave(taken, start, 0.0)
    for thread in threads:
        thread.join(20.0)
    return ended, time.monotonic() - start


def test_one_slot_works_on_one_request_at_a_time_in_order_of_arrival(takes: Takes) -> None:
    def nine() -> float:
        ended, seconds = work_in_turn(Slots(1), [0.02] * 9)
        assert ended == list(range(9))
        return seconds

    takes(9 * 0.02, SLACK_S, nine)


def test_a_short_request_does_not_overtake_a_long_one_that_waits() -> None:
    assert work_in_turn(Slots(1), [0.1, 0.001])[0] == [0, 1]


def test_as_many_requests_as_slots_are_worked_on_at_once(takes: Takes) -> None:
    def eight() -> None:
        slots = Slots(4)
        threads = [threading.Thread(target=slots.work, args=(0.1,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20.0)

    takes(0.2, SLACK_S, eight)


def test_a_slow_replica_takes_its_factor_longer(takes: Takes) -> None:
    slots = Slots(1, slow=3.0)
    takes(0.15, SLACK_S, lambda: slots.work(0.05))
    totals = slots.totals()
    assert totals.busy_seconds == pytest.approx(0.15 * totals.requests)
    assert totals.demand_seconds == pytest.approx(0.05 * totals.requests)


def test_overshoot_does_not_add_up_in_a_queue(takes: Takes) -> None:
    takes(100 * 0.002, SLACK_S, lambda: work_in_turn(Slots(1), [0.002] * 100)[1])


def test_work_never_ends_early_and_lateness_is_reported() -> None:
    slots, seen = Slots(1), 0.0
    for _ in range(20):
        start = time.monotonic()
        slots.work(0.005)
        took = time.monotonic() - start
        assert took >= 0.005
        seen += took - 0.005
    totals = slots.totals()
    assert totals.requests == 20
    assert totals.busy_seconds == pytest.approx(0.1)
    assert 0 < totals.late_seconds <= seen


def test_the_largest_queue_is_remembered() -> None:
    slots = Slots(1)
    work_in_turn(slots, [0.001, 0.001, 0.001])
    assert slots.totals().largest_queue == 3
    assert slots.totals().queue == 0


def test_work_that_is_past_its_deadline_is_refused_when_its_turn_comes() -> None:
    """Three wait behind one of 50 ms; two of them are due before that, and cost the slot nothing."""
    slots, now = Slots(1), time.monotonic()
    assert not slots.work(1.0, now - 0.001)
    dues = [math.inf, now + 0.02, now + 10.0, now + 0.02]
    done: dict[int, bool] = {}

    def work(number: int) -> None:
        done[number] = slots.work(0.05 if number == 0 else 0.01, dues[number])

    threads = []
    for number in range(len(dues)):
        threads.append(threading.Thread(target=work, args=(number,)))
        threads[-1].start()
        while slots.totals().queue < number:
            time.sleep(0.0005)
    for thread in threads:
        thread.join(5.0)
    assert done == {0: True, 1: False, 2: True, 3: False}
    assert slots.totals().requests == 2
    assert slots.totals().busy_seconds == pytest.approx(0.06)
