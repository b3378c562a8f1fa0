"""LRU: what was asked for longest ago goes first; it has an exact theory on every trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.eviction import Lru


def test_a_hit_saves_an_object_from_going_next(play) -> None:
    assert play("lru", 3, "a b c a d b") == "+a +b +c !a -b+d -c+b"


def test_storing_an_object_anew_counts_as_a_request(play) -> None:
    assert play("lru", 10, "a4 b4 a6 c2 d2") == "+a +b =a -b+c +d"


def test_large_objects_push_out_several_in_their_order(play) -> None:
    assert play("lru", 10, "a2 b3 c5 a d6") == "+a +b +c !a -b-c+d"


def test_a_removed_object_leaves_the_order_of_the_others(play) -> None:
    assert play("lru", 3, "a b c a ~b d e") == "+a +b +c !a ~b +d -c+e"


def stack_distances(keys: list[int]) -> list[float]:
    """Different keys since the last request for the same key (Mattson 1970); infinite for the first."""
    stack: list[int] = []
    distances = []
    for key in keys:
        distances.append(stack.index(key) if key in stack else float("inf"))
        if key in stack:
            stack.remove(key)
        stack.insert(0, key)
    return distances


@given(keys=st.lists(st.integers(0, 12), max_size=80), capacity=st.integers(0, 10))
def test_a_request_hits_exactly_if_its_stack_distance_is_below_the_capacity(
    keys: list[int], capacity: int
) -> None:
    cache = Lru(capacity)
    hits = [cache.request(key, 1, now) for now, key in enumerate(keys)]
    assert hits == [distance < capacity for distance in stack_distances(keys)]


@pytest.mark.parametrize("capacity", [1, 10, 100])
def test_stack_distances_on_a_long_trace(zipf, capacity: int) -> None:
    keys = zipf(5_000, 300, 0.8)
    cache = Lru(capacity)
    assert [cache.request(key, 1, 0.0) for key in keys] == [d < capacity for d in stack_distances(keys)]
