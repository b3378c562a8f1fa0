"""The contract that every registered balancer keeps, and the books that `Dispatch` keeps for it."""

import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.balancing import Dispatch, Upstreams, balancing_policies, dispatch_rng

every_policy = pytest.mark.parametrize("policy", balancing_policies.names())

WEIGHTS = st.lists(st.sampled_from([0.5, 1.0, 1.0, 2.0, 7.5]), min_size=1, max_size=6)
STEPS = st.lists(
    st.tuples(st.sampled_from(["start", "start", "finish", "change"]), st.integers(0, 63)), max_size=60
)


def follow(policy: str, weight: list[float], steps: list[tuple[str, int]], seed: int) -> list[int]:
    """Start and finish requests while upstreams come and go; returns the picked upstreams."""
    dispatch = Dispatch(policy, weight, random.Random(seed))
    outstanding: list[int] = []
    picked = []
    for now, (step, number) in enumerate(steps):
        if step == "change":
            some = [index for index in range(len(weight)) if number >> index & 1]
            dispatch.upstreams.available = some or [number % len(weight)]
        elif step == "start":
            index = dispatch.start(f"client {number}", now)
            assert index in dispatch.upstreams.available
            outstanding.append(index)
            picked.append(index)
        elif outstanding:
            dispatch.finish(outstanding.pop(number % len(outstanding)), 0.1, now)
        counted = Counter(outstanding)
        assert dispatch.upstreams.load == [counted[index] for index in range(len(weight))]
    for index in outstanding:
        dispatch.finish(index, 0.1, len(steps))
    assert dispatch.upstreams.load == [0] * len(weight)
    return picked


@every_policy
@given(weight=WEIGHTS, steps=STEPS)
def test_it_picks_available_upstreams_and_the_load_is_what_is_outstanding(
    policy: str, weight: list[float], steps: list[tuple[str, int]]
) -> None:
    follow(policy, weight, steps, seed=1)


@every_policy
@settings(max_examples=30)
@given(weight=WEIGHTS, steps=STEPS, seed=st.integers(0, 99))
def test_the_same_chance_gives_the_same_picks(
    policy: str, weight: list[float], steps: list[tuple[str, int]], seed: int
) -> None:
    assert follow(policy, weight, steps, seed) == follow(policy, weight, steps, seed)


@every_policy
def test_one_upstream_gets_everything(policy: str) -> None:
    dispatch = Dispatch(policy, [1.0], random.Random(1))
    assert [dispatch.start(None, now) for now in range(50)] == [0] * 50
    assert dispatch.upstreams.load == [50]


@every_policy
def test_the_only_available_upstream_gets_everything(policy: str, balancer) -> None:
    picks = balancer(policy, [0, 0, 9, 0], available=[2])
    assert {picks.pick(f"client {number}", number) for number in range(50)} == {2}


@every_policy
def test_it_works_without_a_key(policy: str, balancer) -> None:
    assert balancer(policy, [0, 0]).pick(None, 0.0) in (0, 1)


@every_policy
def test_picking_leaves_the_books_to_the_caller(policy: str, balancer) -> None:
    picks = balancer(policy, [2, 0, 1], available=[0, 2])
    for now in range(20):
        picks.pick("client", now)
    upstreams = picks.upstreams
    assert (upstreams.load, upstreams.available, upstreams.weight) == ([2, 0, 1], [0, 2], [1.0] * 3)


@every_policy
def test_equal_upstreams_share_the_work_of_many_clients(policy: str) -> None:
    """Each of four gets a quarter, within what hashing or chance makes of it."""
    dispatch = Dispatch(policy, [1.0] * 4, random.Random(3))
    counts = Counter()
    for now in range(4_000):
        index = dispatch.start(f"client {now}", now)
        counts[index] += 1
        dispatch.finish(index, 0.1, now + 0.5)
    assert len(counts) == 4 and min(counts.values()) > 600


@every_policy
def test_it_asks_no_clock_and_no_shared_generator(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("`now` and `rng` are handed in")

    dispatch = Dispatch(policy, [1.0, 2.0, 1.0], random.Random(1))
    for clock in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"):
        monkeypatch.setattr(time, clock, forbidden)
    for chance in ("random", "randrange", "randint", "choice", "choices", "shuffle", "sample"):
        monkeypatch.setattr(random, chance, forbidden)
    picked = [dispatch.start("client", now) for now in range(20)]
    dispatch.finish(picked[0], 0.1, 20.0)
    monkeypatch.undo()
    assert sum(dispatch.upstreams.load) == 19


def test_dispatch_tells_the_balancer_how_long_an_answer_took(register_balancer) -> None:
    class Listening(balancing_policies["random"]):
        def finished(self, index: int, elapsed: float, now: float) -> None:
            heard.append((index, elapsed, now, list(self.upstreams.load)))

    heard: list[tuple[int, float, float, list[int]]] = []
    register_balancer("listening", Listening)
    dispatch = Dispatch("listening", [1.0], random.Random(1))
    dispatch.start(None, 1.0)
    dispatch.start(None, 2.0)
    dispatch.finish(0, 0.25, 3.0)
    assert heard == [(0, 0.25, 3.0, [1])]


@pytest.fixture
def register_balancer(monkeypatch: pytest.MonkeyPatch):
    def register(name: str, policy: type) -> None:
        monkeypatch.setitem(balancing_policies._classes, name, policy)

    return register


def test_an_unknown_balancer_is_named_with_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"^unknown balancing policy 'round_robbin' \(did you mean 'round_robin'\?\)$"
    ):
        Dispatch("round_robbin", [1.0], random.Random(1))


@pytest.mark.parametrize("weight", [[], [0.0], [1.0, -1.0]])
def test_a_service_without_upstreams_or_with_weights_that_are_not_positive_is_refused(
    weight: list[float],
) -> None:
    with pytest.raises(ValueError, match="at least one upstream, each with a positive weight"):
        Upstreams(weight)


def test_cost_is_the_load_per_weight_that_one_more_request_would_bring() -> None:
    upstreams = Upstreams([1.0, 2.0, 0.5])
    upstreams.load = [1, 3, 0]
    assert [upstreams.cost(index) for index in range(3)] == [2.0, 2.0, 2.0]
    assert not upstreams.equal and Upstreams([3.0, 3.0]).equal


def test_both_twins_draw_the_same_chance_for_a_service() -> None:
    assert dispatch_rng(7, "web").random() == dispatch_rng(7, "web").random()
    assert len({dispatch_rng(seed, name).random() for seed in (7, 8) for name in ("web", "api")}) == 4
    assert dispatch_rng(None, "web").random() != dispatch_rng(None, "web").random(), (
        "unseeded: no plan at all"
    )
