"""The contract of every registered eviction policy."""

import random
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.eviction import FREE_HEAD, EvictionPolicy, charged_size, eviction_policies

every_policy = pytest.mark.parametrize("policy", eviction_policies.names())

KEYS = st.sampled_from("abcdefghij")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), KEYS, st.integers(0, 14)),
        st.tuples(st.just("request"), KEYS, st.integers(0, 14)),
        st.tuples(st.just("remove"), KEYS, st.just(0)),
    ),
    max_size=60,
)


def cache_of(policy: str, capacity: int, seed: int = 7) -> EvictionPolicy:
    return eviction_policies[policy](capacity, rng=random.Random(seed))


def insert(cache: EvictionPolicy, held: dict[str, int], key: str, size: int, now: float) -> list[str]:
    """Insert and hold the answer against `held`, a plain dictionary of what must be stored."""
    before = dict(held)
    gone = cache.insert(key, size, now)
    held[key] = size
    assert len(set(gone)) == len(gone) and set(gone) <= held.keys()
    assert [key] == gone or size <= cache.capacity
    sizes = {**before, key: size}
    for victim in gone:
        del held[victim]
    if gone and gone != [key]:
        assert sum(held.values()) + sizes[gone[-1]] > cache.capacity, "the last one need not have gone"
    return gone


def follow(cache: EvictionPolicy, steps: list[tuple[str, str, int]]) -> list[object]:
    """Take all steps, checking the cache against a plain dictionary; returns what it answered."""
    held: dict[str, int] = {}
    answers: list[object] = []
    for now, (step, key, size) in enumerate(steps):
        if step == "insert":
            answers.append(insert(cache, held, key, size, now))
        elif step == "remove":
            cache.remove(key)
            held.pop(key, None)
        elif key in held and size <= cache.capacity:
            assert cache.request(key, size, now)
        else:
            assert not cache.request(key, size, now)
            if key in cache:
                held[key] = size
            left = {other for other in held if other not in cache}
            answers.append(left)
            for victim in left:
                del held[victim]
        assert {key for key in "abcdefghij" if key in cache} == held.keys()
        assert len(cache) == len(held)
        assert cache.used == sum(held.values()) <= cache.capacity
    return answers


@every_policy
@given(capacity=st.integers(0, 30), steps=STEPS)
@example(capacity=0, steps=[("insert", "a", 1), ("request", "b", 0), ("insert", "a", 0), ("remove", "b", 0)])
@example(capacity=9, steps=[("insert", key, 0) for key in "abcabc"] + [("insert", "d", 9)])
def test_it_holds_exactly_what_a_plain_set_would_hold(
    policy: str, capacity: int, steps: list[tuple[str, str, int]]
) -> None:
    follow(cache_of(policy, capacity), steps)


@every_policy
@settings(max_examples=30)
@given(capacity=st.integers(0, 30), steps=STEPS, seed=st.integers(0, 99))
def test_the_same_chance_gives_the_same_answers(
    policy: str, capacity: int, steps: list[tuple[str, str, int]], seed: int
) -> None:
    assert follow(cache_of(policy, capacity, seed), steps) == follow(cache_of(policy, capacity, seed), steps)


@every_policy
def test_what_fits_evicts_nothing(policy: str) -> None:
    cache = cache_of(policy, 100)
    assert [cache.insert(key, 10, 0.0) for key in range(10)] == [[]] * 10
    assert cache.used == 100


@every_policy
def test_an_object_larger_than_the_cache_is_refused_and_spares_the_others(policy: str) -> None:
    cache = cache_of(policy, 10)
    cache.insert("a", 4, 0.0)
    cache.insert("b", 4, 1.0)
    assert cache.insert("c", 11, 2.0) == ["c"]
    assert "a" in cache and "b" in cache and "c" not in cache and cache.used == 8


@every_policy
def test_a_stored_object_that_grew_beyond_the_cache_goes(policy: str) -> None:
    cache = cache_of(policy, 10)
    cache.insert("a", 4, 0.0)
    cache.insert("b", 4, 1.0)
    assert cache.insert("a", 11, 2.0) == ["a"]
    assert "a" not in cache and "b" in cache and cache.used == 4


@every_policy
def test_a_request_for_an_object_that_outgrew_the_cache_is_a_miss(policy: str) -> None:
    """No cache of 17 bytes answers with 20 bytes; one by one and in the fast loop (case 15)."""
    requests = [("a", 10), ("a", 20), ("a", 5), ("b", 7), ("a", 100), ("b", 8), ("b", 17)]
    cache, fast = cache_of(policy, 17), cache_of(policy, 17)
    hits = [cache.request(key, size, now) for now, (key, size) in enumerate(requests)]
    assert hits == [False, False, False, False, False, True, True]
    assert fast.replay(*zip(*requests, strict=True), range(len(requests))) == hits
    assert ("a" in cache, "b" in cache, cache.used) == ("a" in fast, "b" in fast, fast.used)
    assert (cache.used, len(cache)) == (7, 1)


@every_policy
def test_a_stored_object_takes_its_new_size(policy: str) -> None:
    cache = cache_of(policy, 100)
    for size in (40, 10, 70, 70):
        assert cache.insert("a", size, 0.0) == []
        assert (cache.used, len(cache)) == (size, 1)


