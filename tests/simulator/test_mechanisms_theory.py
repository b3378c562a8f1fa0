"""Queues, limits and fan-outs of the proxy against exact formulas.

Each figure is the mean of `RUNS` independent runs with fixed seeds, and is compared by a t-test: a correct
model fails one comparison in 50,000 (t of 39 degrees of freedom beyond `T`). The seeds are fixed, so a
test gives the same result in every run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import exp, factorial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scenarios import Records, parse_scenario
from simulator import Costs
from simulator.replication import simulate_once

RUNS, T = 40, 4.83
S = 0.01
"""Mean service time in seconds: the unit of all times below."""


def runs(
    workload: dict[str, Any], backend: dict[str, Any], service: dict[str, Any], requests: int
) -> list[Records]:
    """All but the first fifth of each run's requests; the start is forgotten by then."""
    rate = float(workload["rate"].removesuffix("/s"))
    data = {
        "title": "theory", "duration": 1.25 * requests / rate, "warmup": "0s",
        "workload": {"objects": 10, **workload},
        "backend": {"web": {"service_time": f"exponential({S}s)", **backend}},
        "proxy": {
            "route": [{"to": "web"}],
            "service": {"web": {"upstreams": "web", **service}},
            "limits": {"threads": 4096, "answer_timeout": "1d"},
        },
    }  # fmt: skip
    found = []
    for seed in range(RUNS):
        scenario = parse_scenario({**data, "seed": seed}).scenario
        records = simulate_once(scenario, Costs.zero()).records
        found.append(records.select(records.due > scenario.duration / 5))
    return found


def each(found: list[Records], figure: Callable[[Records], float]) -> NDArray[np.float64]:
    return np.array([figure(records) for records in found])


def refused(records: Records) -> float:
    return float(np.mean(records.status != 200))


def mean_time(records: Records) -> float:
    """Of those that were not refused, in service times."""
    return float(records.response[records.status == 200].mean()) / S


def t_score(values: NDArray[np.float64], expected: float) -> float:
    return abs(float((values.mean() - expected) / (values.std(ddof=1) / len(values) ** 0.5)))


def impatient(arrivals: float, servers: int, patience: float) -> float:
    """Share refused of M/M/c+D, in service times (F. Baccelli, G. Hebuterne, "On queues with impatient
    customers", Performance '81)."""
    k = arrivals**servers / factorial(servers - 1)
    drift = servers - arrivals
    waiting = k * (patience if drift == 0 else (1 - exp(-drift * patience)) / drift)
    late = k * exp(-drift * patience) / servers
    return late / (sum(arrivals**j / factorial(j) for j in range(servers)) + waiting + late)


@pytest.mark.parametrize(
    ("arrivals", "servers", "patience", "expected"),
    [
        (0.8, 1, 1.0, 0.27520), (1.0, 1, 1.0, 0.33333), (1.5, 1, 1.0, 0.45635), (0.8, 1, 5.0, 0.07699),
        (9.0, 10, 0.2, 0.10794), (12.0, 10, 0.2, 0.23820), (15.0, 10, 1.0, 0.33376),
    ],
)  # fmt: skip
def test_a_bounded_queue_is_a_queue_of_impatient_customers(
    arrivals: float, servers: int, patience: float, expected: float
) -> None:
    assert impatient(arrivals, servers, patience) == pytest.approx(expected, abs=1e-5)
    found = runs(
        {"rate": f"{arrivals / S}/s"},
        {"concurrency": servers},
        {"queue": {"in_flight": servers, "wait": f"{patience * S}s"}},
        500,
    )
    assert t_score(each(found, refused), expected) < T


def finite(arrivals: float, servers: int, places: int) -> tuple[float, float]:
    """Share refused and mean time of M/M/c/L, in service times."""
    weights = [1.0]
    for n in range(1, places + 1):
        weights.append(weights[-1] * arrivals / min(n, servers))
    chances = np.array(weights) / sum(weights)
    lost = float(chances[-1])
    return lost, float(np.dot(chances, np.arange(places + 1))) / (arrivals * (1 - lost))


