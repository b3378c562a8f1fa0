"""Concurrency limits: their rules with exact numbers, and what they find before a service of ten slots."""

import heapq
import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.concurrency import ConcurrencyLimit, Window, concurrency_limits
from policies.contract import PolicyFault
from policies.registry import Registry


def limit_of(name: str, initial: int = 20, **bounds: int) -> ConcurrencyLimit:
    return concurrency_limits.build(name, initial, latency=0.09, rng=random.Random(1), **bounds)


def full(latency: float, limit: float = 1000.0, *, dropped: bool = False) -> Window:
    return Window([latency] * 10, math.ceil(limit), dropped)


@pytest.mark.parametrize("limit", [4.0, 10.0, 20.0, 100.0, 400.0])
def test_vegas_grows_stays_and_falls_by_the_queue_that_the_latency_reveals(limit: float) -> None:
    step = max(1.0, math.log10(limit))
    for part, change in ((0.5, 6.0), (1.5, 1.0), (4.0, 0.0), (6.5, -1.0)):
        queue = int(part * step) if part < 1 or part * step < limit - 1 else int(limit) - 1
        vegas = limit_of("vegas")
        vegas.value = limit
        vegas.update(full(0.030))  # the shortest latency
        if queue == 0:
            continue
        latency = 0.030 / (1 - (queue - 0.5) / limit)  # so that the queue is rounded up to this
        expected = 6.0 if queue <= step else 1.0 if queue < 3 * step else 0.0 if queue <= 6 * step else -1.0
        assert vegas.update(full(latency)) == pytest.approx(limit + expected * step), (queue, change)


def test_vegas_falls_with_a_failure_and_stays_while_half_is_free() -> None:
    vegas = limit_of("vegas")
    vegas.update(full(0.030))
    assert vegas.update(full(0.030, dropped=True)) == 20 - math.log10(20)
    assert vegas.update(Window([], 20, True)) == 20 - math.log10(20)
    assert vegas.update(full(0.300, 9)) == 20
    assert vegas.update(full(0.300, 10)) == 20 - math.log10(20)


def test_aimd_grows_by_one_and_falls_by_a_tenth() -> None:
    aimd = limit_of("aimd")
    assert aimd.update(full(0.089, 10)) == 21
    assert aimd.update(full(0.089, 9)) == 20
    assert aimd.update(full(0.091, 10)) == 18
    assert aimd.update(full(0.030, 10, dropped=True)) == 18
    nine_of_ten = Window([0.030] * 18 + [0.5] * 2, 20, False)
    assert aimd.update(nine_of_ten) == 21, "the 90th percentile is not above the threshold"
    assert aimd.update(Window([0.030] * 17 + [0.5] * 3, 20, False)) == 18


def test_windows_last_a_tenth_of_a_second_and_have_ten_samples() -> None:
    aimd = limit_of("aimd")
    for number in range(40):
        aimd.sample(number * 0.004, 0.03, 20, False)  # from 0 on: the 26th comes after 0.1 s
        assert aimd.limit(0.0) == (20 if number < 25 else 21), number
    seldom = limit_of("aimd")
    for number in range(10):
        assert seldom.limit(0.0) == 20
        seldom.sample(float(number), 0.03, 20, False)
    assert seldom.limit(0.0) == 21


def test_failed_requests_count_as_drops_and_not_by_their_latency() -> None:
    for name, after in (("vegas", 20 - math.log10(20)), ("aimd", 18.0), ("fixed", 20.0)):
        limit = limit_of(name)
        for number in range(10):
            limit.sample(float(number), 0.001, 20, number == 4)
        assert limit.value == after


SAMPLES = st.lists(
    st.tuples(st.floats(0, 1), st.floats(1e-6, 10), st.integers(1, 2000), st.booleans()), max_size=300
)


@given(st.sampled_from(["vegas", "aimd", "fixed"]), st.integers(1, 50), st.integers(0, 50), SAMPLES)
def test_a_limit_stays_within_its_bounds_and_is_never_below_one(
    name: str, least: int, more: int, samples: list[tuple[float, float, int, bool]]
) -> None:
    limit = limit_of(name, least, least=least, most=least + more)
    now = 0.0
    for gap, latency, inflight, failed in samples:
        now += gap
        limit.sample(now, latency, inflight, failed)
        assert least <= limit.limit(now) <= least + more


@given(st.sampled_from(["vegas", "aimd"]), SAMPLES)
def test_a_limit_depends_on_nothing_but_its_samples(
    name: str, samples: list[tuple[float, float, int, bool]]
) -> None:
    one, other = limit_of(name), limit_of(name)
    now = 0.0
    for gap, latency, inflight, failed in samples:
        now += gap
        for limit in (one, other):
            limit.sample(now, latency, inflight, failed)
        assert one.value == other.value


def served(
    limit: ConcurrencyLimit, load: float, seconds: float, slots: int = 10
) -> Iterator[tuple[float, float]]:
    """Ends and latencies of requests before `slots` slots with 30 ms of Erlang-4 work; excess is refused."""
    rng = random.Random(7)
    free = [0.0] * slots
    running: list[tuple[float, float]] = []
    now = 0.0
    while now < seconds:
        now += rng.expovariate(load)
        while running and running[0][0] <= now:
            end, latency = heapq.heappop(running)
            limit.sample(end, latency, len(running) + 1, False)
            yield end, latency
        if len(running) < limit.limit(now):
            end = max(heapq.heappop(free), now) + rng.gammavariate(4, 0.030 / 4)
            heapq.heappush(free, end)
            heapq.heappush(running, (end, end - now))


@pytest.mark.parametrize("start", [5, 20, 200])
def test_vegas_keeps_the_slots_busy_and_the_queue_short_at_one_and_a_half_times_the_capacity(
    start: int,
) -> None:
    """At least 97 % of the capacity, and a mean of at most 1.6 service times."""
    done = [latency for end, latency in served(limit_of("vegas", start), 500.0, 80.0) if end >= 20.0]
    assert len(done) / 60.0 >= 0.97 * 10 / 0.030
    assert sum(done) / len(done) <= 1.6 * 0.030


def test_vegas_stands_out_of_the_way_below_the_capacity() -> None:
    done = [latency for end, latency in served(limit_of("vegas"), 200.0, 30.0) if end >= 5.0]
    assert len(done) / 25.0 == pytest.approx(200.0, rel=0.06)
    assert sum(done) / len(done) <= 0.033


def test_an_own_limit_is_named_when_it_goes_wrong() -> None:
    own = {"__module__": "notebook"}
    late = type("Late", (ConcurrencyLimit,), {**own, "update": lambda *_: None})(20, rng=random.Random(1))
    with pytest.raises(PolicyFault, match=r"Late\.update: returned None"):
        for number in range(10):
            late.sample(float(number), 0.03, 20, False)
    registry: Registry[ConcurrencyLimit] = Registry("limit", ConcurrencyLimit, "value", "rng")
    with pytest.raises(PolicyFault, match="expected a method update"):
        registry.register("nothing")(type("Nothing", (ConcurrencyLimit,), dict(own)))
