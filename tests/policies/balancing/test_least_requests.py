"""Least requests: a minimum, and among equals any."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

LOADS = st.lists(st.integers(0, 4), min_size=1, max_size=7)


@given(load=LOADS, data=st.data())
def test_it_picks_a_minimum_of_load_per_weight(balancer, load: list[int], data: st.DataObject) -> None:
    count = len(load)
    weight = data.draw(st.lists(st.sampled_from([1, 2, 3]), min_size=count, max_size=count))
    available = data.draw(st.lists(st.integers(0, count - 1), min_size=1, unique=True).map(sorted))
    cost = {index: Fraction(load[index] + 1, weight[index]) for index in available}
    picked = balancer("least_requests", load, weight=weight, available=available).pick(None, 0.0)
    assert cost[picked] == min(cost.values())


@given(load=LOADS)
def test_with_equal_weights_it_picks_the_fewest_outstanding(balancer, load: list[int]) -> None:
    assert load[balancer("least_requests", load).pick(None, 0.0)] == min(load)


def test_ties_are_equally_likely(balancer, uniform) -> None:
    picks = balancer("least_requests", [1, 0, 4, 0, 0])
    picked = [picks.pick(None, 0.0) for _ in range(20_000)]
    assert set(picked) == {1, 3, 4} and uniform([picked.count(index) for index in (1, 3, 4)])


def test_ties_of_weighted_upstreams_are_equally_likely(balancer, uniform) -> None:
    picks = balancer("least_requests", [1, 3, 0], weight=[1.0, 2.0, 0.25])
    picked = [picks.pick(None, 0.0) for _ in range(20_000)]
    assert set(picked) == {0, 1} and uniform([picked.count(0), picked.count(1)])


def test_without_a_tie_no_chance_is_drawn(balancer) -> None:
    assert balancer("least_requests", [1, 0, 1], draws=[]).pick(None, 0.0) == 1