@pytest.mark.parametrize(
    ("load", "servers", "places", "lost", "mean"),
    [
        (0.8, 1, 5, 0.08882, 2.5631), (0.8, 10, 10, 0.12166, 1.0), (1.5, 10, 10, 0.41034, 1.0),
        (1.5, 10, 15, 0.34178, 1.3389), (1.5, 10, 20, 0.33442, 1.8074), (1.5, 10, 40, 0.33333, 3.8),
    ],
)  # fmt: skip
def test_a_limit_before_slots_is_a_finite_queue(
    load: float, servers: int, places: int, lost: float, mean: float
) -> None:
    """`queue.in_flight` without a wait is the same limit."""
    assert finite(load * servers, servers, places) == pytest.approx((lost, mean), abs=5e-5, rel=1e-3)
    found = runs(
        {"rate": f"{load * servers / S}/s"},
        {"concurrency": servers},
        {"limit": places},
        500,
    )
    assert t_score(each(found, refused), finite(load * servers, servers, places)[0]) < T
    assert t_score(each(found, mean_time), finite(load * servers, servers, places)[1]) < T


@cache
def bucket(load: float, burst: int) -> float:
    """Share refused of M/D/1/b: from the chain embedded at departures, 1 - 1 / (chance of 0 + load)."""
    arrive = [exp(-load) * load**k / factorial(k) for k in range(burst)]
    chain = np.zeros((burst, burst))
    for n in range(burst):
        left = max(n - 1, 0)
        for k in range(burst - 1 - left):
            chain[n, left + k] = arrive[k]
        chain[n, burst - 1] = 1 - chain[n, : burst - 1].sum()
    equations = np.vstack([chain.T - np.eye(burst), np.ones(burst)])
    empty = np.linalg.lstsq(equations, np.append(np.zeros(burst), 1.0), rcond=None)[0][0]
    return 1 - 1 / (float(empty) + load)


@pytest.mark.parametrize(
    ("load", "burst", "expected"),
    [
        (0.8, 2, 0.19957), (0.9, 5, 0.06436), (1.0, 5, 0.10345), (1.0, 10, 0.05085), (1.0, 20, 0.02521),
        (1.2, 10, 0.17091), (1.5, 10, 0.33340),
    ],
)  # fmt: skip
def test_a_token_bucket_is_a_finite_queue_with_constant_service(
    load: float, burst: int, expected: float
) -> None:
    """A bucket of `burst` tokens holds those of one second: its rate is `burst` per second."""
    assert bucket(load, burst) == pytest.approx(expected, abs=1e-5)
    found = runs({"rate": f"{load * burst}/s"}, {"concurrency": 1_000}, {"rate": f"{burst}/s"}, 500)
    assert t_score(each(found, refused), bucket(load, burst)) < T


@pytest.mark.parametrize(("load", "expected"), [(0.3, 2.0893), (0.5, 2.875)])
def test_a_fan_out_of_two_is_a_fork_and_a_join(load: float, expected: float) -> None:
    """L. Flatto, S. Hahn 1984; R. Nelson, A. Tantawi 1988: (12 - load) / 8 of the time in M/M/1."""
    assert (12 - load) / 8 / (1 - load) == pytest.approx(expected, abs=1e-4)
    found = runs({"rate": f"{load / S}/s", "fanout": 2}, {"replicas": 2}, {"balance": "round_robin"}, 500)
    values = each(found, lambda records: float(records.whole().response.mean()) / S)
    assert t_score(values, (12 - load) / 8 / (1 - load)) < T


@pytest.mark.parametrize(("fanout", "expected"), [(10, 2.929), (100, 5.1874)])
def test_the_slowest_of_n_without_queues_takes_the_nth_harmonic_number(fanout: int, expected: float) -> None:
    harmonic = sum(1 / k for k in range(1, fanout + 1))
    assert harmonic == pytest.approx(expected, abs=1e-4)
    found = runs({"rate": "100/s", "fanout": fanout}, {"concurrency": 10_000}, {}, 800 // fanout)
    values = each(found, lambda records: float(records.whole().response.mean()) / S)
    assert t_score(values, harmonic) < T
