"""What lesson 1 says, and what the scenario, the simulator and the laws compute."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lessons.predict_then_confirm import BALANCERS, order_by_p99, simulate_balancers, slow_server
from lessons.predict_then_confirm.balancers import SLOW_REPLICA
from lessons.predict_then_confirm.exercise import _CASES, _fair_share
from policies import Balancer, balancing_policies, balancing_policy
from scenarios import Scenario
from simulator import Costs, simulate
from twin.confirm.compare import TOLERANCE

FELL, SPARED = ("round_robin", "random"), ("p2c", "least_requests")


@functools.cache
def scenario(balancer: str = "round_robin", duration_s: float = 10.0) -> Scenario:
    return slow_server(balancers=[balancer], duration_s=duration_s).variants[0].scenario


def p99(name: str, slowness: float = 3.0, users: int = 90) -> float:
    return simulate_balancers(users, slowness)[name].summary.p99_ms


def growth(names: Sequence[str], before: float, after: float) -> list[float]:
    return [p99(name, after) / p99(name, before) for name in names]


def span(values: Iterable[float]) -> tuple[float, float]:
    return min(values := list(values)), max(values)


def work_ms(replica: int = 0) -> float:
    backend = scenario().backend["web"]
    return 1e3 * backend.service_time.mean * backend.slowness(replica)


def slots() -> int:
    return scenario().backend["web"].concurrency


def slow_share(name: str = "least_requests") -> float:
    return simulate_balancers()[name].slow_share


def knee(slowness: float = 3.0) -> float:
    capacity_rps = 4 * slots() / (slowness * work_ms() / 1e3)
    think_s = scenario().workload.think
    assert think_s is not None
    return capacity_rps * (think_s.mean + (3 + slowness) * work_ms() / 4e3)


def waiting_ms(name: str) -> float:
    """Mean time in the system, minus the mean work of the requests as they were spread."""
    found = simulate_balancers()[name]
    return found.summary.mean_ms - work_ms() * (1 + (3.0 - 1) * found.slow_share)


@functools.cache
def means_with_other_costs(name: str) -> tuple[float, ...]:
    """The mean of the confirmed runs, with a cost up to 0.18 ms higher."""
    (short,) = (v.scenario for v in slow_server(balancers=[name], duration_s=2.5, warmup_s=0.5).variants)
    costs = [replace(Costs(), service_extra=Costs().service_extra + 2e-5 * step) for step in range(10)]
    return tuple(simulate(short, costs=cost).summary.mean_ms for cost in costs)


@functools.cache
def with_least_wait() -> tuple[float, float]:
    """The share of the slow replica and p99 under the balancer of step 5."""

    @balancing_policy("least_wait_of_the_lesson")
    class LeastWait(Balancer):
        def __init__(self, upstreams: Any, *, rng: Any) -> None:
            super().__init__(upstreams, rng=rng)
            self.recent = [0.0] * len(upstreams.load)

        def pick(self, key: str | None, now: float) -> int:
            load = self.upstreams.load
            return min(self.upstreams.available, key=lambda index: (load[index] + 1) * self.recent[index])

        def finished(self, index: int, elapsed: float, now: float) -> None:
            self.recent[index] += 0.1 * (elapsed - self.recent[index])

    try:
        found = simulate_balancers(balancers=["least_wait_of_the_lesson"])["least_wait_of_the_lesson"]
    finally:
        del balancing_policies._classes["least_wait_of_the_lesson"]
    return found.slow_share, found.summary.p99_ms


CLAIMS: dict[str, Callable[[], Sequence[Any] | bool]] = {
    "*One server of four is slow.": lambda: [len(scenario().replicas)],
    "One server of four is slow:": lambda: [len(scenario().replicas)],
    "In this lesson there are four. Each works on up to 4 requests at once.": lambda: [
        len(scenario().replicas), slots(),
    ],
    "One of them is three times slower": lambda: [work_ms(SLOW_REPLICA) / work_ms()],
    "Ninety users send a request, wait for the response, think for 260 ms": lambda: [
        scenario().workload.users or 0, 1e3 * scenario().workload.think.mean,
    ],
    "A fast replica needs 20 ms for a request, the slow one needs 60 ms.": lambda: [
        work_ms(), work_ms(SLOW_REPLICA),
    ],
    "It simulates ten seconds in a moment.": lambda: [scenario().duration],
    "Move *slower* down to 1. Does the balancer matter at all?": lambda: [
        span(growth(BALANCERS, 1.0, 1.0)),
    ],
    "Between 2 and 3, two balancers get much worse suddenly, as if they fell off a cliff": lambda: [
        2.0, 3.0, sum(ratio > 2 for ratio in growth(BALANCERS, 2.0, 3.0)),
    ],
    "their p99 grows to more than four times as much.": lambda: [(3.6, min(growth(FELL, 2.0, 3.0)))],
    "Move it on from 3 to 5. The two that fell grow again, to three or four times as much.": lambda: [
        3.0, 5.0, min(growth(FELL, 3.0, 5.0)), max(growth(FELL, 3.0, 5.0)),
    ],
    "their p99 grows by a third (`least_requests`) to a half (`p2c`).": lambda: [
        growth(["least_requests"], 3.0, 5.0)[0] - 1, growth(["p2c"], 3.0, 5.0)[0] - 1,
    ],
    "With 60 users there is no cliff yet.": lambda: [(0, knee())],
    "With `round_robin` p99 is about three times as long: 340 ms, against 111 ms with": lambda: [
        p99("round_robin") / p99("least_requests"), p99("round_robin"), p99("least_requests"),
    ],
    "But look at the 111 ms. With `least_requests` a request waits for less than 1 ms on average": lambda: [
        p99("least_requests"), (waiting_ms("least_requests"), 1.4),
    ],
    "p99 is still more than twice as long as with four equal replicas (49 ms)": lambda: [
        (2, p99("least_requests") / p99("least_requests", 1.0)), 4, p99("least_requests", 1.0),
    ],
    "It still sends more than one request in ten to the slow replica": lambda: [(1 / slow_share(), 10)],
    "One in ten is more than one in a hundred.": lambda: [(1 / slow_share(), 10), (1 / slow_share(), 100)],
    "over six runs with different requests": lambda: [order_by_p99.__defaults__[-1]],
    "Round robin sends a quarter of the throughput $X$ to each replica. The slow replica gets a quarter": (
        lambda: [simulate_balancers()["round_robin"].slow_share] * 2
    ),
    "The slow replica can be at most 100 % busy.": lambda: [
        100 * max(simulate_balancers()["round_robin"].busy.values()),
    ],
    "The ninety users of this lesson are beyond the knee, which is at 77 users.": lambda: [
        scenario().workload.users or 0, knee(),
    ],
    "in those twenty seconds the work was a little less than 20 ms on average": lambda: [
        scenario(duration_s=20).duration, (work_ms() - 0.6, work_ms()),
    ],
    "four real backends, and ninety real clients": lambda: [
        len(scenario().replicas), scenario().workload.users or 0,
    ],
    "the throughput is within 2 %, of the mean within 5 %, and of p95 within 8 %.": lambda: [
        100 * TOLERANCE[name] for name in ("throughput_rps", "mean_ms", "p95_ms")
    ],
    "If you raise a cost in the simulator by less than 0.2 ms, the same requests give means up to a quarter "
    "apart.": lambda: [
        0.2, max(means_with_other_costs("round_robin")) / min(means_with_other_costs("round_robin")) - 1,
    ],
    "With `least_requests` the means stay within 3 %.": lambda: [
        (100 * max(means_with_other_costs("least_requests")) / min(means_with_other_costs("least_requests"))
         - 100, 3),
    ],
    "Predicted tails of five balancers": lambda: [len(BALANCERS) + 1],
    "The slow replica now gets only one request in 25, and p99 really falls: from 111 ms to 71 ms": lambda: [
        1 / with_least_wait()[0], p99("least_requests"), with_least_wait()[1],
    ],
    "The throughput of round robin is at most four times that of its slowest replica.": lambda: [
        1 / simulate_balancers()["round_robin"].slow_share,
    ],
    "If one replica of four is three times slower, its fair share is 10 %.": lambda: [
        _CASES[0][1], _CASES[0][0], 100 * _fair_share(*_CASES[0]),
    ],
    "gave it a little more than the fair share": lambda: bool(0.1 < slow_share() < 0.13),
    "At which slowness is the knee at 60 users?": lambda: [next(
        knee(slowness) for slowness in np.arange(1, 8, 0.01) if knee(slowness) < 60.5
    )],
    "(c) One replica is three times slower.": lambda: [work_ms(SLOW_REPLICA) / work_ms()],
}  # fmt: skip

OTHERS = {
    "definition": (
        "99 % of the responses take less time than that.", "crosses the 1 % line at p99",
        "a number between 0 and 1.", "All shares add up to 1",
        "it draws two at random, and takes the one with fewer", "p99 depends on the slowest one in a hundred "
        "requests. As long as more than one in a hundred",
    ),
    "what the student does": (
        "Move it back to 3 and take *users* away.", "Forget faster (0.1 → 0.5)", "Then run the three cells",
    ),
    "counted in this very text": (
        "Three lines of arithmetic", "The two bounds meet", "the lower of the two bounds",
        "three runs could show", "three runs show the noise floor only roughly",
        "can the two be **told apart",
    ),
    "held by the lesson's confirmation": (
        "bodies of 4 MiB instead of 2 KiB, with four users, so that hardly any request waits",
        "They hardly matter on the loopback interface",
    ),
    "not about a size": ("So far everything was computed", "how much time does one request cost"),
    "held below": ("This takes about 25 seconds",),
    "an argument": ("say little about the third digit", "A point may lie a little *above* the bounds"),
}  # fmt: skip
REASONS = [piece for pieces in OTHERS.values() for piece in pieces]


@pytest.mark.parametrize("said", CLAIMS)
def test_a_claim_is_what_is_computed(said: str, against_text: Callable[..., None]) -> None:
    against_text(1, said, CLAIMS[said]())


def test_each_number_and_comparison_in_the_text_is_a_claim(uncovered: Callable[..., list[str]]) -> None:
    assert uncovered(1, CLAIMS, REASONS) == []


def test_each_exception_is_in_the_text(unknown: Callable[..., list[str]]) -> None:
    assert unknown(1, REASONS) == []


def test_the_seconds_of_the_confirmation_are_as_planned(
    against_text: Callable[..., None], planned_s: Callable[[int], float]
) -> None:
    against_text(1, "This takes about 25 seconds", [(planned_s(1) + 3, planned_s(1) + 9)])


def test_of_the_balancers_only_the_two_best_cannot_be_told_apart() -> None:
    order = order_by_p99()
    assert str(order) == "least_requests ≈ p2c < round_robin < random"
    assert len(order_by_p99(slowness=1.0, runs=3).apart) <= 2, "without a slow replica it hardly matters"
