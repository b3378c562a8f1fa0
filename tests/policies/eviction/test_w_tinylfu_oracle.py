"""W-TinyLFU against libCacheSim: the same hits by the same rules, fewer misses by our own."""

import functools
import math
from collections.abc import Hashable

import numpy as np
import pytest

from policies.eviction import Popularity, PopularitySketch, WTinyLfu
from policies.eviction.popularity_sketch import two_hashes

_64_BITS = 2**64 - 1


def _rotated(number: int, bits: int) -> int:
    return (number << bits | number >> 64 - bits) & _64_BITS


def xxh64(number: int, seed: int) -> int:
    """XXH64 (Y. Collet, the xxHash specification) of a number's eight bytes."""
    first, second, third, fourth, fifth = (
        0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
    )  # fmt: skip
    lane = _rotated(number * second & _64_BITS, 31) * first & _64_BITS
    mixed = _rotated(seed + fifth + 8 ^ lane, 27) * first + fourth & _64_BITS
    mixed = (mixed ^ mixed >> 33) * second & _64_BITS
    mixed = (mixed ^ mixed >> 29) * third & _64_BITS
    return mixed ^ mixed >> 32


@functools.cache
def libcachesims_hashes(key: int) -> tuple[int, int]:
    return xxh64(key, 0x12345678) % 2**32, xxh64(key, 0x12344321) % 2**32


def libcachesims_sketch(keys: int) -> PopularitySketch:
    """A filter of the best size for so many keys and an error of one in a thousand, of 32-bit counters."""
    counters = math.ceil(-math.log(0.001) / math.log(2) ** 2 * keys)
    return PopularitySketch(counters, hashes=10, most=2**32 - 1, sample=0, hashed=libcachesims_hashes)


class ByLibCacheSimsRules(WTinyLfu):
    """What counts as a request, the sketch and its ageing as in libCacheSim 0.3's ``WTinyLFU.c``."""

    def __init__(self, capacity: int, popularity: Popularity | PopularitySketch | None = None) -> None:
        keys = capacity - capacity // 100
        super().__init__(capacity, popularity=popularity or libcachesims_sketch(keys))
        self.hits_in_main = 0

    def touch(self, key: Hashable, now: float) -> None:
        if key in self._window:
            self._window.renew(key)
            return
        super().touch(key, now)
        self.hits_in_main += 1
        if self.hits_in_main % (32 * self._main_capacity) == 0:
            self._popularity.halve()

    def _announce(self, key: Hashable, size: int) -> bool:
        return size > self._window_capacity

    def _wins(self, candidate: Hashable, size: int) -> bool:
        victim = self._main.victim()
        return victim is not None and self._popularity[candidate] > self._popularity[victim]

    def _leave_window(self, key: Hashable) -> None:
        super()._leave_window(key)
        self._popularity.add(key, len(self))


class NeverForgotten(Popularity):
    """Exact counts without bounds or ageing."""

    SAMPLE = MOST = 10**9


@pytest.mark.parametrize("capacity", [500, 777, 2_222])
@pytest.mark.parametrize("exponent", [0.6, 0.8, 1.0])
def test_the_same_hits_by_the_same_rules(
    exponent: float, capacity: int, hits_of, libcachesim_hits, zipf
) -> None:
    keys = zipf(20_000, 20_000, exponent)
    assert hits_of(ByLibCacheSimsRules(capacity), keys) == libcachesim_hits("WTinyLFU", capacity, keys)


def test_the_same_hits_when_counts_are_halved(hits_of, libcachesim_hits, zipf) -> None:
    keys = zipf(60_000, 3_000, 1.0)
    ours = ByLibCacheSimsRules(500)
    assert hits_of(ours, keys) == libcachesim_hits("WTinyLFU", 500, keys)
    assert ours.hits_in_main >= 2 * 32 * 495


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("capacity", [1_001, 1_503])
def test_close_by_the_same_rules_where_segments_are_rounded_otherwise(
    capacity: int, seed: int, hits_of, libcachesim_hits, zipf
) -> None:
    keys = zipf(20_000, 20_000, 0.8, seed)
    theirs = libcachesim_hits("WTinyLFU", capacity, keys)
    assert np.mean(hits_of(ByLibCacheSimsRules(capacity), keys)) == pytest.approx(np.mean(theirs), abs=0.005)


@pytest.mark.parametrize("exponent", [0.6, 0.8, 1.0])
def test_close_by_the_same_rules_on_sizes_in_bytes(exponent: float, hits_of, libcachesim_hits, zipf) -> None:
    keys = zipf(30_000, 2_000, exponent)
    sizes = np.random.default_rng(2).lognormal(4, 0.8, 2_000).clip(1, 900).astype(int).tolist()
    theirs = libcachesim_hits("WTinyLFU", 50_000, keys, sizes)
    assert np.mean(hits_of(ByLibCacheSimsRules(50_000), keys, sizes)) == pytest.approx(
        np.mean(theirs), abs=0.005
    )


MOST_SAVED = {0.6: 0.02, 0.8: 0.015, 1.0: 0.005}
"""Of all requests, by Zipf's exponent, those that exact counts may answer and libCacheSim's may not."""


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("capacity", [500, 2_000])
@pytest.mark.parametrize("exponent", MOST_SAVED)
def test_our_own_rules_miss_no_more(
    exponent: float, capacity: int, seed: int, hits_of, libcachesim_hits, zipf
) -> None:
    keys = zipf(50_000, 20_000, exponent, seed)
    saved = np.mean(hits_of(WTinyLfu(capacity), keys)) - np.mean(libcachesim_hits("WTinyLFU", capacity, keys))
    assert -0.002 < saved < MOST_SAVED[exponent]


@pytest.mark.parametrize(("capacity", "seed"), [(500, 2), (2_000, 3)])
def test_our_own_rules_with_the_papers_sketch_are_close(
    capacity: int, seed: int, hits_of, libcachesim_hits, zipf
) -> None:
    """Of the size in Caffeine: 16 counters up to 15 an object, halved after ten requests for each."""
    keys, hashed = zipf(100_000, 20_000, 0.8, seed), functools.cache(two_hashes)
    ours = hits_of(WTinyLfu(capacity, popularity=PopularitySketch(16 * capacity, hashed=hashed)), keys)
    assert np.mean(ours) == pytest.approx(np.mean(libcachesim_hits("WTinyLFU", capacity, keys)), abs=0.005)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_libcachesim_misses_more_it_misses_for_its_crowded_sketch(
    seed: int, hits_of, libcachesim_hits, zipf
) -> None:
    """All its rules with exact counts, or with a sketch twenty times as large: the same fewer misses."""
    keys = zipf(20_000, 20_000, 0.8, seed)
    theirs = np.mean(libcachesim_hits("WTinyLFU", 500, keys))
    exact = np.mean(hits_of(ByLibCacheSimsRules(500, NeverForgotten()), keys))
    roomy = np.mean(hits_of(ByLibCacheSimsRules(500, libcachesims_sketch(20 * 495)), keys))
    ours = np.mean(hits_of(WTinyLfu(500), keys))
    assert exact - theirs > 0.01
    assert roomy == pytest.approx(exact, abs=0.0005)
    assert ours == pytest.approx(exact, abs=0.005)
