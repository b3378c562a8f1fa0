"""Proxies in a row: what the first does not have, the next one is asked for."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from policies.eviction import charged_size, eviction_policies
from scenarios import Records, Scenario, parse_scenario
from scenarios.records import NO_UPSTREAM
from simulator import Costs, simulate
from simulator.replication import simulate_once

FORWARD = {"forward": {}}
WEB = {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}}
EDGE = {"route": [{"to": "next"}], "service": {"next": {"upstreams": "proxy.1"}}}


def caching(proxy: dict[str, Any], capacity: int, policy: str = "lru") -> dict[str, Any]:
    routes = [{**route, "cache": True} for route in proxy["route"]]
    return {**proxy, "route": routes, "cache": {"policy": policy, "capacity": capacity}}


def chain(*proxies: dict[str, Any], backend: dict[str, Any] | None = None, **more: Any) -> Scenario:
    data = {
        "title": "in a row", "seed": 5, "duration": "20s", "warmup": "0s",
        "workload": {"users": 1, "think": "exponential(5ms)", "objects": 300, "size": "1024"},
        "backend": {"web": {"service_time": "exponential(2ms)", **(backend or {})}},
        "proxy": list(proxies),
        **more,
    }  # fmt: skip
    return parse_scenario(data).scenario


def run(scenario: Scenario, costs: Costs | None = None) -> Records:
    records = simulate_once(scenario, costs or Costs.zero()).records
    return records.select(np.lexsort((records.seq, records.user)))


@pytest.mark.parametrize("first", [EDGE, FORWARD], ids=["reverse", "forward"])
def test_a_proxy_that_costs_and_stores_nothing_changes_nothing(first: dict[str, Any]) -> None:
    load = {"workload": {"rate": "300/s", "objects": 10}, "duration": "5s"}
    alone = run(chain(WEB, backend={"replicas": 4, "service_time": "exponential(10ms)"}, **load))
    behind = run(chain(first, WEB, backend={"replicas": 4, "service_time": "exponential(10ms)"}, **load))
    assert np.array_equal(alone.upstream, behind.upstream)
    assert np.array_equal(alone.done, behind.done)


def test_the_costs_of_all_hops_add_up() -> None:
    shield = Costs(hit_cpu=1e-4, miss_cpu=2e-3, upstream_link=4e-3)
    costs = Costs(miss_cpu=1e-3, client_link=5e-4, upstream_link=3e-3, service_extra=7e-4, behind=(shield,))
    quiet = {"workload": {"users": 1, "think": "10ms"}, "duration": "200ms"}
    records = run(chain(EDGE, WEB, backend={"service_time": "20ms"}, **quiet), costs)
    expected = 5e-4 + 1e-3 + 3e-3 + 2e-3 + 4e-3 + 7e-4 + 20e-3
    assert records.response == pytest.approx(expected, abs=1e-12)


def test_a_proxy_without_costs_of_its_own_has_those_of_the_first() -> None:
    costs = Costs(miss_cpu=1e-3, client_link=5e-4, upstream_link=3e-3, service_extra=0.0)
    quiet = {"workload": {"users": 1, "think": "10ms"}, "duration": "100ms"}
    records = run(chain(EDGE, WEB, backend={"service_time": "20ms"}, **quiet), costs)
    assert records.response == pytest.approx(5e-4 + 2 * 4e-3 + 20e-3, abs=1e-12)


@pytest.mark.parametrize("policies", [("lru", "lru"), ("fifo", "sieve"), ("s3_fifo", "lfu")])
def test_the_misses_of_one_cache_are_the_requests_of_the_next(policies: tuple[str, str]) -> None:
    """Request by request the same as replaying the policies one behind the other."""
    item = charged_size(1024)
    scenario = chain(
        caching(EDGE, 20 * item, policies[0]), caching(WEB, 90 * item, policies[1]),
        backend={"cache_control": "max-age=86400"},
    )  # fmt: skip
    records = run(scenario)
    edge, shield = (
        eviction_policies[name](places * item, rng=random.Random(0))
        for name, places in zip(policies, (20, 90), strict=True)
    )
    expected = []
    for number in records.object.tolist():
        place = 1 if number in edge else 2 if number in shield else 0
        if place != 1:
            shield.request(number, item, 0.0)
        edge.request(number, item, 0.0)
        expected.append(place)
    assert len(records) > 1500
    assert records.cache.tolist() == expected
    assert np.array_equal(records.upstream == NO_UPSTREAM, records.cache > 0)
    shares = records.summary(scenario.window).cache_share
    assert shares == {"proxy.0": np.mean(records.cache == 1), "proxy.1": np.mean(records.cache == 2)}
    assert sum(shares.values()) == pytest.approx(records.summary(scenario.window).hit_ratio)


def test_an_answer_ages_in_every_store_on_its_way() -> None:
    """What the shield has kept for a while is not fresh for its whole lifetime again at the edge."""
    item = charged_size(1024)
    scenario = chain(
        caching(EDGE, item), caching(WEB, 100 * item),
        backend={"service_time": "0ms", "cache_control": "max-age=1"},
        workload={"users": 1, "think": "exponential(40ms)", "objects": 2, "size": "1024"},
    )  # fmt: skip
    records = run(scenario)
    assert set(records.cache.tolist()) == {0, 1, 2}
    for number in (0, 1):
        mine = records.select(records.object == number)
        fetched = mine.done[mine.cache == 0]
        age = mine.sent - fetched[np.searchsorted(fetched, mine.done, side="right") - 1]
        assert age[mine.cache > 0].max() < 1.0
        assert np.diff(fetched).min() >= 1.0


def test_a_shorter_lifetime_at_the_edge_counts_from_the_answers_birth() -> None:
    item = charged_size(1024)
    edge = caching(EDGE, 10 * item)
    edge["route"] = [{"to": "next", "cache": {"ttl": "1s"}}]
    shield = caching(WEB, 10 * item)
    shield["route"] = [{"to": "web", "cache": {"ttl": "5s"}}]
    load = {"users": 1, "think": "100ms", "objects": 1}
    records = run(chain(edge, shield, backend={"service_time": "0ms"}, workload=load))
    fetched = records.done[records.cache == 0]
    assert len(fetched) == pytest.approx(4, abs=1)
    age = records.sent - fetched[np.searchsorted(fetched, records.done, side="right") - 1]
    assert (records.cache[(age > 0) & (age < 0.95)] == 1).all()
    assert (records.cache[(age > 1.05) & (age < 4.95)] == 2).all(), "too old for the edge to keep"


def test_a_forward_proxy_stores_if_it_is_told_to() -> None:
    for cache, places in ((False, {0}), (True, {0, 1})):
        first = {"forward": {"cache": cache}, "cache": {"policy": "lru"}}
        records = run(chain(first, WEB, backend={"cache_control": "max-age=60"}))
        assert set(records.cache.tolist()) == places


def test_every_proxy_has_threads_and_a_queue_of_its_own() -> None:
    narrow = {**EDGE, "limits": {"threads": 2}}
    load = {"workload": {"users": 30, "think": "1ms"}, "duration": "5s"}
    result = simulate(
        chain(narrow, WEB, backend={"service_time": "20ms", "concurrency": 50}, **load), costs=Costs.zero()
    )
    assert set(result.queues) == {"proxy.0", "proxy.1", "web/0"}
    assert result.queues["proxy.0"].values.max() == 30
    assert result.queues["proxy.1"].values.max() == 2
    assert result.settled
    assert result.summary.throughput_rps == pytest.approx(2 / 0.02, rel=0.02)


def test_a_breaker_at_the_edge_sees_the_errors_behind_the_shield() -> None:
    edge = {**EDGE, "service": {"next": {"upstreams": "proxy.1", "breaker": {"failures": 2, "open": "1s"}}}}
    records = run(chain(edge, WEB, backend={"fail": {"0": "5s..10s"}}))
    failed = records.select((records.sent > 5.0) & (records.sent < 9.0))
    assert set(failed.status.tolist()) == {502, 503}
    assert np.count_nonzero(failed.status == 503) > 20 * np.count_nonzero(failed.status == 502)
    assert (records.status[records.sent > 11.5] == 200).all()


def test_a_shield_that_answers_too_late_costs_the_client_only_the_time_out() -> None:
    edge = {**EDGE, "limits": {"answer_timeout": "50ms"}}
    records = run(chain(edge, WEB, backend={"service_time": "80ms"}, duration="2s"))
    assert set(records.status.tolist()) == {504}
    assert records.response == pytest.approx(0.05)
