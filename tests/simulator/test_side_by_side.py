"""Proxies side by side: a hierarchy of edges, shields and an origin, whose balancers choose among caches."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policies.bad_input import BadInput
from policies.balancing import Dispatch, dispatch_rng
from policies.eviction import charged_size, eviction_policies
from scenarios import Records, Scenario, parse_scenario
from scenarios.workload import client_address
from simulator import Costs, simulate
from simulator.replication import simulate_once

ITEM = charged_size(1024)
ORIGIN = {"route": [{"to": "web", "cache": True}], "service": {"web": {"upstreams": "web"}}}


def edge(*upstreams: Any, places: int = 0, **service: Any) -> dict[str, Any]:
    """A proxy in front of others, with room for so many objects."""
    route: dict[str, Any] = {"to": "next"}
    store = {"policy": "lru", "capacity": places * ITEM} if places else {}
    if places:
        route["cache"] = True
    return {"route": [route], "service": {"next": {"upstreams": list(upstreams), **service}}, "cache": store}


def shield(places: int, policy: str = "lru") -> dict[str, Any]:
    return {**ORIGIN, "cache": {"policy": policy, "capacity": places * ITEM}}


def network(*proxies: dict[str, Any], backend: dict[str, Any] | None = None, **more: Any) -> Scenario:
    web = {"service_time": "exponential(2ms)", "cache_control": "max-age=86400", **(backend or {})}
    data = {
        "title": "side by side", "seed": 5, "duration": "20s", "warmup": "0s",
        "workload": {"users": 1, "think": "exponential(5ms)", "objects": 300, "size": "1024"},
        "backend": {"web": web}, "proxy": list(proxies), **more,
    }  # fmt: skip
    return parse_scenario(data).scenario


def run(scenario: Scenario, costs: Costs | None = None) -> Records:
    records = simulate_once(scenario, costs or Costs.zero()).records
    return records.select(np.lexsort((records.seq, records.user)))


@pytest.mark.parametrize("policies", [("lru", "lru"), ("sieve", "s3_fifo")])
@pytest.mark.parametrize("balance", ["round_robin", "rendezvous_hash"])
def test_request_by_request_the_same_as_replaying_the_policies(
    policies: tuple[str, str], balance: str
) -> None:
    """What the edge misses goes to one of two shields, as the balancer chooses."""
    scenario = network(
        edge("proxy.1", "proxy.2", places=20, balance=balance, hash_on="path"),
        shield(60, policies[0]), shield(90, policies[1]),
    )  # fmt: skip
    records = run(scenario)
    names = ("lru", *policies)
    stores = [
        eviction_policies[name](places * ITEM, rng=random.Random(0))
        for name, places in zip(names, (20, 60, 90), strict=True)
    ]
    choice = Dispatch(balance, [1.0, 1.0], dispatch_rng(scenario.seed, "next"))
    expected = []
    for number in records.object.tolist():
        place = 1 if number in stores[0] else 0
        if not place:
            asked = 1 + choice.start(f"/objects/{number}", 0.0)
            choice.finish(asked - 1, 0.0, 0.0, False)
            place = asked + 1 if number in stores[asked] else 0
            stores[asked].request(number, ITEM, 0.0)
        stores[0].request(number, ITEM, 0.0)
        expected.append(place)
    assert len(records) > 1500
    assert records.cache.tolist() == expected
    assert set(expected) == {0, 1, 2, 3}


@pytest.mark.parametrize("balance", ["ring_hash", "rendezvous_hash", "source_hash"])
def test_with_a_hash_of_the_path_a_shield_sees_only_its_own_objects(balance: str) -> None:
    records = run(
        network(edge("proxy.1", "proxy.2", balance=balance, hash_on="path"), shield(300), shield(300))
    )
    at = [set(records.object[records.cache == place].tolist()) for place in (2, 3)]
    assert not at[0] & at[1]
    assert len(at[0] | at[1]) > 150
    assert np.count_nonzero(records.cache == 0) == len(set(records.object.tolist())), "each is fetched once"


def hits(*proxies: dict[str, Any]) -> float:
    """In the long run, of a workload without think time at the caches."""
    load = {
        "users": 1,
        "think": "exponential(1ms)",
        "objects": 1000,
        "popularity": "zipf(0.9)",
        "size": "1024",
    }
    scenario = network(*proxies, backend={"service_time": "0ms"}, workload=load, duration="20s", warmup="4s")
    ratio = simulate(scenario, costs=Costs.zero()).summary.hit_ratio
    assert ratio is not None
    return ratio


@pytest.mark.parametrize("policy", ["lru", "fifo"])
def test_hashing_makes_of_two_shields_one_of_twice_the_size(policy: str) -> None:
    """By Che's approximation, if both halves of the objects are equally popular: here within 1.5 points.

    By turns each keeps a copy of what is popular, and both together are worth one: each sees every
    second request, which thins all objects' requests alike, so that LRU keeps the same ones.
    """
    two = [shield(100, policy), shield(100, policy)]
    hashed = hits(edge("proxy.1", "proxy.2", balance="rendezvous_hash", hash_on="path"), *two)
    in_turn = hits(edge("proxy.1", "proxy.2", balance="round_robin"), *two)
    double, one = (hits(edge("proxy.1"), shield(places, policy)) for places in (200, 100))
    assert hashed == pytest.approx(double, abs=0.015)
    assert in_turn == pytest.approx(one, abs=0.01)
    assert double > one + 0.08


def test_each_user_asks_its_door() -> None:
    scenario = network(
        edge("proxy.3", places=300), edge("proxy.3", places=300), edge("proxy.3", places=300), shield(300),
        workload={
            "users": 7, "think": "exponential(50ms)", "objects": 20, "size": "1024",
            "doors": ["proxy.0", "proxy.2", "proxy.1"],
        },
    )  # fmt: skip
    records = run(scenario)
    for user, place in enumerate((1, 3, 2, 1, 3, 2, 1)):
        assert set(records.cache[records.user == user].tolist()) <= {0, 4, place}
        assert (records.cache[records.user == user] == place).mean() > 0.8
    shares = records.summary(scenario.window).cache_share
    assert list(shares) == ["proxy.0", "proxy.1", "proxy.2", "proxy.3"]
    assert sum(shares.values()) == pytest.approx(records.hit.mean())


def test_each_client_of_an_open_load_asks_its_door() -> None:
    """Seen by the second door's routes: it refuses the clients that the first one should have had."""
    first = edge("proxy.2")
    second = edge("proxy.2")
    even = [{"when": {"client": f"{client_address(n)}/32"}, "respond": 403} for n in (0, 2, 4)]
    odd = [{"when": {"client": f"{client_address(n)}/32"}, "respond": 403} for n in (1, 3)]
    first["route"], second["route"] = odd + first["route"], even + second["route"]
    load = {"rate": "200/s", "clients": 5, "doors": ["proxy.0", "proxy.1"], "size": "1024"}
    records = run(network(first, second, shield(10), workload=load, duration="5s"))
    assert len(records) > 800
    assert set(records.status.tolist()) == {200}


