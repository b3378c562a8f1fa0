"""The model against formulas. Where chance is involved, a z-test on independent replications says so.

Every statistical test here uses fixed seeds, so that it gives the same result in every run; the
stated false-alarm rate is the chance that those seeds were unlucky when the test was written.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, log, sqrt

import numpy as np
import pytest

from scenarios import Scenario
from simulator import Costs, simulate

Z = 4.9
"""Two-sided: a correct model fails one such comparison in a million."""


def closed_loop(users: int, think: float, service: float, servers: int = 1) -> tuple[float, float]:
    """Throughput and response time of the machine repairman (finite source, M/M/k//N)."""
    weights = [1.0]
    for n in range(1, users + 1):
        weights.append(weights[-1] * (users - n + 1) * service / (min(n, servers) * think))
    chances = np.array(weights) / sum(weights)
    numbers = np.arange(users + 1)
    throughput = float(np.dot(chances, np.minimum(numbers, servers)) / service)
    return throughput, float(np.dot(chances, numbers)) / throughput


def z_score(values: np.ndarray, expected: float) -> float:
    return float((values.mean() - expected) / (values.std(ddof=1) / sqrt(len(values))))


def test_the_closed_formula_gives_the_known_values() -> None:
    assert closed_loop(20, 1.0, 0.1) == pytest.approx((9.981, 1.0037), abs=5e-4)
    assert closed_loop(50, 1.0, 0.1, servers=4) == pytest.approx((38.85, 0.2870), abs=5e-3)


@pytest.mark.parametrize(("users", "servers"), [(20, 1), (50, 4), (3, 1)])
def test_closed_users_meet_the_machine_repairman(
    bare_scenario: Callable[..., Scenario], users: int, servers: int
) -> None:
    scenario = bare_scenario(
        {"users": users, "think": "exponential(1s)"},
        {"service_time": "exponential(100ms)", "concurrency": servers},
        duration="100s",
        warmup="20s",
    )
    throughput, response = closed_loop(users, 1.0, 0.1, servers)
    runs = simulate(scenario, 20, costs=Costs.zero()).runs
    assert abs(z_score(np.array([run.summary.throughput_rps for run in runs]), throughput)) < Z
    assert abs(z_score(np.array([run.summary.mean_ms for run in runs]), response * 1e3)) < Z


def erlang_c_response(rate: float, service: float, servers: int) -> float:
    """Mean time in M/M/k."""
    load = rate * service
    blocking = (load**servers / factorial(servers)) / sum(load**i / factorial(i) for i in range(servers + 1))
    busy = load / servers
    waiting = blocking / (1 - busy * (1 - blocking))
    return service + waiting * service / (servers - load)


def test_the_erlang_formula_gives_the_known_value() -> None:
    assert erlang_c_response(3.2, 1.0, 4) == pytest.approx(1.7455, abs=1e-4)


@pytest.mark.parametrize("servers", [1, 4])
def test_open_load_meets_erlang_c(bare_scenario: Callable[..., Scenario], servers: int) -> None:
    scenario = bare_scenario(
        {"rate": f"{70 * servers}/s"},
        {"service_time": "exponential(10ms)", "concurrency": servers},
        duration=f"{40 / servers + 5}s",
        warmup="5s",
    )
    expected = erlang_c_response(70 * servers, 0.01, servers)
    runs = simulate(scenario, 20, costs=Costs.zero()).runs
    assert abs(z_score(np.array([run.summary.mean_ms for run in runs]), expected * 1e3)) < Z


@pytest.mark.parametrize(("load", "p99"), [(0.5, 9.210), (0.8, 23.026)])
def test_the_tail_of_mm1_is_exponential(
    bare_scenario: Callable[..., Scenario], load: float, p99: float
) -> None:
    """One request in a hundred takes longer than ln 100 times the mean; in units of the service time."""
    assert p99 == pytest.approx(log(100) / (1 - load), abs=1e-3)
    scenario = bare_scenario(
        {"rate": f"{100 * load}/s"}, {"service_time": "exponential(10ms)"}, duration="45s", warmup="5s"
    )
    runs = simulate(scenario, 20, costs=Costs.zero()).runs
    slower = np.array([np.mean(run.records.within((5, 45)).response > p99 / 100) for run in runs])
    assert abs(z_score(slower, 0.01)) < Z


@pytest.mark.parametrize(("service_time", "expected"), [("10ms", 3.0), ("hyperexponential(10ms, 4)", 11.0)])
def test_one_server_meets_pollaczek_and_khinchine(
    bare_scenario: Callable[..., Scenario], service_time: str, expected: float
) -> None:
    """At a load of 0.8, T = S + 0.8 (1 + SCV) S / (2 (1 - 0.8)), in units of S."""
    scenario = bare_scenario({"rate": "80/s"}, {"service_time": service_time}, duration="65s", warmup="15s")
    runs = simulate(scenario, 20, costs=Costs.zero()).runs
    assert abs(z_score(np.array([run.summary.mean_ms for run in runs]), expected * 10)) < Z


def test_littles_law_holds_between_independent_counts(bare_scenario: Callable[..., Scenario]) -> None:
    """Over a run that begins and ends empty, L = λ W holds exactly, not on average."""
    scenario = bare_scenario(
        {"rate": "150/s"}, {"replicas": 2, "service_time": "exponential(10ms)"}, balance="p2c", duration="20s"
    )
    result = simulate(scenario, costs=Costs.zero())
    end = float(result.records.done.max()) + 1.0
    inside = result.queues["proxy"].mean((0.0, end))
    assert inside == pytest.approx(float(result.records.response.sum()) / end, rel=1e-9)
    at_replicas = sum(result.queues[name].mean((0.0, end)) for name in ("web/0", "web/1"))
    assert at_replicas == pytest.approx(inside, rel=1e-9)
