"""What eviction policies are built from: a queue that counts bytes, and a heap of changing ranks."""

from hypothesis import given
from hypothesis import strategies as st

from policies.eviction.byte_queue import ByteQueue
from policies.eviction.lowest_first import LowestFirst

STEPS = st.lists(st.tuples(st.sampled_from(["put", "put", "remove", "pop"]), st.integers(0, 6)), max_size=200)


@given(steps=STEPS, ranks=st.lists(st.integers(-50, 50), min_size=200, max_size=200))
def test_the_lowest_rank_comes_first_however_ranks_changed(
    steps: list[tuple[str, int]], ranks: list[int]
) -> None:
    queue: LowestFirst[tuple[float, int]] = LowestFirst()
    expected: dict[int, tuple[float, int]] = {}
    for number, (step, key) in enumerate(steps):
        if step == "put":
            expected[key] = (ranks[number], number)
            queue.put(key, expected[key])
        elif step == "remove" and key in expected:
            queue.remove(key)
            del expected[key]
        elif step == "pop" and expected:
            lowest = min(expected, key=expected.__getitem__)
            assert queue.pop() == (lowest, expected.pop(lowest))


def test_what_became_invalid_takes_no_memory_for_long() -> None:
    queue: LowestFirst[int] = LowestFirst()
    for number in range(10_000):
        queue.put("a", -number)
        queue.put("b", number)
        queue.remove("b")
    assert len(queue._heap) < 100
    assert queue.pop() == ("a", -9_999)


def test_a_byte_queue_counts_what_it_holds() -> None:
    queue = ByteQueue()
    for key, size in (("a", 1), ("b", 2), ("c", 4)):
        queue.push(key, size)
    queue.renew("a")
    queue.grow("c", 10)
    assert (queue.oldest(), len(queue), queue.used, "b" in queue) == ("b", 3, 17, True)
    assert queue.pop_oldest() == ("b", 2)
    assert queue.remove("c") == 14
    assert (queue.used, "c" in queue, bool(queue)) == (1, False, True)
