"""The model against recursions that give the same sample path: any difference is a defect."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scenarios import Records, Scenario, Workload
from simulator import Costs, simulate


def lindley(arrivals: NDArray[np.float64], work: NDArray[np.float64]) -> NDArray[np.float64]:
    """Departures from one server, first come first served (D. V. Lindley 1952)."""
    free, departures = 0.0, []
    for arrival, demand in zip(arrivals, work, strict=True):
        free = max(free, arrival) + demand
        departures.append(free)
    return np.array(departures)


def kiefer_wolfowitz(
    arrivals: NDArray[np.float64], work: NDArray[np.float64], servers: int
) -> NDArray[np.float64]:
    """Departures from several servers with one queue (J. Kiefer, J. Wolfowitz 1955)."""
    free, departures = [0.0] * servers, []
    for arrival, demand in zip(arrivals, work, strict=True):
        departure = max(heapq.heappop(free), arrival) + demand
        heapq.heappush(free, departure)
        departures.append(departure)
    return np.array(departures)


def drawn(scenario: Scenario, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Arrival times and demands of the open workload, straight from the generator."""
    requests = list(islice(Workload(scenario).stream(0), count))
    return np.cumsum([r.pause for r in requests]), np.array([r.demand[0] for r in requests])


def in_order(records: Records) -> Records:
    return records.select(np.argsort(records.seq, kind="stable"))


SERVICE_TIMES = [
    "exponential(8ms)",
    "10ms",
    "hyperexponential(8ms, 9)",
    "pareto(8ms, 2.1)",
    "uniform(1ms, 17ms)",
]


@pytest.mark.parametrize("service_time", SERVICE_TIMES)
def test_one_server_follows_lindleys_recursion(
    bare_scenario: Callable[..., Scenario], service_time: str
) -> None:
    scenario = bare_scenario({"rate": "95/s"}, {"service_time": service_time})
    records = in_order(simulate(scenario, costs=Costs.zero()).records)
    arrivals, work = drawn(scenario, len(records))
    assert len(records) > 9_000
    assert np.abs(records.sent - arrivals).max() < 1e-9
    assert np.abs(records.done - lindley(arrivals, work)).max() < 1e-9


@pytest.mark.parametrize("servers", [2, 4, 16])
def test_several_slots_follow_kiefer_and_wolfowitz(
    bare_scenario: Callable[..., Scenario], servers: int
) -> None:
    scenario = bare_scenario(
        {"rate": f"{95 * servers}/s"},
        {"service_time": "exponential(10ms)", "concurrency": servers},
        duration="30s",
    )
    records = in_order(simulate(scenario, costs=Costs.zero()).records)
    arrivals, work = drawn(scenario, len(records))
    assert np.abs(records.done - kiefer_wolfowitz(arrivals, work, servers)).max() < 1e-9


def test_round_robin_makes_each_replica_a_lindley_queue_of_every_nth_request(
    bare_scenario: Callable[..., Scenario],
) -> None:
    scenario = bare_scenario(
        {"rate": "300/s"},
        {"replicas": 4, "service_time": "exponential(10ms)", "slow": {"3": 1.2}},
        duration="30s",
    )
    records = in_order(simulate(scenario, costs=Costs.zero()).records)
    arrivals, work = drawn(scenario, len(records))
    for replica in range(4):
        rows = slice(replica, None, 4)
        slowness = 1.2 if replica == 3 else 1.0
        assert set(records.upstream[rows].tolist()) == {replica}
        assert np.abs(records.done[rows] - lindley(arrivals[rows], work[rows] * slowness)).max() < 1e-9


def test_the_proxys_core_and_links_add_up_as_a_tandem_of_queues(
    bare_scenario: Callable[..., Scenario],
) -> None:
    costs = Costs(miss_cpu=4e-3, client_link=1e-3, upstream_link=2e-3, service_extra=5e-4)
    scenario = bare_scenario({"rate": "80/s"}, {"service_time": "3ms", "concurrency": 1000}, duration="5s")
    records = in_order(simulate(scenario, costs=costs).records)
    lone = records.response[0]
    assert lone == pytest.approx(4e-3 + 1e-3 + 2e-3 + 5e-4 + 3e-3, abs=1e-12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    servers=st.integers(1, 5),
    rate=st.floats(10, 500),
    threads=st.integers(1, 8),
)
def test_proxy_threads_are_a_queue_of_their_own(
    bare_scenario: Callable[..., Scenario], seed: int, servers: int, rate: float, threads: int
) -> None:
    """With fewer threads than slots the threads are the servers, else the slots are."""
    scenario = bare_scenario(
        {"rate": f"{rate:.3f}/s"},
        {"service_time": "exponential(10ms)", "concurrency": servers},
        seed=seed,
        duration="2s",
    )
    limits = scenario.proxy.limits.model_copy(update={"threads": threads})
    scenario = scenario.model_copy(update={"proxy": scenario.proxy.model_copy(update={"limits": limits})})
    records = in_order(simulate(scenario, costs=Costs.zero()).records)
    arrivals, work = drawn(scenario, len(records))
    expected = kiefer_wolfowitz(arrivals, work, min(servers, threads))
    assert len(records) == 0 or np.abs(records.done - expected).max() < 1e-9