@every_policy
def test_an_object_as_large_as_the_cache_may_have_it_all(policy: str) -> None:
    cache = cache_of(policy, 30)
    for key in "abc":
        cache.insert(key, 10, 0.0)
    assert sorted(cache.insert("d", 30, 1.0)) in (["a", "b", "c"], ["d"])
    assert cache.used == 30


@every_policy
def test_a_removed_object_is_gone_and_may_come_back(policy: str) -> None:
    cache = cache_of(policy, 10)
    cache.insert("a", 3, 0.0)
    cache.remove("a")
    cache.remove("a")
    assert ("a" in cache, len(cache), cache.used) == (False, 0, 0)
    assert not cache.request("a", 3, 1.0)
    assert cache.request("a", 3, 2.0)


@every_policy
def test_every_object_can_be_removed_whatever_came_before(policy: str) -> None:
    cache = cache_of(policy, 20)
    chance = random.Random(3)
    for now in range(2000):
        cache.request(chance.randrange(40), chance.randrange(1, 5), now)
    for key in range(40):
        cache.remove(key)
    assert (len(cache), cache.used) == (0, 0)
    assert [cache.insert(key, 5, 9e9) for key in "abcd"] == [[]] * 4


@every_policy
def test_a_hit_changes_neither_what_is_stored_nor_the_bytes(policy: str) -> None:
    cache = cache_of(policy, 10)
    for key in "abc":
        cache.insert(key, 3, 0.0)
    assert cache.request("b", 9, 1.0), "a hit does not look at the size"
    assert all(key in cache for key in "abc") and cache.used == 9


@every_policy
def test_without_capacity_nothing_stays(policy: str) -> None:
    cache = cache_of(policy, 0)
    assert [cache.request("a", 1, now) for now in range(3)] == [False] * 3
    assert (len(cache), cache.used) == (0, 0)


@every_policy
def test_a_negative_capacity_is_refused(policy: str) -> None:
    with pytest.raises(ValueError, match="capacity must not be negative, not -1"):
        cache_of(policy, -1)


@every_policy
def test_it_needs_no_generator_of_its_own_and_is_repeatable_without_one(policy: str) -> None:
    def misses() -> list[bool]:
        cache, chance = eviction_policies[policy](20), random.Random(5)
        return [cache.request(chance.randrange(60), 1, now) for now in range(500)]

    assert misses() == misses()


@every_policy
def test_it_asks_no_clock_and_no_shared_generator(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("`now` and `rng` are handed in")

    keys = random.Random(1).choices(range(50), k=400)
    cache = cache_of(policy, 20)
    for clock in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"):
        monkeypatch.setattr(time, clock, forbidden)
    for chance in ("random", "randrange", "randint", "choice", "choices", "shuffle", "sample"):
        monkeypatch.setattr(random, chance, forbidden)
    hits = [cache.request(key, 1, now) for now, key in enumerate(keys)]
    monkeypatch.undo()
    assert any(hits) and not all(hits)


@every_policy
def test_popular_objects_are_found_more_often_than_by_luck(policy: str) -> None:
    """A tenth of the objects fits; with equal popularity a tenth of the requests would hit."""
    cache, chance = cache_of(policy, 50), random.Random(2)
    hits = sum(cache.request(int(500 * chance.random() ** 3), 1, now) for now in range(20_000))
    assert hits / 20_000 > 0.25


def test_an_object_is_charged_for_its_body_its_overhead_and_a_huge_head() -> None:
    assert charged_size(0) == 0
    assert charged_size(1000, head=FREE_HEAD) == 1000
    assert charged_size(1000, 512, FREE_HEAD) == 1512
    assert charged_size(1000, 512, FREE_HEAD + 7) == 1519


@every_policy
@given(capacity=st.integers(0, 30), objects=st.integers(1, 6), steps=STEPS)
def test_it_holds_no_more_objects_than_it_may(
    policy: str, capacity: int, objects: int, steps: list[tuple[str, str, int]]
) -> None:
    cache = cache_of(policy, capacity)
    cache.objects = objects
    held: dict[str, int] = {}
    for now, (step, key, size) in enumerate(steps):
        if step == "remove":
            cache.remove(key)
            held.pop(key, None)
        elif step == "request" and key in held and size <= capacity:
            assert cache.request(key, size, now)
        else:
            gone = cache.insert(key, size, now)
            held[key] = size
            assert len(set(gone)) == len(gone) and set(gone) <= held.keys()
            for victim in gone:
                del held[victim]
        assert {other for other in "abcdefghij" if other in cache} == held.keys()
        assert cache.used == sum(held.values()) <= capacity
        assert len(cache) <= objects


@every_policy
def test_what_must_go_because_there_are_too_many_is_counted(policy: str) -> None:
    cache = cache_of(policy, 100)
    cache.objects = 3
    for key in range(5):
        cache.request(key, 1, key)
    assert len(cache) == 3
    assert cache.crowded_out == 2
    cache.remove(next(key for key in range(5) if key in cache))
    cache.insert("wide", 98, 9.0)
    assert (len(cache), cache.crowded_out) == (3, 2) or cache.used <= 100
