"""The bounded queue: its order, its limit, and a limit that changes."""

import random

from hypothesis import given
from hypothesis import strategies as st

from policies.balancing import Upstreams
from policies.concurrency import Fixed
from policies.resilience import BoundedQueue, Precautions
from policies.settings import Service


def test_the_newest_proceeds_first_with_lifo() -> None:
    queue = BoundedQueue[str](1, 1.0, "lifo")
    assert [queue.enter(ticket, 0.0) for ticket in "abcd"] == [True, False, False, False]
    assert queue.give_up("d")
    assert [queue.leave(1.0) for _ in range(3)] == [["c"], ["b"], []]


def test_a_limit_that_grew_admits_several_and_one_that_fell_admits_nobody() -> None:
    limit = Fixed(2, rng=random.Random(1))
    queue = BoundedQueue[str](limit, 1.0)
    assert [queue.enter(ticket, 0.0) for ticket in "abcdef"] == [True, True] + [False] * 4
    limit.value = 4.0
    assert queue.leave(1.0) == ["c", "d", "e"]
    limit.value = 2.0
    assert [queue.leave(1.0), queue.leave(1.0), queue.leave(1.0)] == [[], [], ["f"]]
    limit.value = 0.5
    assert queue.most(1.0) == 1


def test_no_more_wait_than_there_is_room_for() -> None:
    queue = BoundedQueue[str](1, 1.0, length=2)
    assert [queue.enter(ticket, 0.0) for ticket in "abcd"] == [True, False, False, False]
    assert [queue.waits(ticket) for ticket in "abcd"] == [False, True, True, False]
    assert queue.leave(1.0) == ["b"]
    assert not queue.enter("e", 1.0)
    assert queue.waits("e")


STEPS = st.lists(
    st.tuples(st.sampled_from(["enter", "leave", "give_up", "limit"]), st.integers(0, 9)), max_size=100
)


@given(STEPS, st.sampled_from(["fifo", "lifo"]))
def test_no_more_are_admitted_than_the_limit_and_nobody_is_lost(
    steps: list[tuple[str, int]], order: str
) -> None:
    limit = Fixed(3, rng=random.Random(1))
    queue = BoundedQueue[int](limit, 1.0, order)  # type: ignore[arg-type]
    running, waiting = 0, list[int]()
    for ticket, (step, number) in enumerate(steps):
        if step == "enter":
            admitted = queue.enter(ticket, 0.0)
            assert admitted == (running < limit.limit(0.0))
            running += admitted
            waiting += [] if admitted else [ticket]
        elif step == "leave" and running:
            released = queue.leave(0.0)
            running += len(released) - 1
            for each in released:
                assert each == waiting.pop(-1 if order == "lifo" else 0)
            assert not waiting or running >= limit.limit(0.0)
        elif step == "give_up" and waiting:
            other = waiting.pop(number % len(waiting))
            assert queue.give_up(other)
            assert not queue.give_up(other)
        elif step == "limit":
            limit.value = float(max(1, number))
        assert (queue.in_flight, queue.waiting) == (running, len(waiting))


def test_the_limit_rules_and_the_queue_waits() -> None:
    def queue_of(**keys: object) -> BoundedQueue[object] | None:
        return Precautions(Service.model_validate({"upstreams": "h:1", **keys}), Upstreams([1.0])).queue

    assert queue_of() is None
    both = queue_of(limit=7, queue={"in_flight": 3, "wait": "2s", "order": "lifo"})
    assert both is not None
    assert (both.most(0.0), both.wait) == (7, 2.0)
    alone = queue_of(limit={"policy": "vegas"})
    assert alone is not None
    assert (alone.most(0.0), alone.wait) == (20, 0.0)
    fixed = queue_of(queue={"in_flight": 3})
    assert fixed is not None
    assert (fixed.most(0.0), fixed.limit) == (3, None)
