"""Counts that share counters: never too low, close if there is room, bounded in memory."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.eviction import Popularity, PopularitySketch, WTinyLfu
from policies.eviction.popularity_sketch import two_hashes

KEYS = st.one_of(st.integers(), st.text(max_size=3), st.binary(max_size=3))


@settings(max_examples=50)
@given(keys=st.lists(KEYS, max_size=60), counters=st.integers(4, 30))
def test_no_count_is_too_low(keys: list[object], counters: int) -> None:
    sketch = PopularitySketch(counters, most=100, sample=0)
    for key in keys:
        sketch.add(key)
    assert all(sketch[key] >= asked for key, asked in Counter(keys).items())


def test_with_room_counts_are_exact() -> None:
    sketch = PopularitySketch(50_000, sample=0)
    for key in range(200):
        for _ in range(key % 16):
            sketch.add(key)
    assert [sketch[key] for key in range(200)] == [key % 16 for key in range(200)]


def test_a_crowd_of_keys_makes_each_look_popular() -> None:
    sketch = PopularitySketch(100, sample=0)
    for key in range(2_000):
        sketch.add(key)
    assert sketch["never asked for"] == 15


def test_counts_are_halved_after_a_sample_and_then_after_each_half_of_it() -> None:
    sketch = PopularitySketch(1_000, sample=8)
    counts = []
    for _ in range(16):
        sketch.add("a")
        counts.append(sketch["a"])
    assert counts == [1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4]


def test_the_default_sample_is_ten_requests_for_sixteen_counters() -> None:
    sketch = PopularitySketch(160)
    for _ in range(99):
        sketch.add("a")
    assert sketch["a"] == 15, "the most"
    sketch.add("a")
    assert sketch["a"] == 7


def test_hashes_are_the_same_in_every_process() -> None:
    assert two_hashes("a") == (0x9F831472, 0xC270FBE9)
    assert two_hashes("a") != two_hashes(b"a")


@pytest.mark.parametrize(("counters", "hashes"), [(3, 4), (0, 0), (10, 0)])
def test_impossible_sizes_are_said(counters: int, hashes: int) -> None:
    with pytest.raises(ValueError, match="expected a hash or more, and as many counters"):
        PopularitySketch(counters, hashes=hashes)


@settings(max_examples=50)
@given(keys=st.lists(st.integers(0, 30), max_size=150), capacity=st.integers(1, 12))
def test_w_tinylfu_decides_by_it_as_by_exact_counts(keys: list[int], capacity: int) -> None:
    """Fewer requests than would be halved, and room enough."""
    exact = WTinyLfu(capacity, popularity=Popularity())
    sketched = WTinyLfu(capacity, popularity=PopularitySketch(10_000, sample=0))
    for now, key in enumerate(keys):
        assert sketched.request(key, 1, now) == exact.request(key, 1, now)


@pytest.mark.parametrize("exponent", [0.6, 0.8, 1.0])
def test_the_size_that_caffeine_gives_it_costs_few_hits(exponent: float, zipf) -> None:
    keys = zipf(40_000, 10_000, exponent)
    sizes, times = [1] * len(keys), [0.0] * len(keys)
    exact = np.mean(WTinyLfu(500).replay(keys, sizes, times))
    sketch = PopularitySketch(16 * 500)
    sketched = np.mean(WTinyLfu(500, popularity=sketch).replay(keys, sizes, times))
    assert 0 <= exact - sketched < 0.01
