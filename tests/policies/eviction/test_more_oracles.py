"""The rest of the eviction policies against libCacheSim: the same hits, or miss ratios close by."""

import random

import numpy as np
import pytest

from policies.eviction import Belady, LruK, eviction_policies, next_uses


class ForgetfulLruK(LruK):
    """As libCacheSim's, which keeps no history of what was evicted."""

    RETAINED = 0


EQUAL = {
    "clock": ("Clock", eviction_policies["clock"]),
    "slru": ("SLRU", eviction_policies["slru"]),
    "two_q": ("TwoQ", eviction_policies["two_q"]),
    "arc": ("ARC", eviction_policies["arc"]),
    "lru_k": ("LRUK", ForgetfulLruK),
}
"""Our names, libCacheSim's and our classes that decide exactly alike on equal sizes."""


def scan_and_loop(count: int) -> list[int]:
    """Popular objects, scans of new ones, and loops just too large: where policies differ most."""
    rng = np.random.default_rng(11)
    keys = [*range(2_000, 2_130)] * 2
    while len(keys) < count:
        keys += rng.geometric(0.02, 300).tolist()
        keys += range(10_000 + len(keys), 10_000 + len(keys) + int(rng.integers(20, 150)))
        keys += [*range(1_000, 1_000 + int(rng.integers(90, 130)))] * 3
    return keys[:count]


@pytest.mark.parametrize("policy", EQUAL)
@pytest.mark.parametrize("capacity", [20, 36, 1_000])
@pytest.mark.parametrize("exponent", [0.7, 1.0])
def test_the_same_hits_as_libcachesim_on_zipf(
    policy: str, capacity: int, exponent: float, hits_of, libcachesim_hits, zipf
) -> None:
    keys = zipf(30_000, 5_000, exponent)
    name, ours = EQUAL[policy]
    assert hits_of(ours(capacity), keys) == libcachesim_hits(name, capacity, keys)


@pytest.mark.parametrize("policy", EQUAL)
@pytest.mark.parametrize("capacity", [24, 100])
def test_the_same_hits_as_libcachesim_on_scans_and_loops(
    policy: str, capacity: int, hits_of, libcachesim_hits
) -> None:
    keys = scan_and_loop(20_000)
    name, ours = EQUAL[policy]
    assert hits_of(ours(capacity), keys) == libcachesim_hits(name, capacity, keys)


@pytest.mark.parametrize("policy", ["clock", "arc", "two_q", "lru_k"])
def test_the_same_hits_whatever_the_capacity_divides_by(policy: str, hits_of, libcachesim_hits, zipf) -> None:
    keys = zipf(20_000, 3_000, 0.9)
    name, ours = EQUAL[policy]
    assert hits_of(ours(37), keys) == libcachesim_hits(name, 37, keys)


@pytest.mark.parametrize("capacity", [20, 300])
def test_the_same_hits_as_libcachesims_belady(capacity: int, hits_of, libcachesim_hits, zipf) -> None:
    for keys in (zipf(30_000, 5_000, 0.9), scan_and_loop(20_000)):
        assert hits_of(Belady(capacity, next_uses(keys)), keys) == libcachesim_hits("Belady", capacity, keys)


@pytest.mark.parametrize("policy", ["clock", "two_q", "lru_k"])
def test_the_same_hits_as_libcachesim_on_sizes_in_bytes(policy: str, hits_of, libcachesim_hits, zipf) -> None:
    keys = zipf(30_000, 2_000, 0.9)
    sizes = np.random.default_rng(2).lognormal(8, 1.2, 2_000).clip(1, 90_000).astype(int).tolist()
    name, ours = EQUAL[policy]
    assert hits_of(ours(1_000_000), keys, sizes) == libcachesim_hits(name, 1_000_000, keys, sizes)


@pytest.mark.parametrize(("policy", "name"), [("slru", "SLRU"), ("arc", "ARC")])
def test_miss_ratios_close_to_libcachesims_on_sizes_in_bytes(
    policy: str, name: str, hits_of, libcachesim_hits, zipf
) -> None:
    """Where our decisions differ, as the classes say: within half a percentage point."""
    keys = zipf(60_000, 2_000, 0.9)
    sizes = np.random.default_rng(2).lognormal(7, 0.8, 2_000).clip(1, 9_000).astype(int).tolist()
    ours = hits_of(eviction_policies[policy](1_000_000), keys, sizes)
    assert np.mean(ours) == pytest.approx(np.mean(libcachesim_hits(name, 1_000_000, keys, sizes)), abs=0.005)


@pytest.mark.parametrize("capacity", [500, 1_001, 2_000])
@pytest.mark.parametrize(("policy", "name"), [("slru", "SLRU"), ("w_tinylfu", "WTinyLFU")])
def test_miss_ratios_close_to_libcachesims_on_zipf(
    policy: str, name: str, capacity: int, hits_of, libcachesim_hits, zipf
) -> None:
    keys = zipf(100_000, 20_000, 1.0)
    ours = hits_of(eviction_policies[policy](capacity), keys)
    assert np.mean(ours) == pytest.approx(np.mean(libcachesim_hits(name, capacity, keys)), abs=0.005)


LIBCACHESIM_MISSES = {"arc": 81_925, "belady": 67_776, "w_tinylfu": 81_498}
"""Of 200,000 requests with Zipf's exponent 1 for 100,000 objects, 1,000 of which fit."""


@pytest.mark.parametrize("policy", LIBCACHESIM_MISSES)
def test_known_misses_of_many_requests(policy: str, hits_of, zipf) -> None:
    """Of W-TinyLFU, which decides by other counts than libCacheSim's, within half a percentage point."""
    keys = zipf(200_000, 100_000, 1.0)
    cache = Belady(1_000, next_uses(keys)) if policy == "belady" else eviction_policies[policy](1_000)
    missed, apart = hits_of(cache, keys).count(False), 1_000 if policy == "w_tinylfu" else 0
    assert missed == pytest.approx(LIBCACHESIM_MISSES[policy], abs=apart)


@pytest.mark.parametrize("exponent", [0.6, 0.9])
def test_the_hit_ratio_of_random_is_the_one_of_theory(exponent: float, hits_of, zipf) -> None:
    """h = p t / (1 + p t), the same as FIFO's (Gelenbe 1973), where all h sum to the capacity."""
    objects, capacity = 3_000, 300
    chance = np.arange(1, objects + 1) ** -exponent
    chance /= chance.sum()
    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        stored = (chance * middle / (1 + chance * middle)).sum()
        low, high = (middle, high) if stored < capacity else (low, middle)
    expected = (chance * (chance * low / (1 + chance * low))).sum()
    cache = eviction_policies["random"](capacity, rng=random.Random(8))
    assert np.mean(hits_of(cache, zipf(400_000, objects, exponent, seed=6))[50_000:]) == pytest.approx(
        expected, abs=0.003
    )
