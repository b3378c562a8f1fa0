"""What lesson 9 says, and what the formulas, the settings and the simulator compute."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lessons.microservices import (
    BUDGET,
    PAGE,
    REMEDIES,
    finite_queue,
    harmonic,
    healing_s,
    page_ms,
    retries,
    simulated_limit,
    simulated_storm,
    slow_pages,
    storm_of,
    storm_runs,
    storm_variant,
)
from lessons.microservices.exercise import _CASES, _budget
from lessons.microservices.fan_out import CALL_MS, SLOW_MS
from lessons.microservices.limits import CAPACITY_RPS as SERVICE_RPS
from lessons.microservices.limits import FIXED, LIMITS, SLOTS, THRESHOLD_MS, WORK_MS
from lessons.microservices.remedies import healing
from lessons.microservices.scenarios import CALLS
from lessons.microservices.storm import CAPACITY_RPS, LIMIT_S, LOAD_RPS, OUTAGE_S, RETRIES, SLOWER
from policies.concurrency.aimd import FALL
from scenarios import Scenario

LATE = CAPACITY_RPS * LIMIT_S
"""Requests at the server above which answers come too late."""


def shipped() -> Scenario:
    return storm_variant(retries()).scenario


def capacity() -> float:
    web = shipped().backend["web"]
    return web.concurrency / web.service_time.mean


def outage_s() -> float:
    begin, end = shipped().backend["web"].slow_during[0]
    return end - begin


def remedy(name: str) -> Any:
    return storm_variant(REMEDIES[name]).scenario.proxy.service["web"]


def healed(budget: float) -> float:
    """Ten times the outage."""
    found = storm_of(storm_variant(retries(budget), outage_s=6.0, duration_s=120)).healed_s
    assert found is not None
    return found


def formula_is_off_by() -> float:
    return max(abs(healing_s(65, b, 6.0) / healed(b) - 1) for b in (0.0, 0.1, 0.2, 0.3, 0.4))


def each_step_costs_more() -> bool:
    steps = [after - before for before, after in itertools.pairwise(map(healed, (0.0, 0.1, 0.2, 0.3, 0.4)))]
    return all(before < after for before, after in itertools.pairwise(steps))


def busy(load: float = 1.5, slower: float = 1.0) -> bool:
    return all(simulated_limit(name, load, slower).goodput > 0.97 for name in LIMITS)


def longest_ms() -> float:
    return max(simulated_limit(name, 1.5).mean_ms for name in LIMITS if name != "no limit")


def vegas_in_the_end() -> float:
    return 100 * float(simulated_limit("vegas", 0.6, 3.0, 240).done[-20:].mean())


def no_storm(outage: float, load: int = LOAD_RPS) -> bool:
    found = simulated_storm(load, 3.0, outage).healed_s
    return found is not None


CLAIMS: dict[str, Callable[[], Sequence[Any] | bool]] = {
    "A page makes five calls at once,": lambda: [CALLS],
    "A call takes 20 ms on average (exponential)": lambda: [CALL_MS],
    "A server can do 100 requests per second, and 65 come. For 0.6 s the server is ten times as slow.":
        lambda: [capacity(), LOAD_RPS, outage_s(), shipped().backend["web"].slow[0]],
    "gives up an attempt after 200 ms, and then repeats it, up to three times.": lambda: [
        1e3 * (shipped().proxy.route[0].try_timeout or 0), shipped().proxy.service["web"].retry.attempts - 1,
    ],
    "only one retry for every five requests: a **retry budget** of 0.2.": lambda: [
        1 / remedy("budget 0.2").retry.budget, remedy("budget 0.2").retry.budget,
    ],
    "| `one retry` | one retry instead of three |": lambda: [RETRIES],
    "wait before each retry: about 50 ms, then 100 ms, then 200 ms": lambda: [
        1e3 * remedy("backoff").retry.backoff * factor for factor in (1, 2, 4)
    ],
    "| `budget 0.2` | one retry for every five requests |": lambda: [1 / remedy("budget 0.2").retry.budget],
    "three retries for every five requests": lambda: [5 * remedy("budget 0.6").retry.budget, 5],
    "the proxy lets 8 requests through at once, and refuses all others": lambda: [
        remedy("queue of 8").queue.in_flight if remedy("queue of 8").queue.wait == 0 else 0,
    ],
    "the proxy lets 24 requests through at once": lambda: [remedy("queue of 24").queue.in_flight],
    "the proxy lets four through;": lambda: [remedy("newest first").queue.in_flight],
    "after five failures in a row, refuse everything for 300 ms": lambda: [
        remedy("breaker").breaker.failures, 1e3 * remedy("breaker").breaker.open,
    ],
    "a page of five calls": lambda: [CALLS],
    "budget 0.2: served well again after": lambda: [remedy(BUDGET).retry.budget],
    "Some calls take 200 ms longer": lambda: [SLOW_MS],
    "With 100 calls, 63 % slow pages become 1 %.": lambda: [
        100, 100 * slow_pages(100, 0.01), 100 * slow_pages(100, 0.01, attempts=2),
    ],
    "a budget of 300 % pays for all three": lambda: [100 * RETRIES],
    "It can do 100 per second, so what has more than 20 requests before it waits longer than 200 ms.":
        lambda: [capacity(), LATE, 1e3 * LIMIT_S],
    "The outage ends after 0.6 s": lambda: [OUTAGE_S],
    "Back to 300 %. Make the outage shorter. At 0.2 s nothing happens. At 0.3 s the storm never ends.":
        lambda: [100 * RETRIES, 0.2 if no_storm(0.2) else 0, 0.3 if not no_storm(0.3) else 0],
    "Lower the load to 20 per second. Why can no outage start a storm now?": lambda: [
        20 if 20 * (1 + RETRIES) < CAPACITY_RPS and no_storm(1.5, 20) else 0,
    ],
    "Six of the ten heal. **Backoff does not**": lambda: [
        len(healing()) if "backoff" not in healing() else 0,
    ],
    "**One retry instead of three does not** either.": lambda: [
        RETRIES if "one retry" not in healing() else 0,
    ],
    "ten slots, 40 ms of work for a request, so it can do 250 per second.": lambda: [
        SLOTS, WORK_MS, SERVICE_RPS,
    ],
    "`fixed`: 20 requests at once, always.": lambda: [FIXED],
    "a tenth less after a window in which one request of ten took longer than 120 ms, three times the work.":
        lambda: [1 - FALL, 10, THRESHOLD_MS, THRESHOLD_MS / WORK_MS],
    "Under overload all four are busy": busy,
    "With one, it stays under 100 ms": lambda: [(longest_ms(), 100)],
    "Set the load to 0.6, and let the service become three times as slow": lambda: [0.6, 3],
    "It answers 11 % of what the service can do.": lambda: [100 * simulated_limit("aimd", 0.6, 3.0).goodput],
    "`vegas` falls to 59 %.": lambda: [100 * simulated_limit("vegas", 0.6, 3.0).goodput],
    "a hundred calls take 5.19 times as long as one, not a hundred times": lambda: [100, harmonic(100), 100],
    "Free retries are a budget of 3.": lambda: [RETRIES],
    "So here is one that is ten times as long, 6 s:": lambda: [10, 10 * OUTAGE_S],
    "The formula is off by less than a tenth.": lambda: [(formula_is_off_by(), 0.1)],
    "costs more time than the one before": each_step_costs_more,
    "at 0.54 it takes forever": lambda: [CAPACITY_RPS / LOAD_RPS - 1],
    "A limit of 20 refuses 33.4 %: twice as many places as slots lose next to nothing.": lambda: [
        FIXED, 100 * finite_queue(1.5, FIXED)[0], FIXED / SLOTS,
    ],
    "A third of the requests must be refused in any case": lambda: [1 - 1 / 1.5],
    "because the service can do no more than two thirds of them": lambda: [1 / 1.5],
    "And a limit of 40 would only double the time, to 3.8 times the work.": lambda: [
        40, finite_queue(1.5, 40)[1] / finite_queue(1.5, FIXED)[1], finite_queue(1.5, 40)[1],
    ],
    "A request then takes 200 ms, exactly as long as its client waits": lambda: [
        1e3 * SLOWER * shipped().backend["web"].service_time.mean if SLOWER * 0.02 == LIMIT_S else 0,
    ],
    "The backend really is ten times as slow for 0.6 s.": lambda: [SLOWER, outage_s()],
    "Four short runs: the page of five calls, free retries, the budget of 0.2, and the deadline.": lambda: [
        len(storm_runs().variants), CALLS, remedy(BUDGET).retry.budget,
    ],
    "have waited for just under 200 ms": lambda: [1e3 * LIMIT_S],
    "But each needs 20 ms of work": lambda: [1e3 * shipped().backend["web"].service_time.mean],
    "it finds the new capacity: 99 %.": lambda: [vegas_in_the_end()],
    "If each of three services in a row makes four attempts, one click becomes 64 attempts": lambda: [
        3, RETRIES + 1, (RETRIES + 1) ** 3,
    ],
    "With 70 requests per second, a capacity of 100 and an outage of 10 s, a budget of 0.22 heals within "
    "60 s.": lambda: [*_CASES[0][:3], _budget(*_CASES[0]), _CASES[0][3]],
    "A budget of 0.43 would never do.": lambda: [_CASES[0][1] / _CASES[0][0] - 1],
}  # fmt: skip

OTHERS: dict[str, tuple[str, ...]] = {
    "counted in this very text": ("**predict** three numbers",),
    "a place of a slider": (
        "Only 1 % of the calls are slow. Move the calls to 100.", "Set the slow calls to 0.",
        "Lower the budget: 60 %, 50 %, 40 %, 20 %.", "It begins with 1.5 times as many requests",
    ),
    "a definition": (
        "free retries: good answers, 1.5 s after the outage and later",
    ),
    "said before": (
        "only a little later", "With three retries the queue", "Give it three again. And let `vegas` run for",
        "240 s before the service that is three times as slow", "deadline, three retries: good answers",
    ),
    "a row of a table": (
        "ten calls, 1 % slow", "fork and join, half busy", "limit of 20: refused", "limit of 20: mean time",
    ),
    "a formula in words": (
        "an exact formula only for two calls: **fork and join**, with two servers",
        "With exponential work, ten slots and a limit of $L$", "At 1.5 times the capacity:",
    ),
    "an argument": ("Forty users who wait for their answers cannot have more than forty requests",),
    "a question": ("is safe at 80 requests per second", "starts a storm at 40 requests per second"),
    "held below": ("This takes less than half a minute",),
}  # fmt: skip
REASONS = [piece for pieces in OTHERS.values() for piece in pieces]


@pytest.mark.parametrize("said", CLAIMS)
def test_a_claim_is_what_is_computed(said: str, against_text: Callable[..., None]) -> None:
    against_text(9, said, CLAIMS[said]())


def test_each_number_and_comparison_in_the_text_is_a_claim(uncovered: Callable[..., list[str]]) -> None:
    assert uncovered(9, CLAIMS, REASONS) == []


def test_each_exception_is_in_the_text(unknown: Callable[..., list[str]]) -> None:
    assert unknown(9, REASONS) == []


def test_the_runs_of_the_confirmation_take_less_than_half_a_minute(
    against_text: Callable[..., None], planned_s: Callable[[int], float]
) -> None:
    against_text(9, "This takes less than half a minute", [((planned_s(9) + 9) / 60, 0.5)])


def test_the_numbers_in_formulas_are_those_of_the_scenario() -> None:
    """In formulas, numbers are not seen by the other tests: C tau = 20, C/lambda - 1 = 0.54, S / n."""
    assert LATE == 20 and SLOWER == 10
    assert pytest.approx(0.54, abs=0.005) == CAPACITY_RPS / LOAD_RPS - 1
    assert page_ms(10) == pytest.approx(CALL_MS * harmonic(10), rel=1e-4)
    page = next(variant.scenario for variant in storm_runs().variants if variant.label == PAGE)
    assert page.workload.fanout == CALLS and page.backend["web"].service_time.mean * 1e3 == CALL_MS
