"""An outage of ten seconds, and who is served well again when: ten remedies, each with its rule.

One server, first come, first served, C = 100 requests a second, a load of 70 a second, and a time limit of
half a second, after which the server works on for nobody.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scenarios import load_scenario, parse_scenario
from simulator import Costs, simulate
from simulator.result import Run

CAPACITY, LOAD, OUTAGE_S, LIMIT_S = 100.0, 70.0, 10.0, 0.5
RETRIES = {"attempts": 4}
TOLERANCE = 0.1
"""Of a time to heal. Arrivals are drawn at random from a fixed seed."""


def storm(service: dict[str, Any], seed: int = 7) -> Run:
    data = {
        "title": "storm", "seed": seed, "duration": "150s", "warmup": "140s",
        "workload": {"rate": f"{LOAD}/s", "objects": 100},
        "backend": {"web": {"service_time": "10ms", "slow": {"0": 100}, "slow_during": {"0": "10s..20s"}}},
        "proxy": {
            "route": [{"to": "web", "try_timeout": f"{LIMIT_S}s", "timeout": "10s"}],
            "service": {"web": {"upstreams": "web", "deadline": False, **service}},
            "limits": {"threads": 4096},
        },
    }  # fmt: skip
    return simulate(parse_scenario(data).scenario, costs=Costs.zero()).runs[0]


def healed_after(service: dict[str, Any]) -> float | None:
    run = storm(service)
    goodput = np.mean(run.records.within((140, 150)).status == 200)
    assert goodput == (0.0 if run.summary.recovery_s is None else 1.0)
    return run.summary.recovery_s


def backlog_gone(arrivals: float) -> float:
    """Seconds until a server has done what came in the outage, if so much keeps coming."""
    return arrivals * OUTAGE_S / (CAPACITY - arrivals)


def test_without_retries_the_backlog_is_worked_off() -> None:
    assert healed_after({}) == pytest.approx(backlog_gone(LOAD), rel=TOLERANCE)
    assert backlog_gone(LOAD) == pytest.approx(23, abs=0.5)


@pytest.mark.parametrize("retry", [{"attempts": 2}, RETRIES, {**RETRIES, "backoff": "100ms"}])
def test_free_retries_never_heal_with_or_without_backoff(retry: dict[str, Any]) -> None:
    """The load is open: waiting before a retry delays the same number of attempts."""
    assert healed_after({"retry": retry}) is None


@pytest.mark.parametrize(("budget", "seconds"), [(0.1, 33), (0.2, 52), (0.3, 101), (0.45, None)])
def test_a_budget_heals_if_and_only_if_all_attempts_fit_into_the_capacity(
    budget: float, seconds: float | None
) -> None:
    attempts = LOAD * (1 + budget)
    found = healed_after({"retry": {**RETRIES, "budget": budget}})
    if attempts >= CAPACITY:
        assert seconds is found is None
    else:
        assert backlog_gone(attempts) == pytest.approx(seconds, abs=0.6)
        assert found == pytest.approx(backlog_gone(attempts), rel=TOLERANCE)


@pytest.mark.parametrize("bound", [20, 40, 60])
def test_a_bounded_queue_heals_if_and_only_if_its_wait_is_under_the_limit(bound: int) -> None:
    """What is sent in the outage comes at the rate bound / limit, and so on after it."""
    found = healed_after({"retry": RETRIES, "queue": {"in_flight": bound}})
    rate = bound / LIMIT_S
    if rate > CAPACITY:
        assert found is None
    else:
        assert found == pytest.approx(backlog_gone(rate), rel=2 * TOLERANCE)


@pytest.mark.parametrize(
    ("service", "most"),
    [
        ({"deadline": True, "retry": RETRIES}, 20.0),
        ({"retry": RETRIES, "queue": {"in_flight": 10, "wait": "500ms", "order": "lifo"}}, 4.0),
        ({"retry": RETRIES, "breaker": {"failures": 5, "open": "5s"}}, 12.0),
        ({"retry": RETRIES, "breaker": {"failures": 5, "open": "1s"}}, 8.0),
    ],
)
def test_a_deadline_that_travels_the_newest_first_and_a_breaker_heal(
    service: dict[str, Any], most: float
) -> None:
    found = healed_after(service)
    assert found is not None
    assert found < most < backlog_gone(LOAD)


def test_the_shipped_scenario_is_the_same_in_small() -> None:
    """Times in the order of the rules; what never heals here never heals there."""
    found = [
        simulate(variant.scenario).summary.recovery_s for variant in load_scenario("retry-storm").variants
    ]
    once, one, three, backoff, tenth, fifth, third, most, deadline, newest, short, long, breaker = found
    assert one is three is backoff is most is long is None
    assert None not in (once, tenth, fifth, third, deadline, newest, short, breaker)
    assert newest < short < once < tenth < fifth < third  # type: ignore[operator]
    assert deadline < tenth < breaker  # type: ignore[operator]
