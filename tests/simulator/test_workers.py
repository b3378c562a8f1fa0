"""One proxy, several workers: each has the connections that it accepted, and a separate store."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from policies.eviction import charged_size, eviction_policies
from scenarios import Records, Scenario, parse_scenario
from simulator import Costs
from simulator.replication import simulate_once
from simulator.workers import AcceptBalance

ITEM = charged_size(1024)


def scenario(workers: int, places: int = 60, **more: Any) -> Scenario:
    data = {
        "title": "split", "seed": 5, "duration": "20s", "warmup": "0s",
        "workload": {"users": 1, "think": "exponential(5ms)", "objects": 300, **more.pop("workload", {})},
        "backend": {"web": {"service_time": "0ms", "concurrency": 1000, "cache_control": "max-age=86400"}},
        "proxy": {
            "route": [{"to": "web", "cache": True}],
            "service": {"web": {"upstreams": "web"}},
            "cache": {"policy": "lru", "capacity": places * ITEM},
            "workers": workers,
        },
        **more,
    }  # fmt: skip
    return parse_scenario(data).scenario


def run(given: Scenario, costs: Costs | None = None) -> Records:
    return simulate_once(given, costs or Costs.zero()).records


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_one_connection_sees_one_workers_share_of_the_cache(workers: int) -> None:
    records = run(scenario(workers))
    policy = eviction_policies["lru"](60 * ITEM // workers, rng=random.Random(0))
    assert len(records) > 1500
    assert records.hit.tolist() == [policy.request(number, ITEM, 0.0) for number in records.object.tolist()]


def test_connections_are_dealt_evenly() -> None:
    turns = AcceptBalance(4, random.Random(1))
    dealt = [turns.accept() for _ in range(40)]
    assert sorted(dealt) == sorted([0, 1, 2, 3] * 10)
    assert dealt[:4] != dealt[4:8], "by chance among those that have equally few"


def test_nothing_is_found_in_another_workers_store() -> None:
    """With room for all, each object is fetched once by every worker that is asked for it."""
    users = {"users": 40, "objects": 10}
    runs = [run(scenario(workers, 10_000, workload=users, duration="2s")) for workers in (1, 4)]
    fetches = [np.count_nonzero(~records.hit) for records in runs]
    assert fetches == [10, 40]


def test_every_worker_has_a_core_of_its_own() -> None:
    """Closed users that hardly think keep the cores of all their workers busy."""
    busy = {"users": 64, "think": "1us", "objects": 1}
    costs = Costs(hit_cpu=1e-3, miss_cpu=1e-3, client_link=0.0, upstream_link=0.0, service_extra=0.0)
    times = {"duration": "2s", "warmup": "500ms"}
    runs = {workers: simulate_once(scenario(workers, workload=busy, **times), costs) for workers in (1, 4)}
    assert runs[1].summary.throughput_rps == pytest.approx(1000, rel=0.02)
    assert runs[4].summary.throughput_rps == pytest.approx(4000, rel=0.02)


def test_a_light_open_load_stays_on_the_connection_that_was_used_last() -> None:
    """Requests that do not overlap go over one connection, so that one worker has all the work."""
    light = {"users": None, "rate": "100/s"}
    records = run(scenario(4, 60, workload=light))
    policy = eviction_policies["lru"](15 * ITEM, rng=random.Random(0))
    replayed = [policy.request(number, ITEM, 0.0) for number in records.object.tolist()]
    assert records.hit.tolist() == replayed


def test_a_shield_of_several_workers_is_asked_over_the_edges_connections() -> None:
    edge = {"route": [{"to": "next"}], "service": {"next": {"upstreams": "proxy.1"}}}
    behind = scenario(2, 60).proxy
    both = parse_scenario(
        {
            "title": "split", "seed": 5, "duration": "20s", "warmup": "0s",
            "workload": {"users": 1, "think": "exponential(5ms)", "objects": 300},
            "backend": {"web": {"service_time": "0ms", "cache_control": "max-age=86400"}},
            "proxy": [edge, {
                "route": [{"to": "web", "cache": True}], "service": {"web": {"upstreams": "web"}},
                "cache": {"policy": "lru", "capacity": behind.cache.capacity}, "workers": 2,
            }],
        }
    ).scenario  # fmt: skip
    records = run(both)
    policy = eviction_policies["lru"](30 * ITEM, rng=random.Random(0))
    assert (records.cache == 2).tolist() == [policy.request(n, ITEM, 0.0) for n in records.object.tolist()]
