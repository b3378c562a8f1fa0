"""P2C with more than two choices, and least requests while loads move."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.balancing import Dispatch, PowerOfTwoChoices, Upstreams


@pytest.mark.parametrize("choices", [1, 3, 4, 9])
def test_it_is_the_least_loaded_of_as_many_as_are_drawn(choices: int) -> None:
    """With loads 0, 1, 2, 3 the least of d different ones is 0 with chance d/4."""
    policy = type("Choices", (PowerOfTwoChoices,), {"CHOICES": choices})
    upstreams = Upstreams([1.0] * 4)
    upstreams.load = [0, 1, 2, 3]
    picks = policy(upstreams, rng=random.Random(3))
    picked = Counter(picks.pick(None, 0.0) for _ in range(8_000))
    assert picked[0] / 8_000 == pytest.approx(min(choices, 4) / 4, abs=0.03)
    assert max(picked) == 4 - min(choices, 4)


STEPS = st.lists(
    st.tuples(st.sampled_from(["start", "start", "finish", "finish", "down", "up"]), st.integers(0, 9)),
    max_size=120,
)


@settings(max_examples=150)
@given(steps=STEPS, weight=st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=6))
def test_least_requests_is_a_minimum_however_loads_moved(
    steps: list[tuple[str, int]], weight: list[float]
) -> None:
    dispatch = Dispatch("least_requests", weight, random.Random(1), slow_start=30.0)
    upstreams = dispatch.upstreams
    outstanding: list[int] = []
    for now, (step, number) in enumerate(steps):
        if step == "start":
            upstreams.advance(now)
            lowest = min(upstreams.cost(index) for index in upstreams.available)
            before = [upstreams.cost(index) for index in range(len(weight))]
            outstanding.append(dispatch.start(None, now))
            assert before[outstanding[-1]] == lowest
        elif step == "finish" and outstanding:
            dispatch.finish(outstanding.pop(number % len(outstanding)), 0.1, now)
        elif step == "down":
            upstreams.mark_down(number % len(weight))
        elif step == "up":
            upstreams.mark_up(number % len(weight), now)
