"""The upstreams as balancers see them: which are available, and the weight during slow start."""

import random
import time
from collections import Counter

import pytest

from policies.balancing import Dispatch, Upstreams, balancing_policies

WEIGHTED = [
    "weighted_round_robin", "weighted_random", "source_hash", "rendezvous_hash", "ring_hash", "maglev",
]  # fmt: skip
"""Those that share out requests by weight alone, whatever the load."""


def test_the_last_one_cannot_go_down() -> None:
    upstreams = Upstreams([1.0, 1.0])
    assert upstreams.mark_down(0) and upstreams.available == [1]
    assert not upstreams.mark_down(1) and upstreams.available == [1]
    upstreams.mark_up(0, 5.0)
    assert upstreams.available == [0, 1]


def test_without_slow_start_the_full_weight_is_there_at_once() -> None:
    upstreams = Upstreams([3.0, 1.0])
    upstreams.mark_down(0)
    upstreams.mark_up(0, 5.0)
    assert (upstreams.weight, upstreams.share) == ([3.0, 1.0], [1.0, 1.0])


def test_slow_start_rises_in_tenths() -> None:
    upstreams = Upstreams([4.0, 1.0, 1.0], slow_start=20.0)
    upstreams.mark_down(0)
    upstreams.mark_up(0, 100.0)
    shares = []
    for now in (100.0, 101.9, 103.9, 104.1, 110.1, 118.1, 119.9, 120.1, 500.0):
        upstreams.advance(now)
        shares.append(upstreams.share[0])
        assert upstreams.weight == [4.0 * upstreams.share[0], 1.0, 1.0]
        assert upstreams.equal == (upstreams.weight[0] == 1.0)
    assert shares == [0.1, 0.1, 0.1, 0.2, 0.5, 0.9, 0.9, 1.0, 1.0]


def test_one_that_was_up_does_not_begin_again() -> None:
    upstreams = Upstreams([1.0, 1.0], slow_start=20.0)
    upstreams.mark_up(0, 100.0)
    assert upstreams.share == [1.0, 1.0]


def test_one_that_goes_down_again_begins_anew() -> None:
    upstreams = Upstreams([1.0, 1.0], slow_start=20.0)
    for down, up in ((0, 100.0), (0, 118.0)):
        upstreams.mark_down(down)
        upstreams.mark_up(down, up)
        assert upstreams.share[0] == 0.1


@pytest.mark.parametrize("policy", balancing_policies.names())
def test_one_in_slow_start_gets_less_than_its_share_and_later_all_of_it(policy: str) -> None:
    """At half of the time its part is 5 of 35, or less where loads decide too; then 10 of 40."""
    dispatch = Dispatch(policy, [1.0] * 4, random.Random(5), slow_start=100.0)
    dispatch.upstreams.mark_down(1)
    dispatch.upstreams.mark_up(1, 1_000.0)

    def part(now: float) -> float:
        picked: Counter[int] = Counter()
        outstanding: list[int] = []
        for number in range(8_000):
            outstanding.append(dispatch.start(f"client {number}", now))
            picked[outstanding[-1]] += 1
            if len(outstanding) > 60:
                dispatch.finish(outstanding.pop(0), 0.1, now)
        for index in outstanding:
            dispatch.finish(index, 0.1, now)
        return picked[1] / 8_000

    assert part(1_050.5) == pytest.approx(5 / 35, abs=0.05)
    assert part(1_200.0) == pytest.approx(1 / 4, abs=0.06)


@pytest.mark.parametrize("policy", WEIGHTED)
def test_requests_are_shared_by_weight(policy: str) -> None:
    """Within what hashing a thousand sources makes of it: three standard deviations, and 160 points."""
    weight = [1.0, 2.0, 5.0]
    dispatch = Dispatch(policy, weight, random.Random(2))
    picked = Counter(dispatch.start(f"10.0.{number % 97}.{number}", number) for number in range(16_000))
    for index, share in enumerate(weight):
        assert picked[index] / 16_000 == pytest.approx(share / 8, rel=0.15)


@pytest.mark.parametrize("policy", balancing_policies.names())
def test_the_cost_of_a_pick_hardly_grows_with_the_number_of_upstreams(policy: str) -> None:
    """A thousand for ten: a search through all would take a hundred times as long, a heap three times."""

    dispatches = {count: Dispatch(policy, [1.0] * count, random.Random(1)) for count in (10, 1_000)}
    clients = [f"client {number}" for number in range(200)]
    best = dict.fromkeys(dispatches, float("inf"))
    for _ in range(20):  # of processor time, which what else runs makes longer, too
        for count, dispatch in dispatches.items():
            began = time.process_time()
            for number in range(1_000):
                dispatch.finish(dispatch.start(clients[number % 200], 0.0), 0.1, 0.0)
            best[count] = min(best[count], time.process_time() - began)
        if best[1_000] < 8 * best[10]:
            return
    pytest.fail(f"seconds of processor time for a thousand picks, at best: {best}")
