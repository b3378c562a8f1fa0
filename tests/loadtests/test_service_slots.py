"""A replica's slots: so much work at once, in the order of arrival, neither faster nor slower than asked."""

import threading
import time

import pytest

from loadtests.service_slots import Slots

SLACK_S = 0.05
"""How late a busy test machine may be; each test's signal is several times larger."""


def work_in_turn(slots: Slots, demands: list[float]) -> list[tuple[int, float]]:
    """Send requests in a certain order; returns each one's number and end in seconds, as they end."""
    ended: list[tuple[int, float]] = []
    start = time.monotonic()

    def one(number: int, demand: float) -> None:
        slots.work(demand)
        ended.append((number, time.monotonic() - start))

    threads = []
    for number, demand in enumerate(demands):
        waiting = slots.totals().queue
        thread = threading.Thread(target=one, args=(number, demand))
        thread.start()
        threads.append(thread)
        deadline = time.monotonic() + 1.0
        while number and slots.totals().queue == waiting and time.monotonic() < deadline:
            time.sleep(0.0005)
    for thread in threads:
        thread.join(10.0)
    return ended


def test_one_slot_works_on_one_request_at_a_time_in_order_of_arrival() -> None:
    ended = work_in_turn(Slots(1), [0.1] + [0.02] * 8)
    assert [number for number, _ in ended] == list(range(9))
    assert ended[-1][1] == pytest.approx(0.1 + 8 * 0.02, abs=SLACK_S)


def test_a_short_request_does_not_overtake_a_long_one_that_waits() -> None:
    ended = work_in_turn(Slots(1), [0.05, 0.1, 0.001])
    assert [number for number, _ in ended] == [0, 1, 2]


def test_as_many_requests_as_slots_are_worked_on_at_once() -> None:
    slots = Slots(4)
    threads = [threading.Thread(target=slots.work, args=(0.1,)) for _ in range(8)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)
    assert 0.2 <= time.monotonic() - start < 0.2 + SLACK_S


def test_a_slow_replica_takes_its_factor_longer() -> None:
    slots = Slots(1, slow=3.0)
    start = time.monotonic()
    slots.work(0.05)
    assert 0.15 <= time.monotonic() - start < 0.15 + SLACK_S
    assert slots.totals().busy_seconds == pytest.approx(0.15)
    assert slots.totals().demand_seconds == pytest.approx(0.05)


def test_overshoot_does_not_add_up_in_a_queue() -> None:
    """In the best of several rounds: what adds up does so in all, a busy machine delays only some."""
    lasts = []
    while len(lasts) < 5 and (not lasts or lasts[-1] > 0.3 + SLACK_S):
        lasts.append(work_in_turn(Slots(1), [0.1] + [0.002] * 100)[-1][1])
    assert min(lasts) == pytest.approx(0.1 + 100 * 0.002, abs=SLACK_S)


def test_work_never_ends_early_and_lateness_is_reported() -> None:
    slots = Slots(1)
    for _ in range(20):
        start = time.monotonic()
        slots.work(0.005)
        assert time.monotonic() - start >= 0.005
    totals = slots.totals()
    assert totals.requests == 20
    assert totals.busy_seconds == pytest.approx(0.1)
    assert 0 < totals.late_seconds / 20 < 0.01


def test_the_largest_queue_is_remembered() -> None:
    slots = Slots(1)
    work_in_turn(slots, [0.05, 0.001, 0.001, 0.001])
    assert slots.totals().largest_queue == 3
    assert slots.totals().queue == 0
