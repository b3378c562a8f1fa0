"""Proxies side by side and one behind the other: who is asked, in which order, and what cannot be."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bad_input import BadInput
from policies.settings import ProxySettings
from policies.settings.proxy import parse_settings
from scenarios import Scenario, parse_scenario
from scenarios.topology import Topology, topology_of

Build = Callable[..., Scenario]


def leading_to(*upstreams: str, **more: Any) -> dict[str, Any]:
    return {"route": [{"to": "next"}], "service": {"next": {"upstreams": list(upstreams)}}, **more}


@pytest.fixture
def build(plain: Callable[[], dict[str, Any]]) -> Build:
    """`build([["web"]], doors=["proxy.0"])`: proxies by what they lead to; ``[]`` is a forward proxy."""

    def built(proxies: list[list[str]], doors: list[str] | None = None, **workload: Any) -> Scenario:
        data = plain()
        asked = {} if doors is None else {"doors": doors}
        data["workload"] = {"users": 4, **workload, **asked}
        data["proxy"] = [leading_to(*one) if one else {"forward": {}} for one in proxies]
        return parse_scenario(data, where="mine.toml").scenario

    return built


def test_two_edges_share_two_shields(build: Build) -> None:
    shields = ["proxy.2", "proxy.3"]
    found = build([shields, shields, ["web"], ["web"]], ["proxy.0", "proxy.1"]).topology
    assert found == Topology((0, 1), ((2, 3), (2, 3), (), ()), (0, 0, 1, 1))
    assert found.backwards == [3, 2, 1, 0]
    assert found.longest_way() == [0, 2]
    assert found.behind(0) == {0, 2, 3}


def test_without_doors_clients_ask_the_first(build: Build) -> None:
    assert build([["proxy.1"], ["web"]]).topology.doors == (0,)
    assert build([["web"], ["proxy.0"]], ["proxy.1"]).topology.tiers == (1, 0)


def test_the_tier_of_a_proxy_is_its_longest_way_from_a_door(build: Build) -> None:
    """The edge asks the shield directly, and through a regional cache."""
    found = build([["proxy.2", "proxy.1", "web"], ["proxy.2"], ["web"]]).topology
    assert found.tiers == (0, 1, 2)
    assert found.longest_way() == [0, 1, 2]


def test_a_door_may_also_stand_behind_another_one(build: Build) -> None:
    assert build([["proxy.1"], ["web"]], ["proxy.0", "proxy.1"]).topology.tiers == (0, 1)


def test_the_clients_of_a_forward_door_name_the_next_proxy_with_routes(build: Build) -> None:
    both = build([[], [], ["web"]], ["proxy.0", "proxy.1"])
    assert both.topology.leads == ((2,), (2,), ())
    for number in (0, 1):
        (service,) = both.hop(number).proxy.service.values()  # type: ignore[union-attr]
        assert [one.address for one in service.upstreams] == ["proxy.2"]


@pytest.mark.parametrize(
    ("proxies", "doors", "said"),
    [
        ([["proxy.1"], ["proxy.0"]], None,
         "proxy.0.service: leads round in a circle: proxy.0 → proxy.1 → proxy.0"),
        ([["proxy.1"], ["proxy.2", "web"], ["proxy.1", "web"]], None,
         "proxy.1.service: leads round in a circle: proxy.1 → proxy.2 → proxy.1"),
        ([["proxy.0", "web"]], None, "proxy.0.service.next.upstreams: leads to itself"),
        ([["web"], ["web"]], None,
         "proxy.1: no client reaches it; expected it in 'upstreams' of a proxy, or in workload.doors"),
        ([["web"], ["proxy.2"], ["proxy.1"]], None,
         "proxy.1: no client reaches it; expected it in 'upstreams' of a proxy, or in workload.doors"),
        ([["proxy.1"], ["web"]], ["proxy.1"],
         "proxy.0: no client reaches it; expected it in 'upstreams' of a proxy, or in workload.doors"),
        ([["proxy.1"], ["web"]], ["prxy.0"],
         "workload.doors: no proxy 'prxy.0' (did you mean 'proxy.0'?)"),
        ([["proxy.1"], ["web"]], ["proxy.0", "proxy.0"],
         "workload.doors: 'proxy.0' is there twice; expected each proxy once"),
        ([["web"]] * 5, [f"proxy.{n}" for n in range(5)],
         "workload: doors: expected at least 5 clients, one for each, not 4"),
        ([["proxy.1"], []], None,
         "proxy.1.route: expected at least one route for the workload to take"),
        ([["proxy.1", "web"], [], ["web"]], ["proxy.0", "proxy.1"],
         "proxy.1.route: expected at least one route for the workload to take"),
        ([["web"], []], ["proxy.0", "proxy.1"],
         "proxy.1.route: expected at least one route for the workload to take"),
    ],
)  # fmt: skip
def test_what_does_not_fit_gets_one_line(
    build: Build, proxies: list[list[str]], doors: list[str] | None, said: str
) -> None:
    with pytest.raises(BadInput) as caught:
        build(proxies, doors)
    assert str(caught.value) == f"mine.toml: {said}"


@pytest.mark.parametrize(("doors", "said"), [([], "at least one"), ("proxy.0", "list")])
def test_doors_are_a_list_of_names(build: Build, doors: Any, said: str) -> None:
    with pytest.raises(BadInput, match=rf"workload\.doors: .*{said}"):
        build([["web"]], doors)


@given(st.data())
def test_every_proxy_leads_to_higher_tiers_only(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 7))
    names = [f"proxy.{number}" for number in range(count)]
    order = data.draw(st.permutations(range(count)))
    chain: list[ProxySettings] = [None] * count  # type: ignore[list-item]
    for place, number in enumerate(order):
        behind = data.draw(st.sets(st.sampled_from(order[place + 1 :]))) if place + 1 < count else set()
        chain[number] = parse_settings(leading_to("web", *(names[one] for one in sorted(behind))))
    doors = data.draw(st.sets(st.sampled_from(names), min_size=1))
    found = topology_of(chain, names, sorted(doors))
    reached = frozenset().union(*(found.behind(door) for door in found.doors))
    assert {number for number in range(count) if found.tiers[number] >= 0} == reached
    for number in reached:
        assert all(found.tiers[one] > found.tiers[number] for one in found.leads[number])
    order = found.backwards
    assert sorted(order) == list(range(count))
    for number in range(count):
        assert all(order.index(one) < order.index(number) for one in found.leads[number])
    way = found.longest_way()
    assert way[0] in found.doors
    assert [found.tiers[number] for number in way] == list(range(max(found.tiers) + 1))
    assert all(after in found.leads[before] for before, after in itertools.pairwise(way))


def test_a_dense_network_is_no_riddle() -> None:
    """Each proxy leads to all behind it, the last one first: there are 2^98 ways from the door."""
    names = [f"proxy.{number}" for number in range(100)]
    chain = [parse_settings(leading_to("web", *reversed(names[place + 1 :]))) for place in range(100)]
    found = topology_of(chain, names, [])
    assert found.tiers == tuple(range(100))
    assert found.backwards == list(reversed(range(100)))
    assert found.longest_way() == list(range(100))
    assert found.behind(0) == frozenset(range(100))
