"""The cache's index: what is stored, how long it stays fresh, and what must go."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.eviction import Fifo, Lru, eviction_policies
from policies.http_cache.index import ObjectCache


@pytest.fixture
def cache() -> ObjectCache[str]:
    return ObjectCache(Lru(100))


def test_a_stored_object_is_found_until_it_expires(cache: ObjectCache[str]) -> None:
    assert cache.store("/a", "body", 10, fresh_until=5.0, now=1.0)
    assert cache.lookup("/a", 1.0) == "body"
    assert cache.lookup("/a", 4.999) == "body"
    assert cache.lookup("/a", 5.0) is None, "fresh before the limit, not at it"


def test_an_expired_object_is_dropped_with_its_bytes(cache: ObjectCache[str]) -> None:
    cache.store("/a", "body", 10, fresh_until=5.0, now=1.0)
    cache.lookup("/a", 6.0)
    assert (len(cache), cache.eviction.used, "/a" in cache.eviction) == (0, 0, False)


def test_what_was_never_stored_is_not_found(cache: ObjectCache[str]) -> None:
    assert cache.lookup("/a", 0.0) is None
    assert not cache.discard("/a")


@pytest.mark.parametrize("fresh_until", [1.0, 0.5, -1.0])
def test_an_object_that_is_stale_already_is_not_stored(cache: ObjectCache[str], fresh_until: float) -> None:
    assert not cache.store("/a", "body", 10, fresh_until, now=1.0)
    assert (len(cache), cache.eviction.used) == (0, 0)


def test_a_stale_answer_ends_the_one_before(cache: ObjectCache[str]) -> None:
    cache.store("/a", "old", 10, fresh_until=9.0, now=1.0)
    assert not cache.store("/a", "new", 10, fresh_until=2.0, now=2.0)
    assert cache.lookup("/a", 2.0) is None


def test_storing_again_replaces_value_size_and_limit(cache: ObjectCache[str]) -> None:
    cache.store("/a", "old", 10, fresh_until=3.0, now=1.0)
    assert cache.store("/a", "new", 30, fresh_until=9.0, now=2.0)
    assert cache.lookup("/a", 5.0) == "new"
    assert (len(cache), cache.eviction.used) == (1, 30)


def test_an_object_larger_than_the_cache_is_refused(cache: ObjectCache[str]) -> None:
    cache.store("/b", "kept", 10, fresh_until=9.0, now=0.0)
    assert not cache.store("/a", "body", 101, fresh_until=9.0, now=0.0)
    assert cache.lookup("/a", 0.0) is None and cache.lookup("/b", 0.0) == "kept"


def test_an_object_that_grew_beyond_the_cache_is_not_served_from_before(cache: ObjectCache[str]) -> None:
    cache.store("/a", "small", 10, fresh_until=9.0, now=0.0)
    assert not cache.store("/a", "large", 101, fresh_until=9.0, now=0.0)
    assert cache.lookup("/a", 0.0) is None and len(cache) == 0


def test_what_the_policy_evicts_is_not_found_any_more(cache: ObjectCache[str]) -> None:
    for key in "abc":
        cache.store(key, key, 40, fresh_until=9.0, now=0.0)
    assert [cache.lookup(key, 0.0) for key in "abc"] == [None, "b", "c"]


def test_a_lookup_counts_as_a_request_for_the_policy(cache: ObjectCache[str]) -> None:
    cache.store("a", "a", 40, fresh_until=9.0, now=0.0)
    cache.store("b", "b", 40, fresh_until=9.0, now=0.0)
    cache.lookup("a", 1.0)
    cache.store("c", "c", 40, fresh_until=9.0, now=2.0)
    assert [cache.lookup(key, 3.0) for key in "abc"] == ["a", None, "c"]


def test_a_policy_may_refuse_the_newcomer() -> None:
    class Closed(Fifo):
        def insert(self, key: object, size: int, now: float) -> list[object]:
            return [key] if len(self) == 1 else super().insert(key, size, now)

    cache: ObjectCache[str] = ObjectCache(Closed(100))
    assert cache.store("a", "a", 1, fresh_until=9.0, now=0.0)
    assert not cache.store("b", "b", 1, fresh_until=9.0, now=0.0)
    assert (len(cache), cache.lookup("a", 0.0), cache.lookup("b", 0.0)) == (1, "a", None)


def test_a_discarded_object_is_gone(cache: ObjectCache[str]) -> None:
    cache.store("/a", "body", 10, fresh_until=5.0, now=1.0)
    assert cache.discard("/a")
    assert not cache.discard("/a")
    assert (cache.lookup("/a", 1.0), len(cache), cache.eviction.used) == (None, 0, 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["lookup", "lookup", "store", "store", "discard"]),
        st.sampled_from("abcdef"),
        st.integers(0, 12),  # size
        st.integers(-1, 20),  # lifetime
        st.integers(0, 3),  # time that passes
    ),
    max_size=60,
)


@pytest.mark.parametrize("policy", eviction_policies.names())
@given(steps=STEPS, capacity=st.integers(0, 25))
def test_it_answers_like_a_dictionary_that_forgets(
    policy: str, steps: list[tuple[str, str, int, int, int]], capacity: int
) -> None:
    """Which keys are evicted is the policy's; whatever is found is the latest value, and fresh."""
    cache: ObjectCache[int] = ObjectCache(eviction_policies[policy](capacity, rng=random.Random(1)))
    known: dict[str, tuple[int, float]] = {}
    now = 0
    for number, (step, key, size, lifetime, passed) in enumerate(steps):
        now += passed
        if step == "lookup":
            value, fresh_until = known.get(key, (None, now))
            stored = key in cache.eviction
            assert cache.lookup(key, now) == (value if stored and now < fresh_until else None)
        elif step == "store":
            known[key] = (number, now + lifetime)
            kept = cache.store(key, number, size, now + lifetime, now)
            assert kept is (key in cache.eviction)
            assert not kept or (lifetime > 0 and size <= capacity)
        else:
            stored = key in cache.eviction
            assert cache.discard(key) is stored
            known.pop(key, None)
            assert key not in cache.eviction
        assert len(cache) == len(cache.eviction) and cache.eviction.used <= capacity
        assert all(key in known for key in "abcdef" if key in cache.eviction)
