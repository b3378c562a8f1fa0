"""Join idle queue: the longest idle first, then by chance."""

import random
from collections import Counter

from policies.balancing import Dispatch


def test_the_idle_ones_go_in_turn_before_any_gets_a_second_request() -> None:
    dispatch = Dispatch("join_idle_queue", [1.0] * 5, random.Random(1))
    assert [dispatch.start(None, now) for now in range(5)] == [0, 1, 2, 3, 4]


def test_who_becomes_idle_queues_up_at_the_end() -> None:
    dispatch = Dispatch("join_idle_queue", [1.0] * 4, random.Random(1))
    for now in range(3):
        dispatch.start(None, now)
    dispatch.finish(1, 0.1, 3.0)
    dispatch.finish(0, 0.1, 3.5)
    assert [dispatch.start(None, 4.0) for _ in range(3)] == [3, 1, 0]


def test_one_with_a_request_left_is_not_idle() -> None:
    dispatch = Dispatch("join_idle_queue", [1.0] * 2, random.Random(1))
    picked = [dispatch.start(None, 0.0) for _ in range(6)]
    busier = max((0, 1), key=picked.count)
    dispatch.finish(busier, 0.1, 1.0)
    assert dispatch.upstreams.load[busier] > 0 and not dispatch.balancer._idle


def test_without_an_idle_one_all_are_equally_likely(balancer, uniform) -> None:
    picks = balancer("join_idle_queue", [3, 1, 9])
    picked = Counter(picks.pick(None, 0.0) for _ in range(15_000))
    assert uniform([picked[index] for index in range(3)])


def test_one_that_comes_back_idle_joins_the_queue() -> None:
    dispatch = Dispatch("join_idle_queue", [1.0] * 3, random.Random(1))
    dispatch.upstreams.mark_down(1)
    assert [dispatch.start(None, 0.0) for _ in range(2)] == [0, 2]
    dispatch.upstreams.mark_up(1, 1.0)
    dispatch.finish(2, 0.1, 2.0)
    assert {dispatch.start(None, 3.0) for _ in range(2)} == {1, 2}
