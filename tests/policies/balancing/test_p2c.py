"""P2C: two different upstreams by chance, and the less loaded of them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.balancing import Upstreams

COUNT = 4
DRAWS = [(one, other) for one in range(COUNT) for other in range(COUNT - 1)]


def the_two(one: int, other: int, available: list[int]) -> tuple[int, int]:
    """Draw `one` among all, then `other` among the rest."""
    rest = [index for index in available if index != available[one]]
    return available[one], rest[other]


@given(
    load=st.lists(st.integers(0, 9), min_size=COUNT, max_size=COUNT),
    weight=st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=COUNT, max_size=COUNT),
    drawn=st.sampled_from(DRAWS),
)
def test_it_never_picks_the_more_loaded_of_its_two(
    balancer, load: list[int], weight: list[float], drawn: tuple[int, int]
) -> None:
    draws = [(drawn[0] + 0.5) / COUNT, (drawn[1] + 0.5) / (COUNT - 1)]
    picks = balancer("p2c", load, weight=weight, draws=draws)
    first, second = the_two(*drawn, list(range(COUNT)))
    cost: list[float] = [picks.upstreams.cost(index) for index in range(COUNT)]
    assert picks.pick(None, 0.0) == (second if cost[second] < cost[first] else first)


def test_all_pairs_of_different_upstreams_have_the_same_chance(balancer, uniform) -> None:
    """With loads 0, 1, 2, 3 an upstream is the least of three, two, one and none of the six pairs."""
    picks = balancer("p2c", [0, 1, 2, 3])
    picked = Counter(picks.pick(None, 0.0) for _ in range(24_000))
    assert picked[3] == 0, "the most loaded is never the lesser of two different ones"
    # Six classes that are equal on average: with fewer degrees of freedom than six, the test is only milder.
    assert uniform([picked[0] // 3] * 3 + [picked[1] // 2] * 2 + [picked[2]])


def test_of_two_upstreams_it_always_picks_the_less_loaded(balancer) -> None:
    assert {balancer("p2c", [5, 4], seed=seed).pick(None, 0.0) for seed in range(50)} == {1}


def test_ties_are_equally_likely(balancer, uniform) -> None:
    picks = balancer("p2c", [2, 2, 2, 2])
    picked = [picks.pick(None, 0.0) for _ in range(20_000)]
    assert uniform([picked.count(index) for index in range(4)])


@pytest.mark.parametrize(("load", "chosen"), [([3, 6], 1), ([3, 7], 0)], ids=["4/1 > 7/2", "tie: 4/1 = 8/2"])
def test_load_counts_per_weight(balancer, load: list[int], chosen: int) -> None:
    assert balancer("p2c", load, weight=[1.0, 2.0], draws=[0.0, 0.0]).pick(None, 0.0) == chosen


def test_it_looks_only_at_available_ones(balancer) -> None:
    picks = balancer("p2c", [0, 5, 0, 4], available=[1, 3])
    assert {picks.pick(None, 0.0) for _ in range(50)} == {3}


def test_two_choices_hold_the_highest_load_far_below_chance(balancer) -> None:
    """n balls into n bins: about log log n instead of log n (Mitzenmacher 2001)."""

    def highest(policy: str) -> int:
        picks = balancer(policy, [0] * 1_000)
        upstreams: Upstreams = picks.upstreams
        for _ in range(1_000):
            upstreams.load[picks.pick(None, 0.0)] += 1
        return max(upstreams.load)

    assert highest("p2c") <= 3
    assert highest("random") >= 5
