"""Several real proxies: each asks those behind it, and a forward proxy is told where to go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest

from loadtests import LoadTestError, Measurement, Stage
from scenarios import Records, Scenario, parse_scenario
from scenarios.records import NO_UPSTREAM
from simulator import simulate

Children = Callable[[], dict[psutil.Process, str]]
Undisturbed = Callable[[Scenario, Callable[[Measurement], object]], Measurement]


def chain(*proxies: dict[str, Any], seconds: float = 0.7, **workload: Any) -> Scenario:
    data = {
        "title": "in a row", "seed": 5, "duration": seconds, "warmup": "0s",
        "workload": {"users": 1, "think": "1ms", "objects": 60, "size": "1024", **workload},
        "backend": {"web": {"replicas": 2, "service_time": "0s", "cache_control": "max-age=3600"}},
        "proxy": list(proxies),
    }  # fmt: skip
    return parse_scenario(data).scenario


def storing(upstream: str, objects: int, policy: str) -> dict[str, Any]:
    return {
        "route": [{"to": "next", "cache": True}],
        "service": {"next": {"upstreams": upstream}},
        "cache": {"policy": policy, "capacity": objects * 1024},
    }


FORWARD = {"forward": {"protocols": ["http"]}}
EDGE, SHIELD = storing("proxy.1", 10, "lru"), storing("web", 35, "sieve")


def before_two(**service: Any) -> dict[str, Any]:
    """An edge with two shields behind it."""
    edge = storing("proxy.1", 10, "lru")
    return {**edge, "service": {"next": {"upstreams": ["proxy.1", "proxy.2"], **service}}}


REGION = storing("proxy.2", 20, "fifo")


def in_order(records: Records) -> Records:
    return records.select(np.argsort(records.seq, kind="stable"))


@pytest.mark.parametrize(
    ("proxies", "places"),
    [
        ((EDGE, SHIELD), {0, 1, 2}),
        ((FORWARD, SHIELD), {0, 2}),
        ((FORWARD | {"forward": {"cache": True}, "cache": EDGE["cache"]}, SHIELD), {0, 1, 2}),
        ((EDGE, REGION, SHIELD), {0, 1, 2, 3}),
        ((before_two(balance="round_robin"), SHIELD, storing("web", 30, "lru")), {0, 1, 2, 3}),
        ((before_two(balance="rendezvous_hash", hash_on="path"), SHIELD, SHIELD), {0, 1, 2, 3}),
    ],
    ids=["edge-shield", "forward-reverse", "storing-forward", "three", "in-turn", "hashing"],
)
def test_both_twins_find_each_object_in_the_same_cache(
    undisturbed: Undisturbed, proxies: tuple[dict[str, Any], ...], places: set[int]
) -> None:
    """One client, whose requests do not overlap: request by request, exactly."""
    scenario = chain(*proxies)
    run = undisturbed(scenario, lambda run: len(run.records) > 100)
    predicted, measured = in_order(simulate(scenario).records), in_order(run.records)
    shared = min(len(predicted), len(measured))
    assert shared > 100
    assert set(measured.cache[:shared].tolist()) == places
    assert measured.cache[:shared].tolist() == predicted.cache[:shared].tolist()
    assert np.array_equal(measured.upstream == NO_UPSTREAM, measured.cache > 0)
    assert run.backends["requests"] == np.count_nonzero(measured.cache == 0)
    assert len(run.behind_cpu_seconds) == len(proxies) - 1


@pytest.mark.parametrize("first", [storing("proxy.2", 100, "lru"), FORWARD], ids=["reverse", "forward"])
def test_each_user_asks_its_door_and_the_doors_share_the_shield(
    undisturbed: Undisturbed, first: dict[str, Any]
) -> None:
    """Every object is fetched once, though the doors have different addresses: it is one site."""
    doors = [storing("proxy.2", 100, "lru"), first]
    scenario = chain(
        *doors, storing("web", 100, "lru"),
        users=2, think="exponential(2ms)", doors=["proxy.1", "proxy.0"],
    )  # fmt: skip
    records = undisturbed(scenario, lambda run: len(run.records) > 150).records
    stored = {0, 3} if first is FORWARD else {0, 2, 3}
    assert set(records.cache[records.user == 0].tolist()) == stored
    assert set(records.cache[records.user == 1].tolist()) == {0, 1, 3}
    fetches = np.count_nonzero(records.cache == 0)
    assert fetches <= len(set(records.object.tolist())) + 3, "but for a few that overlap"


def test_a_proxy_behind_that_dies_makes_the_run_void_and_is_named(stage: Stage, children: Children) -> None:
    killed = []

    def kill(passed: float, _total: float) -> None:
        if passed > 0.3 and not killed:
            (behind,) = [child for child, line in children().items() if "proxy.1.toml" in line]
            behind.kill()
            killed.append(behind)

    run = stage.measure(chain(EDGE, SHIELD, seconds=20.0), progress=kill)
    assert run.void[0] == "proxy.1 ended (killed by SIGKILL) during the run"


def test_a_chain_that_cannot_start_leaves_no_process_behind(stage: Stage, children: Children) -> None:
    broken = {**EDGE, "log": {"file": "/nowhere/access.log"}}
    with pytest.raises(LoadTestError, match=r"proxy\.0 ended \(exit code 2\)"):
        stage.measure(chain(broken, SHIELD))
    assert not any("proxy_child" in line for line in children().values())
