"""Belady's MIN: no policy that stores every miss has fewer misses."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.bad_input import BadInput
from policies.eviction import Belady, check_online, eviction_policies, next_uses, offline_policies
from policies.settings import parse_settings

TRACES = st.lists(st.integers(0, 5), min_size=1, max_size=16)


def misses(keys: list[int], capacity: int) -> int:
    cache = Belady(capacity, next_uses(keys))
    return sum(not cache.request(key, 1, now) for now, key in enumerate(keys))


def fewest_misses(keys: tuple[int, ...], capacity: int) -> int:
    """Try every victim at every miss."""

    @cache
    def fewest(position: int, stored: frozenset[int]) -> int:
        if position == len(keys):
            return 0
        key = keys[position]
        if key in stored:
            return fewest(position + 1, stored)
        if len(stored) < capacity:
            return 1 + fewest(position + 1, stored | {key})
        return 1 + min(fewest(position + 1, stored - {victim} | {key}) for victim in stored)

    return fewest(0, frozenset())


@settings(max_examples=150)
@given(keys=TRACES, capacity=st.integers(1, 4))
def test_no_choice_of_victims_has_fewer_misses(keys: list[int], capacity: int) -> None:
    assert misses(keys, capacity) == fewest_misses(tuple(keys), capacity)


@pytest.mark.parametrize("policy", eviction_policies.names())
def test_no_online_policy_has_fewer_misses(policy: str, zipf) -> None:
    keys = zipf(20_000, 1_000, 0.9)
    cache = eviction_policies[policy](60)
    assert misses(keys, 60) < sum(not cache.request(key, 1, now) for now, key in enumerate(keys))


def test_it_evicts_what_is_asked_for_last() -> None:
    keys = list("abcdabec")
    cache = Belady(3, next_uses(keys))
    gone = []
    for now, key in enumerate(keys):
        if key in cache:
            cache.touch(key, now)
        else:
            gone += cache.insert(key, 1, now)
    assert gone[0] == "c" and len(gone) == 3


@given(keys=TRACES)
def test_next_uses_are_the_positions_of_the_next_requests(keys: list[int]) -> None:
    found = next_uses(keys)
    for position, (key, following) in enumerate(zip(keys, found, strict=True)):
        later = keys[position + 1 :]
        if key in later:
            assert following == position + 1 + later.index(key)
        else:
            assert following >= len(keys)
    assert len(set(found)) == len(found)


def test_what_is_too_large_is_passed_over_and_the_future_goes_on() -> None:
    # c pushes out b, which is asked for after a.
    keys = list("xabcab")
    cache = Belady(2, next_uses(keys))
    hits = [cache.request(key, 9 if key == "x" else 1, now) for now, key in enumerate(keys)]
    assert hits == [False, False, False, False, True, False]


def test_removed_objects_are_gone() -> None:
    cache = Belady(2, next_uses("abab"))
    cache.request("a", 1, 0.0)
    cache.request("b", 1, 1.0)
    cache.remove("a")
    assert "a" not in cache and cache.used == 1
    assert not cache.request("a", 1, 2.0)
    assert cache.request("b", 1, 3.0)


def test_no_cache_that_answers_now_can_have_it() -> None:
    expected = "'belady' needs to know the future: it is a bound for traces, not for a cache"
    with pytest.raises(BadInput) as caught:
        parse_settings({"forward": {}, "cache": {"policy": "belady"}})
    assert str(caught.value) == f"settings: cache.policy: {expected}"
    assert "belady" not in eviction_policies.names() and offline_policies["belady"] is Belady
    assert check_online("lru") == "lru"
