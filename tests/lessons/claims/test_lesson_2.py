"""What lesson 2 says, and what its formulas and simulations compute."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lessons.balancing import (
    HASHING,
    POOL_BALANCERS,
    ServerPool,
    by_age,
    knowledge_runs,
    mean_of_choices,
    one_more_server,
    share_moved,
    simulate_pool,
)
from lessons.balancing.exercise import _CASES, _least_moved
from lessons.balancing.explorer import LOADS, SLOW, SNAPSHOT_INTERVALS
from lessons.balancing.formulas import at_least
from lessons.balancing.server_pool import SERVERS, WORK_S
from lessons.kit import simulated
from policies import balancing_policies
from scenarios import Scenario
from simulator import Costs, simulate
from twin.confirm.compare import TOLERANCE

AGES = (0, 0.5, 1, 2, 5, 10)


def scenario() -> Scenario:
    return ServerPool(0.9).scenario().scenario


def rate() -> float:
    return scenario().workload.rate or 0.0


def mean(name: str, **pool: Any) -> float:
    return simulate_pool(ServerPool(**pool))[name].mean


def avoided(name: str, by: str, load: float = 0.9) -> float:
    """The share of the waiting under `by` that `name` avoids."""
    return 1 - (mean(name, load=load) - 1) / (mean(by, load=load) - 1)


@functools.cache
def moved(balance: str) -> float:
    before, after = (simulated(one_more_server(balance), variant=number).records for number in (0, 1))
    return share_moved(before, after)


def consistent() -> tuple[float, float]:
    """The clients in one of whom moves, for the ways of consistent hashing."""
    shares = [1 / moved(name) for name in HASHING[1:]]
    return min(shares), max(shares)


def same_remainder() -> float:
    """The clients of whom one has the same remainder for ten servers and for eleven."""
    return 110 / sum(number % 10 == number % 11 for number in range(110))


def aged(name: str) -> list[float]:
    return list(by_age(ServerPool(0.9), AGES, ["random", "p2c", "least_requests"])[name])


def ages_are_as_drawn() -> bool:
    drawn = {name: aged(name) for name in ("random", "p2c", "least_requests")}
    best = min(drawn, key=lambda name: drawn[name][0])
    worst = max(drawn, key=lambda name: drawn[name][-1])
    slowly = max(after / before for before, after in zip(drawn["p2c"], drawn["p2c"][1:], strict=False))
    return best == worst == "least_requests" and slowly < 1.3 and len(set(drawn["random"])) == 1


def capacity_of_a_server(slow: float = 1.0) -> float:
    return 1 / (WORK_S * slow)


def a_tenth_of_the_requests() -> float:
    return (ServerPool(0.75).scenario().scenario.workload.rate or 0.0) / SERVERS


def ever_settling(**pool: Any) -> list[str]:
    found = simulate_pool(ServerPool(**pool))
    return [name for name in POOL_BALANCERS if found[name].settles]


def fast_queues_are_short() -> bool:
    """At a load of 0.8, five requests at a server are 300 times as rare with two choices as with one."""
    return at_least(5, 0.8, 2) < at_least(5, 0.8, 1) / 300


CLAIMS: dict[str, Callable[[], Sequence[Any] | bool]] = {
    "*Ten servers are 90 % busy.": lambda: [SERVERS, 100 * rate() * WORK_S / SERVERS],
    "**confirm** it on a real proxy with ten real servers": lambda: [
        len(knowledge_runs().scenario.replicas),
    ],
    "Requests arrive at random moments, 225 per second. Each is 40 ms of work": lambda: [
        rate(), 1e3 * scenario().backend["web"].service_time.mean,
    ],
    "so the load is 0.9.": lambda: [rate() * WORK_S / SERVERS],
    "load 0.9: mean with random": lambda: [rate() * WORK_S / SERVERS],
    "source_hash, 10 → 11 servers": lambda: [
        len(variant.scenario.replicas) for variant in one_more_server("source_hash").variants
    ],
    "Move the **load** down to 0.5.": lambda: [(LOADS[0], 0.5)],
    "Make **server 9 slower** by 3, at a load of 0.75. Two balancers *never settle*": lambda: [
        SERVERS - 1, (SLOW[0], 3), (LOADS[0], 0.75), 4 - len(ever_settling(load=0.75, slow=3)),
    ],
    "Move the **snapshot interval** up to 5. Now": lambda: [(SNAPSHOT_INTERVALS[0], 5)],
    "Which balancer was best, and which one is best now?": lambda: bool(
        mean("least_requests") == min(mean(name) for name in POOL_BALANCERS)
        and mean("p2c", snapshot_interval=5)
        == min(mean(name, snapshot_interval=5) for name in POOL_BALANCERS)
    ),
    "A balancer that looks at **two** servers avoids about three quarters of the waiting that random choice "
    "causes.": lambda: [2, avoided("p2c", "random")],
    "What it leaves is short, and a balancer that looks at all ten avoids about half of that, too.": lambda: [
        avoided("least_requests", "p2c"),
    ],
    "is **worse than random choice** if its knowledge is 5 mean service times old.": lambda: [
        (5, 5 * mean("least_requests", snapshot_interval=5) / mean("random")),
    ],
    "and a far shorter queue for `round_robin`.": lambda: bool(
        5 * (mean("round_robin", work="equal") - 1) < mean("random", work="equal") - 1
    ),
    "send it a tenth of all requests, no matter how slow it is. At a load of 0.75, a tenth of the requests "
    "is three quarters of what a healthy server can do.": lambda: [
        1 / SERVERS, 0.75, 1 / SERVERS, a_tenth_of_the_requests() / capacity_of_a_server(),
    ],
    "It is two and a quarter times what a server can do that is three times slower.": lambda: [
        a_tenth_of_the_requests() / capacity_of_a_server(3.0), 3,
    ],
    "The exponent is 1, 2, 3, 4 … under random choice. With two choices it is 1, 3, 7, 15 …, so it": lambda: [
        1, 2, 3, 4, 2, *(2**k - 1 for k in (1, 2, 3, 4)),
    ],
    "Long queues nearly vanish.": fast_queues_are_short,
    "those under p2c fall as steeply as the second": fast_queues_are_short,
    "simulated with ten": lambda: [SERVERS],
    "the queues are less even, so the simulated mean is about 11 % higher.": lambda: [
        100 * simulate_pool(ServerPool(0.8), ["p2c"], 100.0)["p2c"].mean / mean_of_choices(0.8, 2) - 100,
    ],
    "about 45 requests in 5 mean service times.": lambda: [rate() * 5 * WORK_S, 5],
    "least_requests is best with fresh loads and worst with old ones; p2c gets worse slowly, random never.": (
        ages_are_as_drawn
    ),
    "Now a real proxy, ten real servers": lambda: [SERVERS],
    "Four variants run": lambda: [len(knowledge_runs().variants)],
    "with snapshots of the loads every 5 mean service times (200 ms)": lambda: [
        knowledge_runs().variants[-1].scenario.proxy.service["web"].load_snapshot / WORK_S,
        1e3 * knowledge_runs().variants[-1].scenario.proxy.service["web"].load_snapshot,
    ],
    "the throughput is within 2 %, of the mean within 5 %, and of p95 within 8 %.": lambda: [
        100 * TOLERANCE[name] for name in ("throughput_rps", "mean_ms", "p95_ms")
    ],
    "(Two seconds are short. They begin with empty queues, and at a load of 0.9": lambda: [
        knowledge_runs().scenario.duration, (knowledge_runs().scenario.workload.rate or 0) * WORK_S / SERVERS,
    ],
    "Four hundred clients send requests": lambda: [one_more_server("maglev").scenario.workload.users or 0],
    "only if its hash has the same remainder for 10 and for 11. That is true for one client in eleven.": (
        lambda: [10, 11, same_remainder()]
    ),
    "moves only the clients that the new server takes: also one in eleven.": lambda: [
        1 / _least_moved(10, 11),
    ],
    "The shares are equal, and nearly as few clients move.": lambda: bool(moved("maglev") < 1.3 / 11),
    "(The measured share is that of 120 clients, the simulated one that of 400.)": lambda: [
        one_more_server("maglev", users=120).scenario.workload.users or 0,
        one_more_server("maglev").scenario.workload.users or 0,
    ],
    "* Two choices avoid about three quarters of the waiting that random choice causes. Knowledge of all "
    "servers avoids about half of the rest, or more if the load is lower.": lambda: [
        2, avoided("p2c", "random"),
        (avoided("least_requests", "p2c"), avoided("least_requests", "p2c", 0.7) - 0.2),
    ],
    "round robin is enough.": lambda: bool(
        mean("round_robin", work="equal") == min(mean(name, work="equal") for name in POOL_BALANCERS)
    ),
    "the result is worse than without any knowledge.": lambda: bool(
        mean("least_requests", snapshot_interval=5) > mean("random")
    ),
    "A little randomness protects against this.": lambda: bool(
        mean("p2c", snapshot_interval=5) < mean("random")
    ),
    "moves about one client in eleven when an eleventh server joins; the remainder moves ten in eleven": (
        lambda: [consistent(), 11 * moved("source_hash"), 11]
    ),
    "At which age of the loads does `least_requests` become worse than `round_robin`?": lambda: bool(
        aged("least_requests")[0] < mean("round_robin") < aged("least_requests")[-1]
    ),
    "with loads that are 5 mean service times old, as good as `random`?": lambda: [
        (5, 5 * mean("least_requests", load=0.4, snapshot_interval=5) / mean("random", load=0.4)),
    ],
    "`bounded_ring_hash` gives no server more than 1.25 times the mean load.": lambda: [
        balancing_policies["bounded_ring_hash"].BOUND,
    ],
    "9 % for 10 → 11.": lambda: [100 * _least_moved(*_CASES[0]), *_CASES[0]],
    "after: 1 client in 11.": lambda: [1, same_remainder()],
}  # fmt: skip

OTHERS = {
    "a question, which the lesson answers": (
        "knows nothing, one knows a little, and one knows everything", "How little is enough?",
        "how much time does one request cost",
    ),
    "definition": (
        "formulas for random choice, round robin, and two choices", "1 means that no request waits",
        "many are shorter, a few are much longer", "it draws two at random, and takes the one with fewer",
        "| two numbers |", "With two choices, a request becomes number", "difference between two real runs",
        "a number between 0 and 1.", "compares longer runs at a load of 0.8",
    ),
    "counted in this very text": (
        "This table shows two surprises",
        "**Two choices.** Why do two numbers help so much?",
    ),
    "a title": ("*The power of two choices",),
    "an argument": (
        "Between two snapshots, the server", "it draws two servers at random",
        "Ten small requests count as much as ten large ones", "That is why ten servers fit",
    ),
    "held below": ("This takes about 25 seconds",),
}  # fmt: skip
REASONS = [piece for pieces in OTHERS.values() for piece in pieces]


@pytest.mark.parametrize("said", CLAIMS)
def test_a_claim_is_what_is_computed(said: str, against_text: Callable[..., None]) -> None:
    against_text(2, said, CLAIMS[said]())


def test_each_number_and_comparison_in_the_text_is_a_claim(uncovered: Callable[..., list[str]]) -> None:
    assert uncovered(2, CLAIMS, REASONS) == []


def test_each_exception_is_in_the_text(unknown: Callable[..., list[str]]) -> None:
    assert unknown(2, REASONS) == []


def test_the_seconds_of_the_confirmation_are_as_planned(
    against_text: Callable[..., None], planned_s: Callable[[int], float]
) -> None:
    against_text(2, "This takes about 25 seconds", [(planned_s(2) + 3, planned_s(2) + 9)])


def test_two_seconds_are_too_short_for_the_queues_of_random() -> None:
    """In both ratios that the lesson confirms, random choice has the shorter queues of a short run."""
    short = {variant.label: simulated_mean(variant.scenario) for variant in knowledge_runs().variants}
    assert short["random"] / short["p2c"] < mean("random") / mean("p2c")
    old = mean("least_requests", snapshot_interval=5)
    assert short["old loads"] / short["random"] < old / mean("random")


def simulated_mean(one: Scenario) -> float:
    return simulate(one, costs=Costs.zero()).summary.mean_ms
