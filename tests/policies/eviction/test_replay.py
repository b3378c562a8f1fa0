"""A policy may have a faster loop to replay many requests; its results must equal those of `request`."""

import random
from collections.abc import Hashable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.eviction import EvictionPolicy, eviction_policies

REQUESTS = st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(0, 14)), max_size=80)
own_loop = [name for name in eviction_policies.names() if "_replay" in vars(eviction_policies[name])]


def state_of(cache: EvictionPolicy) -> tuple[object, ...]:
    """What is stored, and in which order it would go."""
    stored = {key: size for key, size in cache._sizes.items() if key in cache}
    used, order = cache.used, []
    while len(cache):
        order.append(cache._drop(1e9))
    return stored, used, order


def test_the_policies_that_must_be_fast_have_a_loop_of_their_own() -> None:
    assert own_loop == ["lru", "sieve"]


@pytest.mark.parametrize("policy", own_loop)
@settings(max_examples=300)
@given(
    capacity=st.integers(0, 40), requests=REQUESTS, cut=st.integers(0, 80), gone=st.sampled_from("abcdefghij")
)
@example(capacity=0, requests=[("a", 0), ("a", 0), ("b", 1)], cut=1, gone="a")
@example(capacity=3, requests=[("a", 1), ("b", 1), ("a", 1), ("c", 1), ("d", 1), ("a", 1)], cut=3, gone="b")
def test_a_replay_answers_and_leaves_what_single_requests_do(
    policy: str, capacity: int, requests: list[tuple[str, int]], cut: int, gone: str
) -> None:
    one_by_one, at_once = (eviction_policies[policy](capacity, rng=random.Random(1)) for _ in range(2))
    for part in (requests[:cut], requests[cut:]):  # a removal in between: a replay goes on from any state
        keys, sizes = [key for key, _ in part], [size for _, size in part]
        times = [float(i) for i in range(len(part))]
        assert at_once.replay(keys, sizes, times) == [
            one_by_one.request(key, size, now) for key, size, now in zip(keys, sizes, times, strict=True)
        ]
        for cache in (one_by_one, at_once):
            cache.remove(gone)
    assert state_of(one_by_one) == state_of(at_once)


@pytest.mark.parametrize("policy", eviction_policies.names())
def test_every_policy_can_replay(policy: str) -> None:
    keys = random.Random(2).choices(range(60), k=2_000)
    sizes = [key % 7 + 1 for key in keys]
    one_by_one, at_once = (eviction_policies[policy](100, rng=random.Random(1)) for _ in range(2))
    hits = [
        one_by_one.request(key, size, float(now))
        for now, (key, size) in enumerate(zip(keys, sizes, strict=True))
    ]
    assert at_once.replay(keys, sizes, [float(now) for now in range(2_000)]) == hits
    assert any(hits) and not all(hits)


@pytest.mark.parametrize("policy", own_loop)
def test_a_class_derived_from_it_is_replayed_as_it_decides_itself(policy: str) -> None:
    """A derived policy, as in a notebook: it evicts the most recently requested object."""

    class LastIn(eviction_policies[policy]):
        def _evict(self, now: float) -> Hashable:
            self._forget(victim := next(reversed(self._sizes)))
            return victim

    assert LastIn(2).replay(["a", "b", "c", "a", "b"], [1] * 5, [0.0] * 5) == [False] * 3 + [True, False]
