"""Every balancer obeys weights: some as shares of the requests, the others as shares of the load."""

import heapq
import random
from collections import Counter

import pytest

from policies.balancing import Dispatch, balancing_policies
from policies.settings.services import LEAST_WEIGHT, MOST_WEIGHT

SHARES = {
    "round_robin", "weighted_round_robin", "random", "weighted_random", "join_idle_queue",
    "ring_hash", "bounded_ring_hash", "rendezvous_hash", "maglev", "source_hash",
}  # fmt: skip
"""Each upstream gets its weight's share of the requests; the others count load or latency per weight."""
REQUESTS = 8_000


def shares(policy: str, weight: list[float], at_once: int) -> list[float]:
    """Shares of many clients' requests, of which some are under way at once, on equally fast servers."""
    dispatch, chance = Dispatch(policy, weight, random.Random(3)), random.Random(4)
    running: list[tuple[float, float, int]] = []
    picked: Counter[int] = Counter()
    now = 0.0
    for _ in range(REQUESTS):
        while len(running) >= at_once:
            end, start, index = heapq.heappop(running)
            now = max(now, end)
            dispatch.finish(index, now - start, now)
        index = dispatch.start(f"192.0.2.{chance.randrange(256)}:{chance.randrange(256)}", now)
        picked[index] += 1
        heapq.heappush(running, (now + chance.expovariate(1.0), now, index))
        now += 1e-4
    return [picked[index] / REQUESTS for index in range(len(weight))]


def test_the_list_of_policies_is_complete() -> None:
    assert set(balancing_policies.names()) >= SHARES


@pytest.mark.parametrize("at_once", [1, 30])
@pytest.mark.parametrize("policy", balancing_policies.names())
def test_a_heavier_upstream_gets_more(policy: str, at_once: int) -> None:
    weight = [1.0, 9.0]
    light, heavy = shares(policy, weight, at_once)
    assert light + heavy == pytest.approx(1.0) and heavy > 0.8
    if policy in SHARES:
        assert heavy == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("policy", balancing_policies.names())
def test_the_order_of_the_shares_is_that_of_the_weights(policy: str) -> None:
    found = shares(policy, [1.0, 7.0, 2.0], at_once=30)
    assert found[0] < found[2] < found[1]
    if policy in SHARES:
        assert found == pytest.approx([0.1, 0.7, 0.2], abs=0.05)


@pytest.mark.parametrize("policy", balancing_policies.names())
def test_the_largest_and_the_smallest_weight_work_together(policy: str) -> None:
    dispatch = Dispatch(policy, [MOST_WEIGHT, LEAST_WEIGHT, MOST_WEIGHT, 1.0], random.Random(1))
    picked = Counter()
    for now in range(2_000):
        index = dispatch.start(f"client {now}", now)
        picked[index] += 1
        dispatch.finish(index, 0.1, now + 0.5)
    # Of the pairs that two choices may draw, one in six has only the two light ones.
    assert picked[0] + picked[2] > (1_900 if policy not in ("p2c", "peak_ewma") else 1_600)
    assert min(picked[0], picked[2]) > 500
