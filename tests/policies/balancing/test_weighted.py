"""Weighted round robin and weighted random: as often as the weights say."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st


def turns(balancer, weight: list[float], count: int) -> str:
    picks = balancer("weighted_round_robin", [0] * len(weight), weight=weight, draws=[])
    return "".join("abcdefgh"[picks.pick(None, 0.0)] for _ in range(count))


def test_the_example_of_nginx(balancer) -> None:
    assert turns(balancer, [5.0, 1.0, 1.0], 14) == "aabacaa" * 2


def test_equal_weights_take_turns(balancer) -> None:
    assert turns(balancer, [2.5, 2.5, 2.5], 7) == "abcabca"


def plain(weight: list[int], count: int) -> str:
    """nginx's algorithm, worked out anew for every pick."""
    credit, picked = [0] * len(weight), ""
    for _ in range(count):
        credit = [have + gain for have, gain in zip(credit, weight, strict=True)]
        richest = max(range(len(weight)), key=lambda index: credit[index])
        credit[richest] -= sum(weight)
        picked += "abcdefgh"[richest]
    return picked


@given(weight=st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_it_goes_on_as_nginx_does(balancer, weight: list[int]) -> None:
    assert turns(balancer, [float(share) for share in weight], 130) == plain(weight, 130)


@given(weight=st.lists(st.sampled_from([0.5, 1.0, 1.5, 4.0]), min_size=1, max_size=6))
def test_each_gets_its_part_of_a_cycle_exactly(balancer, weight: list[float]) -> None:
    picked = Counter(turns(balancer, weight, int(2 * sum(weight))))
    assert [picked["abcdefgh"[index]] for index in range(len(weight))] == [2 * share for share in weight]


def test_turns_begin_anew_among_those_that_are_left(balancer) -> None:
    picks = balancer("weighted_round_robin", [0] * 3, weight=[1.0, 2.0, 1.0])
    picks.pick(None, 0.0)
    picks.upstreams.mark_down(1)
    assert [picks.pick(None, 0.0) for _ in range(4)] == [0, 2, 0, 2]


def test_weighted_random_has_chances_in_proportion(balancer, uniform) -> None:
    """With weights 1, 2, 3: six classes of equal chance, added up."""
    picks = balancer("weighted_random", [9, 0, 4], weight=[1.0, 2.0, 3.0])
    picked = Counter(picks.pick(None, 0.0) for _ in range(24_000))
    assert uniform([picked[0]] + [picked[1] / 2] * 2 + [picked[2] / 3] * 3)
    assert not uniform([picked[0], picked[1], picked[2]])


@pytest.mark.parametrize(("draw", "chosen"), [(0.0, 0), (0.2499, 0), (0.25, 1), (0.7499, 1), (1 - 2**-53, 3)])
def test_each_draw_has_its_part_of_the_unit_interval(balancer, draw: float, chosen: int) -> None:
    picks = balancer(
        "weighted_random", [0] * 4, weight=[1.0, 2.0, 50.0, 1.0], available=[0, 1, 3], draws=[draw]
    )
    assert picks.pick(None, 0.0) == chosen
