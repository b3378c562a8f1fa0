"""Every admission policy before every eviction policy: together they are an eviction policy."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.admission import Admission, Gated, admission_policies
from policies.eviction import eviction_policies

WRITTEN = {"size": "size(8)"}
"""How settings write those that take something."""

every_pair = pytest.mark.parametrize(
    ("policy", "admission"),
    [
        (policy, WRITTEN.get(name, name))
        for policy in eviction_policies.names()
        for name in admission_policies.names()
    ],
)

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "request", "request", "remove"]),
        st.sampled_from("abcdefghij"),
        st.integers(0, 14),
    ),
    max_size=60,
)


class Open(Admission):
    """Admits everything."""

    def admits(self, key: object, size: int, stored: bool) -> bool:
        return True


@every_pair
@settings(max_examples=20)
@given(capacity=st.integers(0, 30), steps=STEPS)
def test_it_holds_exactly_what_it_says(
    policy: str, admission: str, gated, capacity: int, steps: list[tuple[str, str, int]]
) -> None:
    cache = gated(policy, admission, capacity)
    held: dict[str, int] = {}
    for now, (step, key, size) in enumerate(steps):
        if step == "remove":
            cache.remove(key)
            held.pop(key, None)
        elif step == "request":
            before = key in held and size <= capacity  # what is larger than the cache is of no use
            assert cache.request(key, size, now) == before
            if not before:
                held[key] = size
            held = {other: held[other] for other in held if other in cache}
        else:
            gone = cache.insert(key, size, now)
            held[key] = size
            assert len(set(gone)) == len(gone) and set(gone) <= held.keys()
            held = {other: held[other] for other in held if other not in gone}
        assert {key for key in "abcdefghij" if key in cache} == held.keys()
        assert len(cache) == len(held) and cache.used == sum(held.values()) <= capacity
        inside = {key for key in held if key in cache.policy}
        assert inside | set(cache._victims) == held.keys() and not inside & set(cache._victims)
        assert cache.policy.used == sum(held[key] for key in inside)


@pytest.mark.parametrize("policy", eviction_policies.names())
@settings(max_examples=40)
@given(capacity=st.integers(0, 30), steps=STEPS)
def test_a_door_that_is_open_changes_nothing(
    policy: str, capacity: int, steps: list[tuple[str, str, int]]
) -> None:
    plain = eviction_policies[policy](capacity, rng=random.Random(7))
    guarded = Gated(eviction_policies[policy](capacity, rng=random.Random(7)), Open(capacity))
    for now, (step, key, size) in enumerate(steps):
        if step == "remove":
            plain.remove(key)
            guarded.remove(key)
        elif step == "request":
            assert guarded.request(key, size, now) == plain.request(key, size, now)
        else:
            assert guarded.insert(key, size, now) == plain.insert(key, size, now)
        assert guarded.used == plain.used


@every_pair
def test_popular_objects_are_found_more_often_than_by_luck(policy: str, admission: str, gated) -> None:
    cache, chance = gated(policy, admission, 50), random.Random(2)
    hits = sum(cache.request(int(500 * chance.random() ** 3), 1, now) for now in range(8_000))
    assert hits / 8_000 > 0.25
