"""The speed of the shared policies: requests per second of eviction, µs per pick of balancing.

Run ``python -m benchmarks.policies [name …]``. It uses one core and measures processor time, in the best of
three runs.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

import numpy as np

from policies import balancing_policies, eviction_policies
from policies.balancing import Dispatch
from policies.eviction import Belady, EvictionPolicy, next_uses

OBJECTS, REQUESTS, CAPACITY = 100_000, 500_000, 10_000
UPSTREAMS, PICKS, CLIENTS = 1_000, 20_000, 2_000


def best_of_three(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    times = []
    for _ in range(3):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def zipf() -> list[int]:
    """Independent requests, exponent 1."""
    cumulated = np.cumsum(1 / np.arange(1, OBJECTS + 1))
    chance = np.random.default_rng(1).random(REQUESTS) * cumulated[-1]
    return np.searchsorted(cumulated, chance).tolist()


def eviction(name: str, keys: list[int]) -> str:
    ones, times = [1] * len(keys), [0.0] * len(keys)
    future = next_uses(keys) if name == "belady" else []
    hits: list[bool] = []

    def cache() -> EvictionPolicy:
        return Belady(CAPACITY, future) if name == "belady" else eviction_policies[name](CAPACITY)

    def one_by_one() -> None:
        request = cache().request
        hits[:] = [request(key, 1, 0.0) for key in keys]

    single = best_of_three(one_by_one)
    many = best_of_three(lambda: cache().replay(keys, ones, times))
    rates = f"{len(keys) / single / 1e6:7.2f} M/s {len(keys) / many / 1e6:7.2f} M/s"
    return f"{name:<22}{rates}   miss ratio {1 - sum(hits) / len(hits):.4f}"


def balancing(name: str) -> str:
    dispatch = Dispatch(name, [1.0] * UPSTREAMS, random.Random(1))
    chance = random.Random(2)
    dispatch.upstreams.load = [chance.randrange(4) for _ in range(UPSTREAMS)]
    for index in range(UPSTREAMS):
        dispatch.balancer.finished(index, chance.uniform(0.1, 1.0), 0.0)
    clients = [f"192.0.2.{number % 256}:{number}" for number in range(CLIENTS)]
    pick = dispatch.balancer.pick
    began = time.process_time()
    pick(clients[0], 0.0)
    first = time.process_time() - began
    for client in clients:
        pick(client, 0.0)

    def picks() -> None:
        for number in range(PICKS):
            pick(clients[number % CLIENTS], 1.0)

    return f"{name:<22}{best_of_three(picks) / PICKS * 1e6:7.2f} µs   the first {first * 1e3:.1f} ms"


def main() -> None:
    chosen = sys.argv[1:]
    keys = zipf()
    print(f"Eviction, {CAPACITY} of {OBJECTS} objects: request by request, and as one replay")
    for name in [*eviction_policies.names(), "belady"]:
        if not chosen or name in chosen:
            print(eviction(name, keys), flush=True)
    print(f"\nBalancing among {UPSTREAMS} upstreams, {CLIENTS} clients")
    for name in balancing_policies.names():
        if not chosen or name in chosen:
            print(balancing(name), flush=True)


if __name__ == "__main__":
    main()
