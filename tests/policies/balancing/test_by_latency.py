"""Peak EWMA and Prequal: an upstream that was slow recently gets fewer requests."""

import math
import random
from collections import Counter

import pytest

from policies.balancing import Dispatch
from policies.balancing.latency import Latency


def test_an_average_follows_and_fades() -> None:
    latency = Latency(2, peak=False)
    assert latency.expected(0, 5.0) == 0.0
    latency.observe(0, 1.0, 10.0)
    latency.observe(0, 3.0, 20.0)
    kept = math.exp(-1)
    assert latency.expected(0, 20.0) == pytest.approx(kept + 3 * (1 - kept))
    assert latency.expected(0, 30.0) == pytest.approx((kept + 3 * (1 - kept)) * kept)
    assert latency.expected(1, 30.0) == 0.0


def test_a_peak_is_believed_at_once_and_forgotten_slowly() -> None:
    latency = Latency(1, peak=True)
    for elapsed, now in ((0.1, 0.0), (2.0, 0.1), (0.1, 0.2)):
        latency.observe(0, elapsed, now)
    assert 1.9 < latency.expected(0, 0.2) < 2.0


def test_ranks_order_by_what_is_expected_at_any_time() -> None:
    latency = Latency(3, peak=False)
    latency.observe(0, 1.0, 0.0)
    latency.observe(1, 0.5, 9.0)
    latency.observe(2, 0.5, 2.0)
    for now in (9.0, 50.0):
        by_value = sorted(range(3), key=lambda index: latency.expected(index, now))
        assert by_value == sorted(range(3), key=lambda index: latency.rank[index])


@pytest.mark.parametrize("policy", ["peak_ewma", "prequal"])
def test_a_slow_upstream_gets_little_but_is_not_forgotten(policy: str) -> None:
    """Upstream 2 takes ten times as long; each request ends before the next one starts."""
    dispatch = Dispatch(policy, [1.0] * 4, random.Random(4))
    picked: Counter[int] = Counter()
    now = 0.0
    for _ in range(4_000):
        index = dispatch.start(None, now)
        picked[index] += 1
        now += 0.02
        dispatch.finish(index, 1.0 if index == 2 else 0.1, now)
    assert 0 < picked[2] < 0.1 * 4_000
    assert min(picked[index] for index in (0, 1, 3)) > 0.2 * 4_000


def test_peak_ewma_multiplies_latency_by_load(balancer) -> None:
    picks = balancer("peak_ewma", [2, 0])
    picks.finished(0, 0.1, 0.0)
    picks.finished(1, 0.2, 0.0)
    assert {picks.pick(None, 0.0) for _ in range(20)} == {1}, "0.1 s times three, or 0.2 s times one"
    picks.upstreams.load[1] = 1
    assert {picks.pick(None, 0.0) for _ in range(20)} == {0}, "0.1 s times three, or 0.2 s times two"


def test_peak_ewma_needs_one_slow_answer_only(balancer) -> None:
    picks = balancer("peak_ewma", [0, 0])
    for index, elapsed in [(0, 0.1), (1, 0.3)] * 20 + [(0, 2.0)]:
        picks.finished(index, elapsed, 1.0)
    assert {picks.pick(None, 1.0) for _ in range(20)} == {1}


def test_peak_ewma_leaves_alone_who_is_busy_and_never_answered(balancer) -> None:
    picks = balancer("peak_ewma", [1, 50])
    picks.finished(1, 3.0, 0.0)
    assert {picks.pick(None, 0.0) for _ in range(20)} == {1}


def test_peak_ewma_counts_per_weight(balancer) -> None:
    picks = balancer("peak_ewma", [3, 3], weight=[1.0, 3.0])
    for index, elapsed in ((0, 0.2), (1, 0.4)):
        picks.finished(index, elapsed, 0.0)
    assert {picks.pick(None, 0.0) for _ in range(20)} == {1}


def test_prequal_takes_the_fastest_that_is_not_hot(balancer) -> None:
    """Upstream 0 is the fastest, but has the most in flight; of the others 3 is the fastest."""
    picks = balancer("prequal", [90, 1, 1, 1, 1, 1, 1, 1])
    for index in range(8):
        picks.finished(index, 0.01 if index == 0 else 0.1 if index == 3 else 0.5, 0.0)
    picked = Counter(picks.pick(None, 0.0) for _ in range(2_000))
    assert picked[3] > 1_500 and picked[0] < 200


def test_prequal_forgets_probes_of_who_went_down(balancer) -> None:
    picks = balancer("prequal", [0] * 4)
    for _ in range(10):
        picks.pick(None, 0.0)
    picks.upstreams.mark_down(2)
    assert 2 not in {picks.pick(None, 0.0) for _ in range(200)}
