"""Bounded ring hash: no upstream gets more than 1.25 times the mean, rounded up."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.balancing import Dispatch

STEPS = st.lists(st.tuples(st.sampled_from(["start", "start", "finish"]), st.integers(0, 9)), max_size=80)


@settings(max_examples=100)
@given(steps=STEPS, weight=st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=6))
def test_no_load_is_above_the_bound(steps: list[tuple[str, int]], weight: list[float]) -> None:
    dispatch = Dispatch("bounded_ring_hash", weight, random.Random(1))
    outstanding: list[int] = []
    for now, (step, number) in enumerate(steps):
        if step == "finish" and outstanding:
            dispatch.finish(outstanding.pop(number % len(outstanding)), 0.1, now)
        elif step == "start":
            index = dispatch.start(f"client {number}", now)
            outstanding.append(index)
            bound = math.ceil(1.25 * len(outstanding) * weight[index] / sum(weight) - 1e-9)
            assert dispatch.upstreams.load[index] <= bound


@pytest.mark.parametrize("count", [5, 40])
def test_one_busy_source_cannot_fill_its_upstream(count: int) -> None:
    dispatch = Dispatch("bounded_ring_hash", [1.0] * count, random.Random(1))
    for now in range(20 * count):
        dispatch.start("always the same", now)
    assert max(dispatch.upstreams.load) == 25


def test_with_little_load_it_is_the_ring(balancer) -> None:
    ring, bounded = balancer("ring_hash", [0] * 8), balancer("bounded_ring_hash", [0] * 8)
    sources = [f"client {number}" for number in range(500)]
    assert [ring.pick(s, 0.0) for s in sources] == [bounded.pick(s, 0.0) for s in sources]


def test_only_available_ones_count_for_the_mean() -> None:
    dispatch = Dispatch("bounded_ring_hash", [1.0] * 4, random.Random(1))
    for index in (0, 1):
        dispatch.upstreams.mark_down(index)
    for now in range(16):
        dispatch.start("always the same", now)
    assert sorted(dispatch.upstreams.load) == [0, 0, 6, 10]
