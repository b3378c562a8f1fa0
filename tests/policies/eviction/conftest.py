"""What the tests of eviction policies share: a way to write down what a cache did."""

from collections.abc import Callable

import numpy as np
import pytest

from policies.eviction import EvictionPolicy, eviction_policies, next_uses

Play = Callable[..., str]
Zipf = Callable[..., list[int]]
Hits = list[bool]


@pytest.fixture(scope="session")
def play() -> Play:
    """`play("lru", 2, "a b c b")` is ``"+a +b -a+c !b"``: stored, evicted to make room, hit.

    A request may name a size: ``"a5"``; for a stored key that stores it anew: ``"=a"``.
    ``"~a"`` removes a key.
    """

    def log(policy: str, capacity: int, requests: str) -> str:
        cache = eviction_policies[policy](capacity)
        happened = []
        for now, request in enumerate(requests.split()):
            key, size = request.strip("~")[0], int(request.strip("~")[1:] or 1)
            stored = key in cache
            if request.startswith("~"):
                cache.remove(key)
                happened.append(request)
            elif stored and request == key:
                assert cache.request(key, size, now)
                happened.append(f"!{key}")
            else:
                gone = cache.insert(key, size, now)
                sign = "" if key not in cache else "=" if stored else "+"
                happened.append("".join(f"-{victim}" for victim in gone) + (sign and sign + key))
        return " ".join(happened)

    return log


@pytest.fixture(scope="session")
def zipf() -> Zipf:
    """`zipf(count, objects, exponent, seed)`: independent requests, object 0 the most popular."""

    def requests(count: int, objects: int, exponent: float, seed: int = 1) -> list[int]:
        weight = np.arange(1, objects + 1) ** -exponent
        cumulated = np.cumsum(weight / weight.sum())
        chance = np.random.default_rng(seed).random(count)
        return np.minimum(np.searchsorted(cumulated, chance), objects - 1).tolist()

    return requests


@pytest.fixture(scope="session")
def libcachesim_hits() -> Callable[..., Hits]:
    """`libcachesim_hits("ARC", 100, keys)`: which of these requests libCacheSim's cache answers.

    `sizes` are by key, `each` by request.
    """
    libcachesim = pytest.importorskip("libcachesim", reason="libcachesim has no wheel for this machine")

    def hits(
        name: str,
        capacity: int,
        keys: list[int],
        sizes: list[int] | None = None,
        each: list[int] | None = None,
    ) -> Hits:
        get = getattr(libcachesim, name)(capacity, hashpower=16).get
        request = libcachesim.Request()
        request.obj_size = 1
        found = []
        if name == "Belady":
            for key, following in zip(keys, next_uses(keys), strict=True):
                request.obj_id = key
                request.next_access_vtime = following if following < len(keys) else 2**62
                found.append(get(request))
            return found
        for number, key in enumerate(keys):
            request.obj_id = key
            if sizes is not None:
                request.obj_size = sizes[key]
            elif each is not None:
                request.obj_size = each[number]
            found.append(get(request))
        return found

    return hits


@pytest.fixture(scope="session")
def hits_of() -> Callable[..., Hits]:
    """`hits_of(cache, keys)`: which of these requests our cache answers; sizes as in `libcachesim_hits`."""

    def hits(
        cache: EvictionPolicy, keys: list[int], sizes: list[int] | None = None, each: list[int] | None = None
    ) -> Hits:
        if each is None:
            each = [1] * len(keys) if sizes is None else [sizes[key] for key in keys]
        return cache.replay(keys, each, [0.0] * len(keys))

    return hits
