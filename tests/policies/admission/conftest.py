"""What the tests of admission policies share: a way to write down what a guarded cache did."""

import random
from collections.abc import Callable

import pytest

from policies.admission import Gated, build_admission
from policies.eviction import eviction_policies

Make = Callable[..., Gated]


@pytest.fixture(scope="session")
def gated() -> Make:
    """`gated("lru", "tinylfu", 100)`."""

    def make(policy: str, admission: str, capacity: int) -> Gated:
        inner = eviction_policies[policy](capacity, rng=random.Random(7))
        return Gated(inner, build_admission(admission, capacity))

    return make


@pytest.fixture(scope="session")
def play(gated: Make):
    """`play("lru", "second_request", 2, "a a b")` is ``"x +a x"``: refused, stored; ``!`` is a hit.

    What was evicted stands before, as in ``"-b+a"``; a request may name a size, as in ``"a5"``.
    """

    def log(policy: str, admission: str, capacity: int, requests: str) -> str:
        cache = gated(policy, admission, capacity)
        happened = []
        for now, request in enumerate(requests.split()):
            key, size = request[0], int(request[1:] or 1)
            if key in cache and request == key:
                assert cache.request(key, size, now)
                happened.append(f"!{key}")
                continue
            gone = cache.insert(key, size, now)
            victims = "".join(f"-{victim}" for victim in gone if victim != key)
            happened.append(f"{victims}+{key}" if key in cache else f"{victims}x")
        return " ".join(happened)

    return log