def test_a_proxy_as_upstream_has_a_weight_and_stands_beside_backends() -> None:
    upstreams = [{"address": "proxy.1", "weight": 3.0}, "plain"]
    front = edge(*upstreams, balance="weighted_round_robin")
    records = run(
        parse_scenario({
            "title": "t", "seed": 1, "duration": "10s", "warmup": "0s",
            "workload": {"users": 1, "think": "5ms"},
            "backend": {"web": {"service_time": "1ms"}, "plain": {"service_time": "1ms"}},
            "proxy": [front, {**ORIGIN, "route": [{"to": "web"}]}],
        }).scenario
    )  # fmt: skip
    share = records.upstream_share()
    assert share["web/0"] == pytest.approx(0.75, abs=0.01)
    assert share["plain/0"] == pytest.approx(0.25, abs=0.01)


def test_a_retry_takes_another_shield() -> None:
    """One shield leads to a server that is down: its 502 is a failure, and the other shield answers."""
    data = {
        "title": "t", "seed": 1, "duration": "4s", "warmup": "0s",
        "workload": {"users": 1, "think": "5ms"},
        "backend": {"good": {"service_time": "1ms"}, "bad": {"service_time": "1ms", "fail": {"0": "0s..4s"}}},
        "proxy": [
            edge("proxy.1", "proxy.2", retry={"attempts": 2, "budget": 1.0}),
            {"route": [{"to": "s"}], "service": {"s": {"upstreams": "bad"}}},
            {"route": [{"to": "s"}], "service": {"s": {"upstreams": "good"}}},
        ],
    }  # fmt: skip
    records = run(parse_scenario(data).scenario)
    assert set(records.status.tolist()) == {200}
    assert records.upstream_share() == {"good/0": 1.0, "bad/0": 0.0}


def test_every_proxy_has_the_costs_of_its_tier_and_a_door_the_clients_link() -> None:
    """Clients ask both doors, and the first asks the second, but only clients wait for the link to them."""
    behind = Costs(hit_cpu=1e-4, miss_cpu=2e-3, upstream_link=4e-3)
    costs = Costs(miss_cpu=1e-3, client_link=5e-4, upstream_link=3e-3, service_extra=7e-4, behind=(behind,))
    scenario = network(
        edge("proxy.1"), {**ORIGIN, "route": [{"to": "web"}]},
        backend={"service_time": "20ms", "concurrency": 4}, duration="1s",
        workload={"users": 2, "think": "uniform(40ms, 60ms)", "doors": ["proxy.0", "proxy.1"]},
    )  # fmt: skip
    records = run(scenario, costs)
    served = 2e-3 + 4e-3 + 7e-4 + 20e-3
    through, direct = (np.median(records.response[records.user == user]) for user in (0, 1))
    assert direct == pytest.approx(5e-4 + served, abs=1e-9)
    assert through == pytest.approx(5e-4 + 1e-3 + 3e-3 + served, abs=1e-9)
    assert costs.hop(1).client_link == 0.0
    assert costs.hop(1, door=True) == replace(behind, client_link=5e-4)


def test_faults_are_for_proxies_that_only_clients_ask() -> None:
    faulty = shield(10)
    faulty["route"] = [
        {**faulty["route"][0], "fault": [{"kind": "error", "probability": 0.5, "status": 503}]}
    ]
    front = edge("proxy.2")
    fine = network(
        {**front, "route": [{**front["route"][0], "fault": faulty["route"][0]["fault"]}]}, front, shield(10),
        workload={"users": 2, "think": "10ms", "doors": ["proxy.1", "proxy.0"]}, duration="1s",
    )  # fmt: skip
    records = run(fine)
    assert set(records.status[records.user == 1].tolist()) == {200, 503}
    assert set(records.status[records.user == 0].tolist()) == {200}
    doors = {"users": 2, "doors": ["proxy.0", "proxy.1"]}
    with pytest.raises(BadInput, match="no proxy in front"):
        simulate(network(front, edge("proxy.2"), faulty, workload=doors))
